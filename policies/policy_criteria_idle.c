/* Warnings of criteria that cannot do anything. None is an error, since nothing is lost; but they
 * only look as if they did something.
 *
 * Of two limits for the same thing the stricter is always broken first; one that does more when it
 * is broken (a report at 0.5 %, a rollback at 1 %) is not idle. */
#include "base/check.h"
#include "policies/policy_criteria.h"

static bool same_texts(const char *const *a, size_t a_count, const char *const *b, size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

static bool same_requests(const struct policy_where *a, const struct policy_where *b)
{
    return a->stream == b->stream && same_texts(a->paths, a->path_count, b->paths, b->path_count) &&
           same_texts(a->methods, a->method_count, b->methods, b->method_count);
}

/* Errors and named outcomes are shares of the same requests. */
static bool same_population(const struct policy_criterion *a, const struct policy_criterion *b)
{
    const uint32_t outcomes = METRIC_BIT(METRIC_ERROR_RATE) | METRIC_BIT(METRIC_OUTCOME);

    if ((METRIC_BIT(a->metric) & outcomes) != 0 && (METRIC_BIT(b->metric) & outcomes) != 0)
        return true;
    return a->metric == b->metric && (a->field == NULL || strcmp(a->field, b->field) == 0) &&
           a->shift == b->shift;
}

/* Whether what breaks `loose` always breaks `k`, which is at least as grave, first. */
static bool is_stricter(const struct policy_criterion *k, const struct policy_criterion *loose)
{
    if (!same_population(k, loose) || k->test != loose->test || k->method != loose->method ||
        k->on_fail > loose->on_fail || !same_requests(&k->where, &loose->where))
        return false;
    if (k->method == METHOD_WINDOW &&
        (k->window_ns != loose->window_ns || k->window_consecutive > loose->window_consecutive ||
         k->window_min_requests > loose->window_min_requests))
        return false;
    if ((k->kinds & loose->kinds) != loose->kinds || k->quantile < loose->quantile ||
        k->limit > loose->limit || k->delta > loose->delta)
        return false;
    if (k->test == TEST_MAX_RATIO && k->quantile > loose->quantile)
        return false; /* each quantile is compared with stable's own */
    if (criterion_is_relative(k) && k->kinds != loose->kinds)
        return false;
    return k->limit < loose->limit || k->delta < loose->delta || k->quantile > loose->quantile ||
           k->kinds != loose->kinds;
}

static void warn_of_looser(const struct policy_criteria *c)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct policy_criterion *loose = &c->items[i], *stricter = NULL;
        for (size_t j = 0; j < c->count && loose->at.line != 0; j++) {
            const struct policy_criterion *k = &c->items[j];
            if (k->group != loose->group && is_stricter(k, loose) &&
                (stricter == NULL || k->limit < stricter->limit))
                stricter = k;
        }
        if (stricter == NULL)
            continue;
        struct source_pos at = {c->reader->path, loose->at.line, loose->at.column};
        diagnostics_warnf(c->reader->errors, at, "keep the one that you mean",
                          "\"%s\" never decides: \"%s\" (line %u) is stricter", loose->name,
                          stricter->name, stricter->at.line);
    }
}

/* --- nothing to compare with --- */

static void warn_of_alone(const struct policy_criteria *c)
{
    const struct policy *p = c->policy;
    const struct policy_criterion *first = NULL;
    size_t count = 0;

    if (p->step_count == 0 || p->steps[0].weight_bp != WEIGHT_FULL_BP || p->bake.control_bp > 0)
        return;
    for (size_t i = 0; i < c->count; i++) {
        const struct policy_criterion *k = &c->items[i];
        if (!criterion_is_relative(k) && k->test != TEST_SHIFT)
            continue;
        first = first == NULL ? k : first;
        count++;
    }
    if (first == NULL)
        return;
    struct source_pos at = first->at.line != 0 ? first->at : p->steps[0].at;
    at.file = c->reader->path;
    diagnostics_warnf(c->reader->errors, at, "begin with a smaller step, or keep bake.control",
                      count > 1 ? "\"%s\" and others are never judged: the first step sends "
                                  "everything to the canary"
                                : "\"%s\" is never judged: the first step sends everything to the "
                                  "canary",
                      first->name);
}

static void warn_of_no_rollback(const struct policy_criteria *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->items[i].on_fail == ON_FAIL_ROLLBACK)
            return;
    if (c->count == 0 || c->policy->analysis.hard_down_failures > 0)
        return;
    struct source_pos at = {c->reader->path, c->items[0].at.line, c->items[0].at.column};
    diagnostics_warnf(c->reader->errors, at, "give one of them on_fail: rollback",
                      "nothing ever takes this canary back: no criterion does, and hard_down is "
                      "off");
}

void policy_criteria_warn_of_idle(const struct policy_criteria *c)
{
    warn_of_alone(c);
    warn_of_no_rollback(c);
    warn_of_looser(c);
}
