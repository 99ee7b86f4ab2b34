/* What happens is decided once per slot, at the first look in a later one: looks come at different
 * times in production and in simulation, and the ends of slots are what they have in common.
 */
#include "analysis/placebo.h"

#include <math.h>
#include <stdlib.h>

#include "analysis/evidence.h"
#include "base/arena.h"

#define BURST_NATS   3.0
#define BURST_GAP_NS (INT64_C(2) * 1000000000)
#define HOUR_NS      (INT64_C(3600) * 1000000000)
#define PAUSE_NS     (INT64_C(30) * 1000000000) /* where the policy has none */

static bool plays(const struct policy_criterion *c)
{
    return c->test == TEST_MAX && c->method == METHOD_SEQUENTIAL && c->on_fail == ON_FAIL_ROLLBACK;
}

void placebo_init(struct placebo *p, const struct policy *policy,
                  const struct sequential_plan *plan)
{
    const struct policy_analysis *a = &policy->analysis;
    *p = (struct placebo){.policy = policy, .plan = *plan, .back_at = -1};
    for (uint32_t c = 0; c < a->criteria_count; c++)
        if (plays(&a->criteria[c]))
            p->criteria[p->count++] = c;
    p->tests = xcalloc(p->count > 0 ? p->count : 1, sizeof p->tests[0]);
    for (size_t i = 0; i < p->count; i++) {
        const struct policy_criterion *c = &a->criteria[p->criteria[i]];
        p->plan.share = c->weight;
        process_absolute(&p->tests[i], &p->plan, c->p0);
    }
    p->pause = (a->confirm_count > 0 ? a->confirm_ns[0] : PAUSE_NS) / a->slot_ns;
}

void placebo_deinit(struct placebo *p)
{
    for (size_t i = 0; i < p->count; i++)
        process_deinit(&p->tests[i]);
    free(p->tests);
    p->tests = NULL;
    p->count = 0;
}

void placebo_reset(struct placebo *p)
{
    for (size_t i = 0; i < p->count; i++)
        ring_reset(&p->tests[i].ring);
    p->begun = p->degraded = p->in_burst = false;
    p->back_at = -1;
}

void placebo_open(struct placebo *p, int64_t slot, uint64_t length)
{
    bool paused = p->back_at >= 0 && slot < p->back_at;
    bool fresh = !paused && (!p->begun || p->given.slots >= p->plan.slots);
    if (fresh) {
        p->begun = true;
        p->back_at = -1;
        p->given = (struct sequential_starts){0};
    }
    double start =
        paused ? 0 : sequential_start(&p->plan, &p->given, fresh ? 1 : length, fresh, false);
    for (size_t i = 0; i < p->count; i++)
        ring_open(&p->tests[i].ring, start, fresh ? RING_FRESH : RING_ON);
    p->last_slot = slot;
}

bool placebo_concerns(const struct placebo *p, const struct slot_counts *more)
{
    bool any = p->count > 0 && more->dispatched > 0;
    for (size_t i = 0; i < p->count; i++)
        any = any || (more->bad[p->criteria[i]] | more->excluded[p->criteria[i]]) != 0;
    return any;
}

void placebo_set(struct placebo *p, size_t slot, const struct slot_counts *stable)
{
    for (size_t i = 0; i < p->count; i++) {
        struct tally t = {0}; /* stable in the canary's place */
        t.n[VARIANT_CANARY] = slot_counts_sample(stable, p->criteria[i]);
        t.bad[VARIANT_CANARY] = stable->bad[p->criteria[i]];
        process_set(&p->tests[i], slot, &t, 1);
    }
}

void placebo_refold(struct placebo *p)
{
    for (size_t i = 0; i < p->count; i++)
        ring_refold(&p->tests[i].ring);
}

static double combined(const struct placebo *p)
{
    double sum = 0;
    for (size_t i = 0; i < p->count; i++)
        sum += p->policy->analysis.criteria[p->criteria[i]].weight * ring_sum(&p->tests[i].ring);
    return sum;
}

void placebo_look(struct placebo *p)
{
    if (p->count == 0 || p->back_at >= 0)
        return;
    double e = combined(p);
    /* A test that has just begun is below 1 whatever stable does. */
    if (e < 1 && p->given.slots > (uint64_t)p->plan.min_bad_slots + 2)
        p->degraded = false;
    if (e < 1 / p->plan.alpha)
        return;
    p->degraded = true;
    p->begun = false;
    p->back_at = p->last_slot + 1 + p->pause;
    p->trips[p->sent_back++ % PLACEBO_TRIPS] = p->last_slot;
}

/* The most evidence that the slot's failures give at any point of the grid. */
static double nats(const struct process *test, uint64_t n, uint64_t bad)
{
    double log_ratio[SEQUENTIAL_POINTS_MAX], most = -INFINITY;
    sequential_log_ratio(&test->known[0].factors, n, bad, 0, log_ratio);
    for (size_t k = 0; k < test->ring.points; k++)
        most = fmax(most, log_ratio[k]);
    return most;
}

static bool is_bad(const struct placebo *p, const struct slot_counts *stable)
{
    for (size_t i = 0; i < p->count; i++) {
        uint64_t bad = stable->bad[p->criteria[i]];
        if (bad > 0 &&
            nats(&p->tests[i], slot_counts_sample(stable, p->criteria[i]), bad) >= BURST_NATS)
            return true;
    }
    return false;
}

static void measure(struct placebo *p, int64_t slot)
{
    int64_t gap_ns = (slot - p->burst_last - 1) * p->policy->analysis.slot_ns;
    if (!p->in_burst || gap_ns > BURST_GAP_NS) {
        p->bursts++;
        p->burst_first = slot;
    }
    p->in_burst = true;
    p->burst_last = slot;
    if (slot - p->burst_first + 1 > p->longest)
        p->longest = slot - p->burst_first + 1;
}

void placebo_close(struct placebo *p, const struct window_slot *w)
{
    for (size_t i = 0; i < p->count; i++)
        ring_close(&p->tests[i].ring, 1);
    if (is_bad(p, &w->counts[VARIANT_STABLE]))
        measure(p, w->slot);
}

double placebo_log_e(const struct placebo *p)
{
    return fmax(log(combined(p)), LOG_E_NONE);
}

uint64_t placebo_last_hour(const struct placebo *p)
{
    uint64_t kept = p->sent_back < PLACEBO_TRIPS ? p->sent_back : PLACEBO_TRIPS, count = 0;
    for (uint64_t i = 0; i < kept; i++)
        count += (p->last_slot - p->trips[i]) * p->policy->analysis.slot_ns < HOUR_NS;
    return count;
}
