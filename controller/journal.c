/* Segments in memory. What surprises: what is written is never changed, so a segment is only ever
 * appended to, and what is dropped is dropped whole; and of the time in which no canary was under
 * way only the last complete segment stays, so that a thousand idle rollouts do not push out the
 * one journal that somebody will ask for.
 */
#include "controller/journal.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/list.h"
#include "controller/decision_fields.h"
#include "controller/journal_format.h"

struct segment {
    struct list in_journal; /* oldest first */
    struct list in_all;     /* of all journals, closed ones only, oldest first */
    struct journal *journal;
    uint64_t number;
    int64_t from_ns, to_ns; /* times of its checkpoint and of its last look */
    uint64_t looks, decisions;
    size_t checkpoint_bytes; /* of `bytes` */
    size_t tried_bytes;      /* how long it was when another one was last tried */
    bool quiet;              /* no canary was under way, and nothing was decided */
    struct strbuf bytes;
};

struct journals {
    size_t bytes, bytes_max;
    struct list closed;
};

struct journal {
    struct journals *all;
    const struct policy *policy;
    struct list segments;
    struct segment *open; /* the newest; NULL: nothing is written */
    uint64_t last_number;
    int64_t last_ns;
    size_t bytes;
};

struct journals *journals_new(size_t bytes_max)
{
    struct journals *all = xcalloc(1, sizeof(*all));

    all->bytes_max = bytes_max;
    list_init(&all->closed);
    return all;
}

void journals_free(struct journals *all)
{
    if (all == NULL)
        return;
    CHECK(all->bytes == 0);
    free(all);
}

size_t journals_bytes(const struct journals *all)
{
    return all->bytes;
}

/* --- segments --------------------------------------------------------------------------------- */

static struct segment *of_journal(struct list *item)
{
    return CONTAINER_OF(item, struct segment, in_journal);
}

/* What the buffers take, which is a little more than what is in them. */
static void count_bytes(struct segment *s, size_t before)
{
    s->journal->bytes += s->bytes.cap - before;
    s->journal->all->bytes += s->bytes.cap - before;
}

static void drop(struct segment *s)
{
    struct journal *j = s->journal;

    j->bytes -= s->bytes.cap;
    j->all->bytes -= s->bytes.cap;
    if (j->open == s)
        j->open = NULL;
    list_remove(&s->in_all);
    list_remove(&s->in_journal);
    strbuf_deinit(&s->bytes);
    free(s);
}

/* Gives back the room that a closed segment does not use. */
static void shrink(struct segment *s)
{
    size_t before = s->bytes.cap;

    if (s->bytes.len == 0 || s->bytes.len + 1 >= s->bytes.cap)
        return;
    s->bytes.ptr = xrealloc(s->bytes.ptr, s->bytes.len + 1);
    s->bytes.cap = s->bytes.len + 1;
    count_bytes(s, before);
}

static void close_segment(struct journal *j)
{
    struct segment *s = j->open;

    shrink(s);
    j->open = NULL;
    list_push(&j->all->closed, &s->in_all);
    if (!s->quiet || s->in_journal.prev == &j->segments)
        return;
    struct segment *before = of_journal(s->in_journal.prev);
    if (before->quiet)
        drop(before);
}

static void make_room(struct journal *j)
{
    struct journals *all = j->all;

    while (j->bytes > JOURNAL_BYTES_MAX && j->segments.next != &j->segments &&
           of_journal(j->segments.next) != j->open)
        drop(of_journal(j->segments.next));
    while (all->bytes > all->bytes_max && all->closed.next != &all->closed)
        drop(CONTAINER_OF(all->closed.next, struct segment, in_all));
}

/* `from`: what its checkpoint consists of. NULL: the evidence cannot be saved. */
static struct segment *segment_new(struct journal *j, const struct engine *e,
                                   enum journal_from from, int64_t now_ns, int64_t wall_ns)
{
    struct segment *s = NULL;
    struct strbuf state, analysis;

