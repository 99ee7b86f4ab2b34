/* Making and unmaking. A part is made by the worker whose request is the first of its rollout; what
 * the workers share (how new endpoints are, limits that follow stable) is made with the recorder.
 */
#include "analysis/recorder_part.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/examples.h"
#include "base/arena.h"
#include "base/check.h"

enum { LIMIT_WORDS = sizeof(struct moving_limits) / sizeof(uint64_t) };

/* --- criteria that follow stable ----------------------------------------------------------- */

static bool same_texts(const char *const *a, size_t a_count, const char *const *b, size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

static bool same_samples(const struct policy_criterion *a, const struct policy_criterion *b)
{
    const struct policy_where *v = &a->where, *w = &b->where;

    return a->metric == b->metric && v->stream == w->stream &&
           same_texts(v->paths, v->path_count, w->paths, w->path_count) &&
           same_texts(v->methods, v->method_count, w->methods, w->method_count);
}

static void make_groups(struct recorder_part *p)
{
    const struct policy_criterion *criteria = p->policy->analysis.criteria;

    p->groups = xcalloc((size_t)__builtin_popcount(p->judge.moving) + 1, sizeof p->groups[0]);
    for (uint32_t left = p->judge.moving; left != 0;) {
        const struct policy_criterion *first = &criteria[__builtin_ctz(left)];
        struct moving_group *g = &p->groups[p->group_count++];
        g->metric = (uint8_t)first->metric;
        for (uint32_t more = left; more != 0; more &= more - 1)
            if (same_samples(first, &criteria[__builtin_ctz(more)]))
                g->criteria |= more & -more;
        left &= ~g->criteria;
        const struct policy_where *w = &first->where;
        g->all_latency = first->metric == METRIC_LATENCY && w->stream == WHERE_ANY &&
                         w->path_count + w->method_count == 0;
        p->splits_latency = p->splits_latency || g->all_latency;
    }
}

/* The policy's own limits, and those that follow stable (NULL: none is known). Returns the criteria
 * that have none. */
static uint32_t find_limits(const struct judge *j, const struct moving_limits *moving,
                            enum variant variant, int64_t *ret)
{
    uint32_t without = 0;

    for (size_t i = 0; i < j->time_count; i++) {
        size_t c = j->time[i].criterion;
        ret[i] = j->time[i].limit_ns;
        if ((j->moving >> c & 1) == 0)
            continue;
        if (moving != NULL)
            ret[i] = variant == VARIANT_STABLE ? moving->stable_ns[c] : moving->canary_ns[c];
        if (moving == NULL || ret[i] < 0) {
            ret[i] = JUDGE_NO_LIMIT;
            without |= UINT32_C(1) << c;
        }
    }
    return without;
}

static void set_limits(struct recorder_part *p, const struct moving_limits *moving)
{
    const struct judge *j = &p->judge;
    int64_t words[VARIANT_COUNT * (1 + (CRITERIA_MAX + 1) * STEP_WORDS + CRITERIA_MAX)];
    size_t size = recorder_limits_size(j);
    uint32_t without = 0;

    for (size_t v = 0; v < VARIANT_COUNT; v++) {
        int64_t limits[CRITERIA_MAX], *of = &words[v * size];
        struct judge_step steps[CRITERIA_MAX + 1];
        without |= find_limits(j, moving, (enum variant)v, limits);
        judge_steps(j, limits, steps);
        int64_t lowest_ns = steps[0].limit_ns;
        of[0] = lowest_ns != JUDGE_NO_LIMIT ? lowest_ns / WHEEL_TICK_NS : -1;
        memcpy(&of[1], steps, (j->plain_count + 1) * sizeof steps[0]);
        memcpy(&of[1 + (j->plain_count + 1) * STEP_WORDS], limits,
               j->time_count * sizeof limits[0]);
    }
    cells_set_limits(p->cells, words, without);
}

void recorder_part_limits(struct recorder_part *p)
{
    union {
        struct moving_limits limits;
        uint64_t words[LIMIT_WORDS];
    } moving;

    if (p->limits == NULL || snapshot_sequence(p->limits) == p->limits_seen)
        return;
    /* When they are just being written: with the next cell. */
    if (snapshot_load(p->limits, moving.words, LIMIT_WORDS, &p->limits_seen))
        set_limits(p, &moving.limits);
}

void recorder_limits(struct recorder *r, uint32_t rollout, const struct moving_limits *limits)
{
    union {
        struct moving_limits limits;
        uint64_t words[LIMIT_WORDS];
    } moving = {.limits = *limits};

    CHECK(rollout < r->rollout_count);
    if (r->limits[rollout] != NULL)
        snapshot_store(r->limits[rollout], moving.words, LIMIT_WORDS);
}

/* --- parts --------------------------------------------------------------------------------- */

static struct recorder_part *part_new(const struct recorder_shard *shard, uint32_t rollout)
{
    const struct recorder *r = shard->recorder;
    struct recorder_part *p = xcalloc(1, sizeof *p);
    const struct policy *policy = r->set->policies[rollout];

    p->shard = shard;
    p->policy = policy;
    judge_init(&p->judge, &policy->analysis);
    p->cells = cells_new(policy->analysis.criteria_count, recorder_limits_size(&p->judge));
    p->slot_ns = policy->analysis.slot_ns;
    p->warm_ups = &r->warm_ups[rollout];
    p->limits = r->limits[rollout];
    make_groups(p);
    set_limits(p, NULL);
    recorder_part_limits(p);
    if (p->judge.shifts != 0)
        p->values = value_ring_new();
    p->examples = examples_new();
    for (size_t v = 0; v < VARIANT_COUNT; v++) {
        size_t endpoints = policy->versions[v].endpoint_count;
        p->endpoints[v] = xcalloc(endpoints + 1, OUTCOME_KIND_COUNT * sizeof(counter));
        p->warm[v] = xcalloc(endpoints + 1, sizeof(bool));
        p->endpoint_count[v] = endpoints;
        p->new_endpoints[v] = p->judge.times != 0 ? endpoints : 0;
    }
    return p;
}

static void part_free(struct recorder_part *p)
{
    if (p == NULL)
        return;
    for (size_t v = 0; v < VARIANT_COUNT; v++) {
        free(p->endpoints[v]);
        free(p->warm[v]);
        for (size_t h = 0; h < HIST_KEPT; h++)
            free(atomic_load_explicit(&p->histograms[v][h], memory_order_relaxed));
    }
    for (size_t g = 0; g < p->group_count; g++)
        free(atomic_load_explicit(&p->groups[g].times, memory_order_relaxed));
    free(p->groups);
    examples_free(p->examples);
    value_ring_free(p->values);
    cells_free(p->cells);
    free(p);
}

struct recorder_part *recorder_part_add(struct recorder_shard *shard, uint32_t rollout)
{
    struct recorder_part *p = part_new(shard, rollout);
    atomic_store_explicit(&shard->parts[rollout], p, memory_order_release);
    return p;
}

struct recorder_part *recorder_part_seen(const struct recorder *r, size_t shard, uint32_t rollout)
{
    CHECK(shard < r->shard_count);
    CHECK(rollout < r->rollout_count);
    return atomic_load_explicit(&r->shards[shard]->parts[rollout], memory_order_acquire);
}

struct histogram *recorder_make_histogram(struct histogram *_Atomic *at)
{
    struct histogram *h = xcalloc(1, sizeof *h);

    atomic_store_explicit(at, h, memory_order_release);
    return h;
}

/* --- the whole ----------------------------------------------------------------------------- */

static bool follows_stable(const struct policy_analysis *a)
{
    for (size_t c = 0; c < a->criteria_count; c++)
        if (criterion_follows_stable(&a->criteria[c]))
            return true;
    return false;
}

static struct recorder_shard *shard_new(struct recorder *r)
{
    struct recorder_shard *shard = xcalloc(1, sizeof *shard);

    shard->recorder = r;
    shard->rollout_count = r->rollout_count;
    shard->parts = xcalloc(r->rollout_count + 1, sizeof shard->parts[0]);
    for (size_t b = 0; b < WHEEL_BUCKETS; b++)
        list_init(&shard->wheel[b]);
    return shard;
}

struct recorder *recorder_new(size_t shards, const struct policy_set *set)
{
    struct recorder *r = xcalloc(1, sizeof *r);

    r->set = set;
    r->shard_count = shards;
    r->rollout_count = set->count;
    r->warm_ups = xcalloc(set->count + 1, sizeof r->warm_ups[0]);
    r->limits = xcalloc(set->count + 1, sizeof(struct snapshot *));
    for (size_t i = 0; i < set->count; i++) {
        const struct policy *policy = set->policies[i];
        for (size_t v = 0; v < VARIANT_COUNT; v++)
            r->warm_ups[i].endpoints[v] =
                xcalloc(policy->versions[v].endpoint_count + 1, sizeof(struct warm_up));
        if (follows_stable(&policy->analysis))
            r->limits[i] = xcalloc(1, snapshot_size(LIMIT_WORDS));
    }
    r->shards = xcalloc(shards + 1, sizeof(struct recorder_shard *));
    for (size_t i = 0; i < shards; i++)
        r->shards[i] = shard_new(r);
    return r;
}

void recorder_free(struct recorder *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->shard_count; i++) {
        for (size_t p = 0; p < r->rollout_count; p++)
            part_free(atomic_load_explicit(&r->shards[i]->parts[p], memory_order_relaxed));
        free((void *)r->shards[i]->parts);
        free(r->shards[i]);
    }
    for (size_t i = 0; i < r->rollout_count; i++) {
        for (size_t v = 0; v < VARIANT_COUNT; v++)
            free(r->warm_ups[i].endpoints[v]);
        free(r->limits[i]);
    }
    free(r->warm_ups);
    free(r->limits);
    free(r->shards);
    free(r);
}

struct recorder_shard *recorder_shard(struct recorder *r, size_t index)
{
    CHECK(index < r->shard_count);
    return r->shards[index];
}
