/* Both directions of each record next to each other. What surprises: a length that was damaged
 * cannot be skipped by, so behind damage the reader looks for the next checkpoint, which begins
 * with bytes of its own; what lies between is lost, and the checkpoint needs none of it.
 */
#include "controller/journal_format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "controller/packed.h"

/* At the beginning of a checkpoint's payload. */
#define MARK "\xf0SEGMENT"

enum {
    CRC_BYTES = 4,
    KIND_BITS = 3, /* of a look's flags */
    LOOK_REFUSED = 4,
    LOOK_DECIDED = 8,
    LOOK_COMMAND = 16,
    LOOK_OBSERVATION = 32,
    COUNT_MAX = 1 << 30,
    PAYLOAD_MAX = JOURNAL_RECORD_MAX,
    SUMMED_MAX = 8, /* times the file's length, of records whose checksum was wrong */
};

/* Beyond it nothing can be added without care; 36 years. */
#define TIME_MAX_NS (INT64_MAX / 8)

/* --- records ---------------------------------------------------------------------------------- */

static void add_record(struct strbuf *out, enum journal_kind kind, const struct strbuf *payload)
{
    size_t from = out->len;

    strbuf_add_char(out, (char)kind);
    packed_add_text(out, strbuf_str(payload));
    if (!out->overflow && !payload->overflow)
        packed_add_fixed32(out, crc32c(0, (struct str){out->ptr + from, out->len - from}));
    out->overflow = out->overflow || payload->overflow;
}

int journal_open(struct str all, struct journal_reader *r, struct error *reterr)
{
    struct str magic = STR(JOURNAL_MAGIC), name = STR("sluice journal ");

    *r = (struct journal_reader){.all = all, .at = magic.len};
    if (str_starts_with(all, magic))
        return 0;
    if (all.len < magic.len && str_starts_with(magic, all))
        return error_set(reterr, -EINVAL, "it ends after %zu bytes, within its first line",
                         all.len);
    if (!str_starts_with(all, name))
        return error_set(reterr, -EINVAL, "this is no journal: it does not begin with \"%s\"",
                         "sluice journal");
    return error_set(reterr, -EINVAL, "this is a journal of a version that is not known here");
}

/* Where the next checkpoint begins behind `from`, or the end. */
static size_t next_segment(struct str all, size_t from)
{
    const struct str mark = STR(MARK);

    for (size_t at = from; at + mark.len <= all.len; at++) {
        const char *found = memmem(all.ptr + at, all.len - at, mark.ptr, mark.len);
        if (found == NULL)
            return all.len;
        at = (size_t)(found - all.ptr);
        /* Before it stand the kind and a length of one to four bytes. */
        for (size_t back = 2; back <= 5 && back <= at && at - back >= from; back++) {
            struct packed p = {{all.ptr + at - back + 1, all.len - (at - back + 1)}, false};
            uint64_t len = packed_get_max(&p, PAYLOAD_MAX);
            if (all.ptr[at - back] == JOURNAL_SEGMENT && !p.bad && p.rest.ptr == all.ptr + at &&
                len + CRC_BYTES <= p.rest.len)
                return at - back;
        }
    }
    return all.len;
}

static int damaged(struct journal_reader *r, struct error *reterr, const char *what)
{
    r->at = next_segment(r->all, r->record_at + 1);
    return error_set(reterr, -EINVAL, "%s", what);
}