    strbuf_init(&state, JOURNAL_RECORD_MAX / 4);
    strbuf_init(&analysis, JOURNAL_RECORD_MAX / 2);
    if (from != JOURNAL_FROM_INIT)
        state_add_text(&e->state, &state);
    if (from != JOURNAL_FROM_SAVED || analysis_save(e->analysis, &analysis) == 0) {
        s = xcalloc(1, sizeof(*s));
        list_init(&s->in_all);
        s->journal = j;
        s->number = j->last_number + 1;
        s->from_ns = s->to_ns = now_ns;
        s->quiet = true;
        strbuf_init(&s->bytes, JOURNAL_BYTES_MAX + JOURNAL_RECORD_MAX);
        const struct journal_segment record = {.number = s->number,
                                               .now_ns = now_ns,
                                               .wall_ns = wall_ns,
                                               .from = from,
                                               .state = strbuf_str(&state),
                                               .analysis = strbuf_str(&analysis)};
        journal_add_segment(&s->bytes, &record);
        s->checkpoint_bytes = s->tried_bytes = s->bytes.len;
    }
    strbuf_deinit(&state);
    strbuf_deinit(&analysis);
    return s;
}

static void open_segment(struct journal *j, struct segment *s)
{
    if (j->open != NULL)
        close_segment(j);
    list_push(&j->segments, &s->in_journal);
    j->open = s;
    j->last_number = s->number;
    j->last_ns = s->from_ns;
    count_bytes(s, 0);
}

/* --- life ------------------------------------------------------------------------------------- */

struct journal *journal_new(struct journals *all, const struct policy *policy)
{
    struct journal *j = xcalloc(1, sizeof(*j));

    j->all = all;
    j->policy = policy;
    list_init(&j->segments);
    return j;
}

void journal_free(struct journal *j)
{
    if (j == NULL)
        return;
    while (j->segments.next != &j->segments)
        drop(of_journal(j->segments.next));
    free(j);
}

void journal_begin(struct journal *j, const struct engine *e, bool adopted, int64_t now_ns,
                   int64_t wall_ns)
{
    CHECK(j->open == NULL);
    open_segment(
        j, segment_new(j, e, adopted ? JOURNAL_FROM_ADOPTED : JOURNAL_FROM_INIT, now_ns, wall_ns));
}

/* A segment is worth its checkpoint when it is much longer than that. */
static bool is_full(const struct segment *s)
{
    size_t bytes = s->bytes.len - s->tried_bytes;
    size_t enough = s->quiet ? JOURNAL_QUIET_SEGMENT_BYTES : JOURNAL_SEGMENT_BYTES;

    return bytes >= enough && bytes >= 2 * s->checkpoint_bytes;
}

/* Where the evidence cannot be saved it goes on in the old segment, while that may grow. */
static void begin_another(struct journal *j, const struct engine *e, const struct journal_look *l)
{
    struct segment *s = segment_new(j, e, JOURNAL_FROM_SAVED, l->now_ns, l->wall_ns);

    if (s != NULL)
        open_segment(j, s);
    else
        j->open->tried_bytes = j->open->bytes.len;
}

static void add_decision(struct segment *s, const struct journal_look *l)
{
    struct strbuf text;

    strbuf_init(&text, JOURNAL_RECORD_MAX);
    decision_add_text(l->decision, &text);
    const struct journal_decision record = {l->number, l->wall_ns, strbuf_str(&text)};
    journal_add_decision(&s->bytes, &record);
    strbuf_deinit(&text);
    s->decisions++;
}

static void add_look(struct journal *j, const struct journal_look *l)
{
    struct segment *s = j->open;
    size_t before = s->bytes.cap;

    journal_add_look(&s->bytes, j->policy, j->last_ns, l, decision_sum(l->decision));
    if (l->number > 0)
        add_decision(s, l);
    s->looks++;
    s->to_ns = j->last_ns = l->now_ns;
    s->quiet = s->quiet && l->number == 0 && !rollout_is_judged(&l->decision->state);
    count_bytes(s, before);
}

