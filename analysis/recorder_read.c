/* What the control thread and the admin API read: sums over the shards, of counters that go on. */
#include "analysis/recorder.h"

#include <string.h>

#include "analysis/examples.h"
#include "analysis/recorder_part.h"
#include "base/clock.h"

void recorder_read(struct recorder *r, uint32_t rollout, struct observation *obs)
{
    for (size_t i = 0; i < r->shard_count; i++) {
        struct recorder_part *p = recorder_part_seen(r, i, rollout);
        if (p != NULL)
            cells_read(p->cells, obs);
    }
}

uint64_t recorder_alarms(const struct recorder *r, uint32_t rollout)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < r->shard_count; i++) {
        const struct recorder_part *p = recorder_part_seen(r, i, rollout);
        if (p != NULL)
            sum += atomic_load_explicit(&p->alarms, memory_order_acquire);
    }
    return sum;
}

static void add_totals(const struct recorder_part *p, struct recorder_totals *to)
{
    for (size_t v = 0; v < VARIANT_COUNT; v++) {
        struct recorder_variant_totals *variant = &to->variants[v];
        for (size_t k = 0; k < OUTCOME_KIND_COUNT; k++) {
            uint64_t retries = recorder_get(&p->retry_outcomes[v][k]);
            variant->outcomes[k] += recorder_get(&p->outcomes[v][k]);
            variant->retry_outcomes[k] += retries;
            variant->retries += retries;
        }
        variant->voided += recorder_get(&p->voided[v]);
        variant->dispatched += recorder_get(&p->dispatched[v]);
    }
    for (size_t k = 0; k < RESULT_KIND_COUNT; k++)
        to->results[k] += recorder_get(&p->results[k]);
    to->overflows += recorder_get(&p->overflows);
    if (p->values != NULL)
        to->values_lost += value_ring_lost(p->values);
}

void recorder_shard_totals(const struct recorder *r, size_t shard, uint32_t rollout,
                           struct recorder_totals *ret)
{
    const struct recorder_part *p = recorder_part_seen(r, shard, rollout);
    *ret = (struct recorder_totals){0};
    if (p != NULL)
        add_totals(p, ret);
}

void recorder_totals(const struct recorder *r, uint32_t rollout, struct recorder_totals *ret)
{
    *ret = (struct recorder_totals){0};
    for (size_t i = 0; i < r->shard_count; i++) {
        const struct recorder_part *p = recorder_part_seen(r, i, rollout);
        if (p != NULL)
            add_totals(p, ret);
    }
}

void recorder_endpoint_totals(const struct recorder *r, uint32_t rollout, enum variant variant,
                              uint32_t endpoint, uint64_t ret[static OUTCOME_KIND_COUNT])
{
    for (size_t k = 0; k < OUTCOME_KIND_COUNT; k++)
        ret[k] = 0;
    for (size_t i = 0; i < r->shard_count; i++) {
        const struct recorder_part *p = recorder_part_seen(r, i, rollout);
        if (p == NULL || endpoint >= p->policy->versions[variant].endpoint_count)
            continue;
        for (size_t k = 0; k < OUTCOME_KIND_COUNT; k++)
            ret[k] += recorder_get(&p->endpoints[variant][endpoint * OUTCOME_KIND_COUNT + k]);
    }
}

static void merge(struct histogram_view *into, struct histogram *const _Atomic *at)
{
    const struct histogram *h = atomic_load_explicit(at, memory_order_acquire);

    if (h != NULL)
        histogram_merge(into, h);
}

void recorder_histogram(const struct recorder *r, uint32_t rollout, enum variant variant,
                        enum recorder_histogram which, struct histogram_view *ret)
{
    *ret = (struct histogram_view){0};
    for (size_t i = 0; i < r->shard_count; i++) {
        const struct recorder_part *p = recorder_part_seen(r, i, rollout);
        if (p == NULL)
            continue;
        merge(ret, &p->histograms[variant][which]);
        if (which == HIST_LATENCY)
            merge(ret, &p->histograms[variant][HIST_OTHER_LATENCY]);
    }
}

void recorder_moving_histogram(const struct recorder *r, uint32_t rollout, size_t criterion,
                               struct histogram_view *ret)
{
    *ret = (struct histogram_view){0};
    for (size_t i = 0; i < r->shard_count; i++) {
        const struct recorder_part *p = recorder_part_seen(r, i, rollout);
        for (size_t k = 0; p != NULL && k < p->group_count; k++) {
            const struct moving_group *g = &p->groups[k];
            if ((g->criteria >> criterion & 1) != 0)
                merge(ret,
                      g->all_latency ? &p->histograms[VARIANT_STABLE][HIST_LATENCY] : &g->times);
        }
    }
}

void recorder_values(struct recorder *r, uint32_t rollout,
                     void (*take)(void *ctx, const struct shift_value *), void *ctx)
{
    for (size_t i = 0; i < r->shard_count; i++) {
        struct recorder_part *p = recorder_part_seen(r, i, rollout);
        if (p != NULL && p->values != NULL)
            value_ring_take(p->values, take, ctx);
    }
}

/* --- examples ------------------------------------------------------------------------------ */

/* Among the newest, which are sorted; one request once, as it was last. */
static size_t insert(struct recorder_example *newest, size_t count, size_t max,
                     const struct recorder_example *e)
{
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        if (e->id[0] == '\0' || strcmp(newest[i].id, e->id) != 0)
            continue;
        if (newest[i].wall_ns > e->wall_ns)
            return count;
        memmove(&newest[i], &newest[i + 1], (count - i - 1) * sizeof *e);
        count--;
        break;
    }
    while (at < count && newest[at].wall_ns > e->wall_ns)
        at++;
    if (at == max)
        return count;
    if (count == max)
        count--;
    memmove(&newest[at + 1], &newest[at], (count - at) * sizeof *e);
    newest[at] = *e;
    return count + 1;
}

size_t recorder_examples(const struct recorder *r, uint32_t rollout, struct recorder_example *ret,
                         size_t max)
{
    int64_t wall_ns = clock_wall(&clock_system) - clock_mono(&clock_system);
    size_t count = 0;

    for (size_t i = 0; i < r->shard_count; i++) {
        const struct recorder_part *p = recorder_part_seen(r, i, rollout);
        struct recorder_example of[EXAMPLES_KEPT];
        size_t found = p == NULL ? 0 : examples_read(p->examples, of);
        for (size_t k = 0; k < found; k++)
            count = insert(ret, count, max, &of[k]);
    }
    for (size_t i = 0; i < count; i++)
        ret[i].wall_ns += wall_ns;
    return count;
}