int journal_next(struct journal_reader *r, struct error *reterr)
{
    char text[160];

    r->record_at = r->at;
    if (r->at >= r->all.len)
        return 0;
    struct str rest = {r->all.ptr + r->at, r->all.len - r->at};
    unsigned char kind = (unsigned char)rest.ptr[0];
    if (kind < JOURNAL_HEAD || kind > JOURNAL_END) {
        snprintf(text, sizeof(text), "no record begins with a byte of %u", kind);
        return damaged(r, reterr, text);
    }
    struct packed p = {{rest.ptr + 1, rest.len - 1}, false};
    uint64_t len = packed_get(&p);
    if (p.bad)
        return damaged(r, reterr, "the file ends within a record");
    if (len > PAYLOAD_MAX) {
        snprintf(text, sizeof(text), "a record claims %llu bytes, more than there can be",
                 (unsigned long long)len);
        return damaged(r, reterr, text);
    }
    if (len + CRC_BYTES > p.rest.len) {
        snprintf(text, sizeof(text), "the file ends within a record: %llu bytes are missing",
                 (unsigned long long)(len + CRC_BYTES - p.rest.len));
        return damaged(r, reterr, text);
    }
    r->kind = (enum journal_kind)kind;
    r->payload = (struct str){p.rest.ptr, (size_t)len};
    struct packed crc = {{p.rest.ptr + len, CRC_BYTES}, false};
    size_t whole = (size_t)(p.rest.ptr - rest.ptr) + (size_t)len;
    uint32_t told = packed_get_fixed32(&crc), is = crc32c(0, (struct str){rest.ptr, whole});
    if (told != is) {
        snprintf(text, sizeof(text), "the record's checksum is wrong: %08x is written, %08x is so",
                 told, is);
        int rc = damaged(r, reterr, text);
        r->summed += whole;
        if (r->summed / SUMMED_MAX > r->all.len) /* made to look like checkpoints throughout */
            r->at = r->all.len;
        return rc;
    }
    r->at += whole + CRC_BYTES;
    return 1;
}

/* --- head, decision, end ---------------------------------------------------------------------- */

void journal_add_head(struct strbuf *out, const struct journal_head *h)
{
    struct strbuf payload;

    strbuf_init(&payload, PAYLOAD_MAX);
    packed_add_text(&payload, h->program);
    packed_add_signed(&payload, h->wall_ns);
    packed_add_fixed32(&payload, h->fields);
    packed_add_text(&payload, h->rollout);
    packed_add_text(&payload, h->policy);
    add_record(out, JOURNAL_HEAD, &payload);
    strbuf_deinit(&payload);
}

bool journal_get_head(struct str payload, struct journal_head *ret)
{
    struct packed p = {payload, false};

    ret->program = packed_get_text(&p);
    ret->wall_ns = packed_get_signed(&p);
    ret->fields = packed_get_fixed32(&p);
    ret->rollout = packed_get_text(&p);
    ret->policy = packed_get_text(&p);
    return !p.bad && p.rest.len == 0;
}

void journal_add_decision(struct strbuf *out, const struct journal_decision *d)
{
    struct strbuf payload;

    strbuf_init(&payload, PAYLOAD_MAX);
    packed_add(&payload, d->number);
    packed_add_signed(&payload, d->wall_ns);
    packed_add_text(&payload, d->text);
    add_record(out, JOURNAL_DECISION, &payload);
    strbuf_deinit(&payload);
}

bool journal_get_decision(struct str payload, struct journal_decision *ret)
{
    struct packed p = {payload, false};

    ret->number = packed_get(&p);
    ret->wall_ns = packed_get_signed(&p);
    ret->text = packed_get_text(&p);
    return !p.bad && p.rest.len == 0;
}

void journal_add_end(struct strbuf *out, const struct journal_end *e)
{
    struct strbuf payload;

    strbuf_init(&payload, PAYLOAD_MAX);
    packed_add(&payload, e->segments);
    packed_add(&payload, e->looks);
    packed_add(&payload, e->decisions);
    add_record(out, JOURNAL_END, &payload);
    strbuf_deinit(&payload);
}

bool journal_get_end(struct str payload, struct journal_end *ret)
{
    struct packed p = {payload, false};

    ret->segments = packed_get(&p);
    ret->looks = packed_get(&p);
    ret->decisions = packed_get(&p);
    return !p.bad && p.rest.len == 0;
}

/* --- checkpoints ------------------------------------------------------------------------------ */

void journal_add_segment(struct strbuf *out, const struct journal_segment *s)
{
    struct strbuf payload;

    strbuf_init(&payload, PAYLOAD_MAX);
    strbuf_add(&payload, STR(MARK));
    packed_add(&payload, s->number);
    packed_add(&payload, (uint64_t)s->now_ns);
    packed_add_signed(&payload, s->wall_ns);
    packed_add(&payload, s->from);
    packed_add_text(&payload, s->state);
    packed_add_text(&payload, s->analysis);
    add_record(out, JOURNAL_SEGMENT, &payload);
    strbuf_deinit(&payload);
}