/* Nothing can be written, so this look is lost, which the number of the next segment says. */
static void lose_look(struct journal *j, const struct engine *e, const struct journal_look *l)
{
    j->last_number++;
    struct segment *s = segment_new(j, e, JOURNAL_FROM_SAVED, l->now_ns, l->wall_ns);
    if (s != NULL)
        open_segment(j, s);
}

void journal_look(struct journal *j, const struct engine *e, const struct journal_look *l)
{
    size_t before = j->bytes;

    if (j->open == NULL) {
        lose_look(j, e, l);
    } else {
        add_look(j, l);
        if (j->open->bytes.overflow || j->open->bytes.len > JOURNAL_BYTES_MAX)
            drop(j->open);
        else if (is_full(j->open))
            begin_another(j, e, l);
    }
    if (j->bytes != before)
        make_room(j);
}

size_t journal_bytes(const struct journal *j)
{
    return j->bytes;
}

/* --- reading ---------------------------------------------------------------------------------- */

bool journal_write(const struct journal *j, int64_t wall_ns, struct strbuf *out)
{
    const char *policy = j->policy->text == NULL ? "" : j->policy->text;
    struct journal_end end = {0};

    if (j->bytes < out->max)
        strbuf_reserve(out, j->bytes); /* once, instead of growing towards it */
    strbuf_add(out, STR(JOURNAL_MAGIC));
    const struct journal_head head = {.program = STR(SLUICE_VERSION),
                                      .wall_ns = wall_ns,
                                      .fields = decision_fields_version(),
                                      .rollout = str_from(j->policy->name),
                                      .policy = str_from(policy)};
    journal_add_head(out, &head);
    for (struct list *i = j->segments.next; i != &j->segments; i = i->next) {
        const struct segment *s = of_journal(i);
        strbuf_add(out, strbuf_str(&s->bytes));
        end.segments++;
        end.looks += s->looks;
        end.decisions += s->decisions;
    }
    journal_add_end(out, &end);
    return !out->overflow;
}

/* What is kept since then, not more than so many bytes: from which segment on. */
static struct list *first_since(const struct journal *j, int64_t since_ns, size_t bytes_max)
{
    struct list *from = j->segments.prev;
    size_t bytes = 0;

    for (; from != &j->segments; from = from->prev) {
        const struct segment *s = of_journal(from);
        bytes += s->bytes.len;
        if (bytes > bytes_max || s->to_ns < since_ns)
            break;
    }
    return from->next;
}

static void each_of(const struct segment *s, int64_t since_ns, struct observation *o,
                    void (*look)(void *ctx, int64_t now_ns, const struct observation *), void *ctx)
{
    struct journal_reader r = {.all = strbuf_str(&s->bytes)};
    struct journal_look_record record;
    int64_t last_ns = s->from_ns;

    while (journal_next(&r, NULL) == 1) {
        if (r.kind != JOURNAL_LOOK)
            continue;
        if (!journal_get_look(r.payload, s->journal->policy, last_ns, &record, o))
            return; /* one wrote what the other does not take: no reason to stop serving */
        last_ns = record.now_ns;
        if (record.now_ns >= since_ns)
            look(ctx, record.now_ns, o);
    }
}

void journal_each(const struct journal *j, int64_t since_ns, size_t bytes_max,
                  void (*look)(void *ctx, int64_t now_ns, const struct observation *), void *ctx)
{
    struct observation o;

    observation_init(&o);
    for (struct list *i = first_since(j, since_ns, bytes_max); i != &j->segments; i = i->next)
        each_of(of_journal(i), since_ns, &o, look, ctx);
    observation_deinit(&o);
}
