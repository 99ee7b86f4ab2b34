/* Times are kept as differences of two looks, each as the few buckets that were hit: with 13 KiB
 * per histogram, ten minutes of a thousand rollouts would not fit. What surprises: old ones can be
 * dropped without loss as soon as a younger span suffices, because a span that suffices goes on
 * sufficing while it grows. */
#include "analysis/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"

enum { SPANS_MAX = REFERENCE_MAX_S / REFERENCE_EVERY_S };

struct bucket_count {
    uint32_t bucket, count;
};

/* What was between two looks. */
struct span {
    int64_t began_ns;
    struct bucket_count *counts; /* heap; NULL: nothing */
    size_t count;
};

/* The quantiles of one limit. */
struct watched {
    size_t first, end;            /* its criteria */
    struct histogram_view *last;  /* as at the last look */
    struct span spans[SPANS_MAX]; /* oldest first */
    size_t span_count;
};

struct learned_value {
    enum value_kind kind;
    union {
        double number;
        uint64_t category;
    };
};

struct buckets {
    size_t criterion;
    struct learned_value *learned; /* heap; the last REFERENCE_TEACH of stable; NULL: none */
    size_t learned_count;          /* all in all */
    bool stand;
    uint32_t id, told_epoch;
    bool told;
    uint32_t edge_count; /* 0: categories */
    double edges[SHIFT_EDGES_MAX];
    uint32_t category_count;
    uint64_t categories[SHIFT_REST];
};

struct reference {
    const struct policy_criterion *criteria;
    size_t criteria_count;
    struct watched *watched;
    size_t watched_count;
    struct buckets *buckets;
    size_t buckets_count;
    int64_t looked_ns;
    bool looked, alone;
    struct moving_limits limits;
};

/* --- life ------------------------------------------------------------------------------------- */

static void add_watched(struct reference *r, size_t criterion)
{
    const struct policy_criterion *c = &r->criteria[criterion];
    struct watched *last = r->watched_count == 0 ? NULL : &r->watched[r->watched_count - 1];

    if (last != NULL && last->end == criterion && c[-1].group == c->group &&
        c[-1].metric == c->metric) {
        last->end++;
        return;
    }
    r->watched[r->watched_count++] = (struct watched){.first = criterion, .end = criterion + 1};
}

struct reference *reference_new(const struct policy *policy)
{
    const struct policy_analysis *a = &policy->analysis;
    size_t watched = 0, buckets = 0;

    for (size_t i = 0; i < a->criteria_count; i++) {
        watched += criterion_follows_stable(&a->criteria[i]);
        buckets += a->criteria[i].test == TEST_SHIFT;
    }
    if (watched + buckets == 0)
        return NULL;
    struct reference *r = xcalloc(1, sizeof(*r));
    r->criteria = a->criteria;
    r->criteria_count = a->criteria_count;
    r->watched = xcalloc(watched + 1, sizeof(*r->watched));
    r->buckets = xcalloc(buckets + 1, sizeof(*r->buckets));
    for (size_t i = 0; i < CRITERIA_MAX; i++)
        r->limits.stable_ns[i] = r->limits.canary_ns[i] = -1;
    for (size_t i = 0; i < a->criteria_count; i++) {
        if (criterion_follows_stable(&a->criteria[i]))
            add_watched(r, i);
        if (a->criteria[i].test == TEST_SHIFT)
            r->buckets[r->buckets_count++].criterion = i;
    }
    return r;
}

void reference_free(struct reference *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->watched_count; i++) {
        for (size_t j = 0; j < r->watched[i].span_count; j++)
            free(r->watched[i].spans[j].counts);
        free(r->watched[i].last);
    }
    for (size_t i = 0; i < r->buckets_count; i++)
        free(r->buckets[i].learned);
    free(r->watched);
    free(r->buckets);
    free(r);
}

/* --- moving limits ---------------------------------------------------------------------------- */