bool journal_get_segment(struct str payload, struct journal_segment *ret)
{
    const struct str mark = STR(MARK);

    if (!str_starts_with(payload, mark))
        return false;
    struct packed p = {{payload.ptr + mark.len, payload.len - mark.len}, false};
    ret->number = packed_get(&p);
    ret->now_ns = (int64_t)packed_get_max(&p, (uint64_t)TIME_MAX_NS);
    ret->wall_ns = packed_get_signed(&p);
    ret->from = (enum journal_from)packed_get_max(&p, JOURNAL_FROM_SAVED);
    ret->state = packed_get_text(&p);
    ret->analysis = packed_get_text(&p);
    return !p.bad && p.rest.len == 0;
}

/* --- observations ----------------------------------------------------------------------------- */

/* Which of a list are there, then these. */
static void add_sparse(struct strbuf *out, const uint32_t *counts, size_t count)
{
    uint32_t mask = 0;

    for (size_t i = 0; i < count; i++)
        mask |= (uint32_t)(counts[i] != 0) << i;
    packed_add(out, mask);
    for (size_t i = 0; i < count; i++)
        if (counts[i] != 0)
            packed_add(out, counts[i]);
}

static void get_sparse(struct packed *p, uint32_t *ret, size_t count)
{
    uint64_t mask = packed_get_max(p, count < 32 ? (UINT64_C(1) << count) - 1 : UINT32_MAX);

    for (size_t i = 0; i < count; i++)
        ret[i] = mask >> i & 1 ? (uint32_t)packed_get_max(p, COUNT_MAX) : 0;
}

/* Zigzag by hand: these rise and fall, and few are there. */
static void add_overdue(struct strbuf *out, const int32_t *counts, size_t count)
{
    uint32_t folded[CRITERIA_MAX];

    for (size_t i = 0; i < count; i++)
        folded[i] = (uint32_t)counts[i] << 1 ^ (counts[i] < 0 ? UINT32_MAX : 0);
    add_sparse(out, folded, count);
}

static void get_overdue(struct packed *p, int32_t *ret, size_t count)
{
    uint32_t folded[CRITERIA_MAX];

    get_sparse(p, folded, count);
    for (size_t i = 0; i < count; i++)
        ret[i] = (int32_t)(folded[i] >> 1 ^ (folded[i] & 1 ? UINT32_MAX : 0));
}

enum { COUNTS_PLAIN = 4, COUNTS_BAD = 16, COUNTS_EXCLUDED = 32, COUNTS_OVERDUE = 64 };

static bool any(const uint32_t *counts, size_t count)
{
    uint32_t all = 0;

    for (size_t i = 0; i < count; i++)
        all |= counts[i];
    return all != 0;
}

static void add_counts(struct strbuf *out, const struct slot_counts *c, size_t criteria)
{
    const uint32_t plain[COUNTS_PLAIN] = {c->dispatched, c->settled, c->errors, c->excused};
    unsigned flags = 0;
    bool overdue = false;

    for (size_t i = 0; i < criteria; i++)
        overdue = overdue || c->overdue[i] != 0;
    for (unsigned i = 0; i < COUNTS_PLAIN; i++)
        flags |= (unsigned)(plain[i] != 0) << i;
    flags |= any(c->bad, criteria) ? COUNTS_BAD : 0;
    flags |= any(c->excluded, criteria) ? COUNTS_EXCLUDED : 0;
    flags |= overdue ? COUNTS_OVERDUE : 0;
    strbuf_add_char(out, (char)flags);
    for (size_t i = 0; i < COUNTS_PLAIN; i++)
        if (plain[i] != 0)
            packed_add(out, plain[i]);
    if (flags & COUNTS_BAD)
        add_sparse(out, c->bad, criteria);
    if (flags & COUNTS_EXCLUDED)
        add_sparse(out, c->excluded, criteria);
    if (flags & COUNTS_OVERDUE)
        add_overdue(out, c->overdue, criteria);
}

static void get_counts(struct packed *p, size_t criteria, struct slot_counts *ret)
{
    uint64_t flags = packed_get_max(p, 127);
    uint32_t *const plain[COUNTS_PLAIN] = {&ret->dispatched, &ret->settled, &ret->errors,
                                           &ret->excused};

    for (size_t i = 0; i < COUNTS_PLAIN; i++)
        *plain[i] = flags >> i & 1 ? (uint32_t)packed_get_max(p, COUNT_MAX) : 0;
    if (flags & COUNTS_BAD)
        get_sparse(p, ret->bad, criteria);
    if (flags & COUNTS_EXCLUDED)
        get_sparse(p, ret->excluded, criteria);
    if (flags & COUNTS_OVERDUE)
        get_overdue(p, ret->overdue, criteria);
}

