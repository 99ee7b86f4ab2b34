/* The arithmetic behind `sluice check --rps`: no-harm evidence takes a number of requests that does
 * not depend on how fast they come (analysis/sequential.h), so that time is that number over the
 * canary's share of the rate. */
#include "cli/traffic.h"

#include "analysis/sequential.h"
#include "base/clock.h"
#include "base/units.h"
#include "cli/output.h"
#include "controller/rollout.h"

uint64_t traffic_needed(const struct policy *p, size_t step)
{
    uint64_t needed = p->steps[step].min_requests;

    if (needed == 0)
        needed = 1;
    for (size_t i = 0;
         rollout_needs_evidence(p, (uint32_t)step + 1) && i < p->analysis.criteria_count; i++) {
        const struct policy_criterion *c = &p->analysis.criteria[i];
        uint64_t more = c->test == TEST_MAX
                            ? sequential_requests_more(0, 0, c->p0, p->analysis.max_bad_promotion)
                            : 0;
        needed = more > needed ? more : needed;
    }
    return needed;
}

/* How long `needed` requests take; at most a hundred years. */
static int64_t time_for(uint64_t needed, uint32_t weight_bp, double rps)
{
    double seconds = (double)needed / (rps * weight_bp / WEIGHT_FULL_BP);

    return seconds > 3e9 ? (int64_t)3e9 * NS_PER_SEC : (int64_t)(seconds + 1) * NS_PER_SEC;
}

bool traffic_describe(const struct policy *p, double rps, struct strbuf *out)
{
    char weight[UNITS_TEXT_MAX], time[UNITS_TEXT_MAX], hold[UNITS_TEXT_MAX], count[COUNT_TEXT_MAX];
    bool enough = true, in_time = true;

    for (size_t i = 0; i < p->step_count; i++) {
        const struct policy_step *step = &p->steps[i];
        uint64_t needed = traffic_needed(p, i);
        int64_t time_ns = time_for(needed, step->weight_bp, rps);
        if (time_ns <= step->hold_ns + NS_PER_SEC)
            continue;
        bool never = time_ns > p->analysis.max_hold_ns;
        in_time = false;
        enough = enough && !never;
        strbuf_addf(out, "  %s: the step of %s needs %s canary requests: %s at %.6g/s, ", p->name,
                    units_share_text((double)step->weight_bp / WEIGHT_FULL_BP, weight),
                    output_count((double)needed, count), units_duration_text(time_ns, time), rps);
        strbuf_addf(out, never ? "more than its max_hold of %s\n" : "longer than its hold of %s\n",
                    units_duration_text(never ? p->analysis.max_hold_ns : step->hold_ns, hold));
    }
    if (in_time)
        strbuf_addf(out, "  %s: %.6g requests/s suffice for every step within its hold\n", p->name,
                    rps);
    return enough;
}