static void drop_spans(struct watched *w, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(w->spans[i].counts);
    w->span_count -= count;
    memmove(w->spans, w->spans + count, w->span_count * sizeof(w->spans[0]));
}

static uint32_t came(const struct histogram_view *earlier, const struct histogram_view *later,
                     uint32_t bucket)
{
    uint32_t before = earlier == NULL ? 0 : earlier->counts[bucket];

    return later->counts[bucket] > before ? later->counts[bucket] - before : 0;
}

static struct span span_between(const struct histogram_view *earlier,
                                const struct histogram_view *later, int64_t began_ns)
{
    struct span s = {.began_ns = began_ns};

    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        s.count += came(earlier, later, i) > 0;
    if (s.count == 0)
        return s;
    s.counts = xcalloc(s.count, sizeof(*s.counts));
    for (uint32_t i = 0, j = 0; i < HISTOGRAM_BUCKETS; i++)
        if (came(earlier, later, i) > 0)
            s.counts[j++] = (struct bucket_count){i, came(earlier, later, i)};
    return s;
}

static void add_span(struct histogram_view *to, const struct span *s)
{
    for (size_t i = 0; i < s->count; i++) {
        to->counts[s->counts[i].bucket] += s->counts[i].count;
        to->total += s->counts[i].count;
    }
}

/* Samples without which a quantile is not known: two beyond it. */
static double samples_needed(double quantile)
{
    return ceil(2 / (1 - quantile) - 1e-6);
}

/* The highest time, in ns, that is in the bucket of `us`. */
static int64_t last_ns(uint64_t us)
{
    return (int64_t)histogram_upper_us(histogram_bucket(us)) * NS_PER_US - 1;
}

static void set_limits(struct reference *r, size_t criterion, double quantile,
                       const struct histogram_view *times)
{
    const struct policy_criterion *c = &r->criteria[criterion];
    uint64_t u = (uint64_t)(histogram_quantile_ns(times, quantile) / NS_PER_US);

    r->limits.stable_ns[criterion] = last_ns(u - 1); /* u is the edge above the bucket */
    int64_t ratio_ns = last_ns((uint64_t)(c->limit * (double)u));
    int64_t slack_ns = r->limits.stable_ns[criterion] + c->slack_ns;
    r->limits.canary_ns[criterion] = ratio_ns > slack_ns ? ratio_ns : slack_ns;
}

/* Walks back in time until each quantile has what it wants. */
static void follow(struct reference *r, struct watched *w, struct histogram_view *scratch,
                   int64_t now_ns)
{
    uint32_t wanting = (uint32_t)((UINT64_C(1) << (w->end - w->first)) - 1);
    size_t i = w->span_count;

    memset(scratch, 0, sizeof(*scratch));
    while (i > 0 && wanting != 0) {
        add_span(scratch, &w->spans[--i]);
        bool lasts = now_ns - w->spans[i].began_ns >= REFERENCE_WANTED_S * NS_PER_SEC || i == 0;
        for (size_t c = w->first; c < w->end; c++) {
            uint32_t bit = UINT32_C(1) << (c - w->first);
            if ((wanting & bit) == 0 || !lasts ||
                (double)scratch->total < samples_needed(r->criteria[c].quantile))
                continue;
            set_limits(r, c, r->criteria[c].quantile, scratch);
            wanting &= ~bit;
        }
    }
    if (wanting == 0)
        drop_spans(w, i);
}

/* Without stable beside it a limit that is too low is too low for the canary alone. So the last
 * ones come from all that is kept, and from as much beyond the quantile as the samples may be
 * wrong. */
static void settle(struct reference *r, struct watched *w, struct histogram_view *scratch)
{
    memset(scratch, 0, sizeof(*scratch));
    for (size_t i = 0; i < w->span_count; i++)
        add_span(scratch, &w->spans[i]);
    double n = (double)scratch->total;
    for (size_t c = w->first; c < w->end; c++) {
        double q = r->criteria[c].quantile;
        if (n >= samples_needed(q))
            set_limits(r, c, fmin(q + 2 * sqrt(q * (1 - q) / n), 1 - 0.5 / n), scratch);
    }
}