static void add_deltas(struct strbuf *out, const struct policy *policy, int64_t now_ns,
                       const struct observation *o)
{
    int64_t slot = now_ns / policy->analysis.slot_ns;
    uint32_t epoch = 0;

    packed_add(out, o->count);
    for (size_t i = 0; i < o->count; i++) {
        const struct slot_delta *d = &o->deltas[i];
        packed_add(out, d->epoch - epoch); /* in rising order */
        packed_add_signed(out, slot - d->slot);
        for (int v = 0; v < VARIANT_COUNT; v++)
            add_counts(out, &d->variants[v], policy->analysis.criteria_count);
        epoch = d->epoch;
        slot = d->slot;
    }
}

static bool get_deltas(struct packed *p, const struct policy *policy, int64_t now_ns,
                       struct observation *ret)
{
    int64_t now_slot = now_ns / policy->analysis.slot_ns, slot = now_slot;
    uint64_t count = packed_get_max(p, JOURNAL_DELTAS_MAX);
    uint32_t epoch = 0;

    for (uint64_t i = 0; i < count && !p->bad; i++) {
        uint32_t later = (uint32_t)packed_get_max(p, INT32_MAX);
        int64_t back = packed_get_signed(p);
        /* In rising order, and not of the time to come. */
        if (later > INT32_MAX - epoch || (i > 0 && later == 0 && back >= 0) || back > slot ||
            back < slot - now_slot - 1)
            return false;
        epoch += later;
        slot -= back;
        struct slot_delta *d = observation_at(ret, epoch, slot);
        for (int v = 0; v < VARIANT_COUNT; v++)
            get_counts(p, policy->analysis.criteria_count, &d->variants[v]);
    }
    return !p->bad;
}

static void add_reals(struct strbuf *out, const double *reals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, &reals[i], sizeof(bits));
        packed_add_fixed32(out, (uint32_t)bits);
        packed_add_fixed32(out, (uint32_t)(bits >> 32));
    }
}

static void get_reals(struct packed *p, double *ret, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = packed_get_fixed32(p);
        bits |= (uint64_t)packed_get_fixed32(p) << 32;
        memcpy(&ret[i], &bits, sizeof(bits));
    }
}

static void add_shifts(struct strbuf *out, const struct observation *o)
{
    packed_add(out, o->shift_count);
    for (size_t i = 0; i < o->shift_count; i++) {
        const struct shift_delta *d = &o->shifts[i];
        packed_add(out, d->epoch);
        packed_add(out, d->criterion);
        for (int v = 0; v < VARIANT_COUNT; v++) {
            packed_add(out, d->looked[v]);
            packed_add(out, d->found[v]);
            add_sparse(out, d->counts[v], SHIFT_BUCKETS);
        }
        packed_add(out, d->buckets_id);
        packed_add(out, d->edge_count);
        add_reals(out, d->edges, d->edge_count);
    }
}

static bool rising(const double *reals, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(reals[i] - reals[i] == 0) || (i > 0 && !(reals[i] > reals[i - 1])))
            return false;
    return true;
}

static bool get_shifts(struct packed *p, const struct policy *policy, struct observation *ret)
{
    uint64_t count = packed_get_max(p, JOURNAL_DELTAS_MAX);

    for (uint64_t i = 0; i < count && !p->bad; i++) {
        uint32_t epoch = (uint32_t)packed_get_max(p, INT32_MAX);
        uint32_t criterion =
            (uint32_t)packed_get_max(p, policy->analysis.criteria_count - UINT64_C(1));
        const struct shift_delta *last = i > 0 ? &ret->shifts[ret->shift_count - 1] : NULL;
        if (p->bad || policy->analysis.criteria[criterion].test != TEST_SHIFT ||
            (last != NULL &&
             (epoch < last->epoch || (epoch == last->epoch && criterion <= last->criterion))))
            return false;
        struct shift_delta *d = observation_shift_at(ret, epoch, criterion);
        for (int v = 0; v < VARIANT_COUNT; v++) {
            d->looked[v] = (uint32_t)packed_get_max(p, COUNT_MAX);
            d->found[v] = (uint32_t)packed_get_max(p, COUNT_MAX);
            get_sparse(p, d->counts[v], SHIFT_BUCKETS);
        }
        d->buckets_id = (uint32_t)packed_get_max(p, UINT32_MAX);
        d->edge_count = (uint32_t)packed_get_max(p, SHIFT_EDGES_MAX);
        get_reals(p, d->edges, d->edge_count);
        if (!rising(d->edges, d->edge_count))
            return false;
    }
    return !p->bad;
}

