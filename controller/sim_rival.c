/* Thresholds on windows. That a window of few requests decides like one of many is theirs. */
#include "controller/sim_rival.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"

static const struct {
    struct str name;
    uint32_t limit;
} kinds[] = {
    [SIM_ARGO] = {{"argo", 4}, 3},
    [SIM_FLAGGER] = {{"flagger", 7}, 5},
};

static double policy_limit(const struct policy *p)
{
    for (size_t i = 0; i < p->analysis.criteria_count; i++) {
        const struct policy_criterion *c = &p->analysis.criteria[i];
        if (c->metric == METRIC_ERROR_RATE && c->test == TEST_MAX)
            return c->limit;
    }
    return 0.01;
}

int sim_rival_parse(struct str text, const struct policy *policy, struct sim_rival_rules *ret,
                    struct error *reterr)
{
    struct str whole = text, name, interval, limit;
    uint64_t number = 0;
    int kind = SIM_ARGO;

    str_split(&text, ':', &name);
    while (kind <= SIM_FLAGGER && !str_eq(name, kinds[kind].name))
        kind++;
    if (kind > SIM_FLAGGER)
        return error_set(reterr, -EINVAL, "\"%.*s\" is neither argo nor flagger",
                         (int)(name.len < 60 ? name.len : 60), name.ptr);
    *ret = (struct sim_rival_rules){.kind = (enum sim_rival_kind)kind,
                                    .interval_ns = 60 * NS_PER_SEC,
                                    .limit = kinds[kind].limit,
                                    .max_errors = policy_limit(policy)};
    bool ok = true;
    if (str_split(&text, ':', &interval))
        ok = units_parse_duration(interval, &ret->interval_ns) && ret->interval_ns >= NS_PER_SEC;
    if (ok && str_split(&text, ':', &limit)) {
        ok = str_to_u64(limit, &number) && number <= 1000;
        ret->limit = (uint32_t)number;
    }
    if (ok && text.ptr != NULL)
        ok = units_parse_share(text, &ret->max_errors);
    if (ok)
        return 0;
    error_set(reterr, -EINVAL, "\"%.*s\": after the name come interval, failures and share",
              (int)(whole.len < 60 ? whole.len : 60), whole.ptr);
    error_hint(reterr, "such as argo:60s:0:1%%");
    return -EINVAL;
}

char *sim_rival_name(const struct sim_rival_rules *r, char to[static SIM_RIVAL_NAME_MAX])
{
    char interval[UNITS_TEXT_MAX], share[UNITS_TEXT_MAX];

    snprintf(to, SIM_RIVAL_NAME_MAX, STR_FMT ":%s:%u:%s", STR_ARG(kinds[r->kind].name),
             units_duration_text(r->interval_ns, interval), r->limit,
             units_share_text(r->max_errors, share));
    return to;
}

void sim_rival_begin(struct sim_rival *r, const struct sim_rival_rules *rules,
                     const struct policy *policy)
{
    memset(r, 0, sizeof(*r));
    r->rules = *rules;
    r->policy = policy;
    r->step = 1;
}

static enum sim_rival_move go_on(struct sim_rival *r, int64_t since_ns)
{
    if (since_ns - r->step_ns < r->policy->steps[r->step - 1].hold_ns)
        return SIM_RIVAL_STAYS;
    if (r->step == r->policy->step_count)
        return SIM_RIVAL_PROMOTES;
    r->step++;
    r->step_ns = since_ns;
    return SIM_RIVAL_STEPS;
}

enum sim_rival_move sim_rival_look(struct sim_rival *r, int64_t since_ns, uint64_t settled,
                                   uint64_t errors)
{
    bool argo = r->rules.kind == SIM_ARGO;

    if (since_ns - r->checked_ns < r->rules.interval_ns)
        return argo ? go_on(r, since_ns) : SIM_RIVAL_STAYS;
    r->checked_ns += r->rules.interval_ns;
    if (!argo && r->failures >= r->rules.limit)
        return SIM_RIVAL_REVERTS;
    uint64_t n = settled - r->settled, bad = errors - r->errors;
    r->settled = settled;
    r->errors = errors;
    bool fails = n > 0 ? (double)bad > (double)n * r->rules.max_errors : !argo;
    r->failures += fails;
    if (argo && r->failures > r->rules.limit)
        return SIM_RIVAL_REVERTS;
    return fails && !argo ? SIM_RIVAL_STAYS : go_on(r, since_ns);
}