static void make_room(struct watched *w, int64_t now_ns)
{
    size_t old = 0;

    while (old < w->span_count && now_ns - w->spans[old].began_ns > REFERENCE_MAX_S * NS_PER_SEC)
        old++;
    if (old == 0 && w->span_count == SPANS_MAX)
        old = 1;
    drop_spans(w, old);
}

/* Of a rollout without traffic nothing is kept but when it was looked at. */
static void look(struct reference *r, struct watched *w, struct histogram_view *scratch,
                 int64_t now_ns, bool becomes_alone, reference_histogram *histogram, void *ctx)
{
    memset(scratch, 0, sizeof(*scratch));
    histogram(ctx, w->first, scratch);
    if (r->looked) {
        make_room(w, now_ns);
        w->spans[w->span_count++] = span_between(w->last, scratch, r->looked_ns);
    }
    if (w->last == NULL && scratch->total > 0)
        w->last = xmalloc(sizeof(*w->last));
    if (w->last != NULL)
        memcpy(w->last, scratch, sizeof(*w->last));
    if (!r->looked || scratch->total == 0)
        return;
    if (becomes_alone)
        settle(r, w, scratch);
    else if (!r->alone)
        follow(r, w, scratch, now_ns);
}

bool reference_look(struct reference *r, int64_t now_ns, bool alone, reference_histogram *histogram,
                    void *ctx)
{
    struct moving_limits before = r->limits;
    bool becomes_alone = alone && !r->alone;

    r->alone = alone;
    if (!becomes_alone && r->looked && now_ns - r->looked_ns < REFERENCE_EVERY_S * NS_PER_SEC)
        return false;
    if (r->watched_count > 0) {
        struct histogram_view *scratch = xmalloc(sizeof(*scratch));
        for (size_t i = 0; i < r->watched_count; i++)
            look(r, &r->watched[i], scratch, now_ns, becomes_alone, histogram, ctx);
        free(scratch);
    }
    r->looked = true;
    r->looked_ns = now_ns;
    return memcmp(&before, &r->limits, sizeof(before)) != 0;
}

const struct moving_limits *reference_limits(const struct reference *r)
{
    return &r->limits;
}

/* --- buckets ---------------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void add_edge(struct buckets *b, double edge)
{
    if (b->edge_count < SHIFT_EDGES_MAX &&
        (b->edge_count == 0 || edge > b->edges[b->edge_count - 1]))
        b->edges[b->edge_count++] = edge;
}

/* A number that is several deciles at once gets a bucket of its own, so that a canary which answers
 * a little less is told apart; the edges it saves are as many as it takes. */
static void learn_edges(struct buckets *b, double *numbers, size_t count)
{
    qsort(numbers, count, sizeof(numbers[0]), compare_numbers);
    for (size_t decile = 1; decile < 10; decile++) {
        double edge = numbers[(decile * count + 9) / 10 - 1];
        bool next_too = decile < 9 && numbers[((decile + 1) * count + 9) / 10 - 1] == edge;
        if (next_too)
            add_edge(b, nextafter(edge, -INFINITY));
        add_edge(b, edge);
    }
}

struct category_count {
    uint64_t category;
    size_t count;
};

static int compare_categories(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static int compare_counts(const void *a, const void *b)
{
    const struct category_count *x = a, *y = b;

    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return (x->category > y->category) - (x->category < y->category);
}

static void learn_categories(struct buckets *b, uint64_t *categories, size_t count)
{
    struct category_count *counts = xcalloc(count, sizeof(*counts));
    size_t distinct = 0;

    qsort(categories, count, sizeof(categories[0]), compare_categories);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || categories[i] != categories[i - 1])
            counts[distinct++].category = categories[i];
        counts[distinct - 1].count++;
    }
    qsort(counts, distinct, sizeof(counts[0]), compare_counts);
    for (size_t i = 0; i < distinct && i < SHIFT_REST; i++)
        b->categories[b->category_count++] = counts[i].category;
    free(counts);
}