/* --- looks ------------------------------------------------------------------------------------ */

static void add_command(struct strbuf *out, const struct command *c)
{
    packed_add(out, c->kind);
    packed_add(out, (c->full ? 1u : 0) | (c->force ? 2u : 0) | (c->zero ? 4u : 0));
    packed_add(out, c->expect_step);
    packed_add_text(out, str_from(c->reason));
    packed_add_text(out, str_from(c->who));
}

static bool get_command(struct packed *p, struct command *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->kind = (enum command_kind)packed_get_max(p, COMMAND_KIND_COUNT - 1);
    uint64_t flags = packed_get_max(p, 7);
    ret->full = flags & 1;
    ret->force = flags >> 1 & 1;
    ret->zero = flags >> 2 & 1;
    ret->expect_step = (uint32_t)packed_get_max(p, UINT32_MAX);
    bool fits = str_copy(ret->reason, sizeof(ret->reason), packed_get_text(p));
    return str_copy(ret->who, sizeof(ret->who), packed_get_text(p)) && fits && !p->bad;
}

void journal_add_look(struct strbuf *out, const struct policy *policy, int64_t last_ns,
                      const struct journal_look *l, uint32_t sum)
{
    struct strbuf payload;
    unsigned flags = (unsigned)l->kind;

    flags |= l->result != EFFECTS_DONE ? LOOK_REFUSED : 0;
    flags |= l->number > 0 ? LOOK_DECIDED : 0;
    flags |= l->command != NULL ? LOOK_COMMAND : 0;
    flags |= l->observation != NULL ? LOOK_OBSERVATION : 0;
    strbuf_init(&payload, PAYLOAD_MAX);
    packed_add(&payload, flags);
    packed_add(&payload, (uint64_t)(l->now_ns - last_ns));
    if (l->command != NULL)
        add_command(&payload, l->command);
    if (l->observation != NULL) {
        add_deltas(&payload, policy, l->now_ns, l->observation);
        add_shifts(&payload, l->observation);
    }
    packed_add_fixed32(&payload, sum);
    add_record(out, JOURNAL_LOOK, &payload);
    strbuf_deinit(&payload);
}

static bool get_look(struct packed *p, const struct policy *policy, int64_t last_ns,
                     struct journal_look_record *ret, struct observation *observation)
{
    uint64_t flags = packed_get_max(p, 2 * LOOK_OBSERVATION - 1);

    ret->kind = (enum rollout_input_kind)(flags & KIND_BITS);
    ret->now_ns = last_ns + (int64_t)packed_get_max(p, (uint64_t)(TIME_MAX_NS - last_ns));
    ret->refused = flags & LOOK_REFUSED;
    ret->decided = flags & LOOK_DECIDED;
    ret->has_command = flags & LOOK_COMMAND;
    ret->has_observation = flags & LOOK_OBSERVATION;
    if (p->bad || ret->kind > INPUT_RESTART || ret->has_command != (ret->kind == INPUT_COMMAND))
        return false;
    if (ret->has_command && !get_command(p, &ret->command))
        return false;
    if (ret->has_observation &&
        (!get_deltas(p, policy, ret->now_ns, observation) || !get_shifts(p, policy, observation)))
        return false;
    ret->sum = packed_get_fixed32(p);
    return !p->bad && p->rest.len == 0;
}

bool journal_get_look(struct str payload, const struct policy *policy, int64_t last_ns,
                      struct journal_look_record *ret, struct observation *observation)
{
    struct packed p = {payload, false};

    observation_clear(observation);
    return get_look(&p, policy, last_ns, ret, observation);
}