static uint32_t id_of(const struct buckets *b)
{
    uint64_t h = hash_fnv1a((struct str){(const char *)b->edges, sizeof(b->edges)}) ^
                 hash_fnv1a((struct str){(const char *)b->categories, sizeof(b->categories)});
    uint32_t id = (uint32_t)(h ^ h >> 32);

    return id == 0 ? 1 : id;
}

/* Of what stable answered most often: numbers, or categories. */
static void set_buckets(struct buckets *b)
{
    double *numbers = xcalloc(REFERENCE_TEACH, sizeof(*numbers));
    uint64_t *categories = xcalloc(REFERENCE_TEACH, sizeof(*categories));
    size_t number_count = 0, category_count = 0;

    for (size_t i = 0; i < REFERENCE_TEACH; i++)
        if (b->learned[i].kind == VALUE_NUMBER)
            numbers[number_count++] = b->learned[i].number;
        else
            categories[category_count++] = b->learned[i].category;
    if (number_count >= category_count)
        learn_edges(b, numbers, number_count);
    else
        learn_categories(b, categories, category_count);
    free(numbers);
    free(categories);
    free(b->learned);
    b->learned = NULL;
    b->id = id_of(b);
    b->stand = true;
}

static void learn(struct buckets *b, const struct shift_value *v)
{
    if (b->learned == NULL)
        b->learned = xcalloc(REFERENCE_TEACH, sizeof(*b->learned));
    struct learned_value *l = &b->learned[b->learned_count++ % REFERENCE_TEACH];
    l->kind = (enum value_kind)v->kind;
    if (v->kind == VALUE_NUMBER)
        l->number = v->number;
    else
        l->category = v->category;
}

static uint32_t bucket_of(const struct buckets *b, const struct shift_value *v)
{
    uint32_t i = 0;

    if (v->kind == VALUE_NUMBER && b->edge_count > 0) {
        while (i < b->edge_count && v->number > b->edges[i])
            i++;
        return i;
    }
    if (v->kind == VALUE_CATEGORY && b->edge_count == 0)
        for (; i < b->category_count; i++)
            if (b->categories[i] == v->category)
                return i;
    return SHIFT_REST;
}

static struct buckets *buckets_of(struct reference *r, size_t criterion)
{
    for (size_t i = 0; i < r->buckets_count; i++)
        if (r->buckets[i].criterion == criterion)
            return &r->buckets[i];
    return NULL;
}

static void tell(struct buckets *b, uint32_t epoch, struct shift_delta *d)
{
    if (b->told && b->told_epoch == epoch)
        return;
    d->buckets_id = b->id;
    d->edge_count = b->edge_count;
    memcpy(d->edges, b->edges, sizeof(d->edges));
    b->told_epoch = epoch;
    b->told = true;
}

void reference_value(struct reference *r, const struct shift_value *v, struct observation *add_to)
{
    struct buckets *b = buckets_of(r, v->criterion);
    bool found = v->kind == VALUE_CATEGORY || (v->kind == VALUE_NUMBER && isfinite(v->number));

    if (b == NULL || v->variant >= VARIANT_COUNT)
        return;
    struct shift_delta *d = observation_shift_at(add_to, v->epoch, v->criterion);
    d->looked[v->variant]++;
    d->found[v->variant] += found;
    if (!b->stand && v->variant == VARIANT_CANARY && b->learned_count >= REFERENCE_TEACH)
        set_buckets(b);
    if (!b->stand) {
        if (found && v->variant == VARIANT_STABLE)
            learn(b, v);
        return;
    }
    tell(b, v->epoch, d);
    d->counts[v->variant][found ? bucket_of(b, v) : SHIFT_REST]++;
}
