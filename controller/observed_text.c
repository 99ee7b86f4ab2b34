/* Words for what criteria count. Event streams are called so where nothing else is looked at. */
#include "controller/observed_text.h"

#include <math.h>

#include "base/units.h"
#include "controller/decision.h"

const char *observed_noun(const struct policy_criterion *c)
{
    if (c == NULL)
        return "request";
    bool streams = c->metric == METRIC_STREAM_TRUNCATION_RATE ||
                   c->metric == METRIC_STREAM_STALL_RATE || c->metric == METRIC_STREAM_EMPTY_RATE ||
                   c->metric == METRIC_STREAM_ERROR_RATE ||
                   c->metric == METRIC_TIME_TO_FIRST_TOKEN || c->metric == METRIC_INTER_TOKEN_GAP ||
                   c->metric == METRIC_TIME_PER_OUTPUT_TOKEN || c->where.stream == WHERE_STREAM;
    return streams ? "stream" : "request";
}

/* "4xx or 429" */
static void add_kinds(struct strbuf *b, uint32_t kinds)
{
    const char *between = "";

    for (int k = 0; k < OUTCOME_KIND_COUNT; k++) {
        if ((kinds & outcome_bit((enum outcome_kind)k)) == 0)
            continue;
        kinds &= ~outcome_bit((enum outcome_kind)k);
        strbuf_addf(b, "%s%s", between, outcome_names[k]);
        between = (kinds & (kinds - 1)) == 0 ? " or " : ", ";
    }
}

/* "500ms", or "1.3 times stable's p99" */
static void add_time_limit(struct strbuf *b, const struct policy_criterion *c)
{
    char limit[UNITS_TEXT_MAX];

    if (c->test == TEST_MAX)
        strbuf_addf(b, "%s", units_duration_text(c->limit_ns, limit));
    else
        strbuf_addf(b, "%g times stable's p%g", c->limit, 100 * c->quantile);
}

void observed_verb(struct strbuf *b, const struct policy_criterion *c)
{
    switch (c == NULL ? METRIC_ERROR_RATE : c->metric) {
    case METRIC_ERROR_RATE:
        strbuf_addf(b, "failed");
        break;
    case METRIC_OUTCOME:
        strbuf_addf(b, "ended in ");
        add_kinds(b, c->kinds);
        break;
    case METRIC_CLIENT_ABORT_RATE:
        strbuf_addf(b, "were given up by the client before the first byte");
        break;
    case METRIC_STREAM_TRUNCATION_RATE:
        strbuf_addf(b, "were cut short");
        break;
    case METRIC_STREAM_STALL_RATE:
        strbuf_addf(b, "fell silent");
        break;
    case METRIC_STREAM_EMPTY_RATE:
        strbuf_addf(b, "said nothing");
        break;
    case METRIC_STREAM_ERROR_RATE:
        strbuf_addf(b, "ended with an error event");
        break;
    case METRIC_LATENCY:
        strbuf_addf(b, "took longer than ");
        add_time_limit(b, c);
        break;
    case METRIC_TIME_TO_FIRST_TOKEN:
        strbuf_addf(b, "had their first token later than ");
        add_time_limit(b, c);
        break;
    case METRIC_INTER_TOKEN_GAP:
        strbuf_addf(b, "were silent between two tokens for longer than ");
        add_time_limit(b, c);
        break;
    case METRIC_TIME_PER_OUTPUT_TOKEN:
        strbuf_addf(b, "took longer per token than ");
        add_time_limit(b, c);
        break;
    case METRIC_RESPONSE_SIZE:
    case METRIC_TOKEN_USAGE:
    case METRIC_DRIFT:
    case METRIC_COUNT:
        strbuf_addf(b, "are distributed otherwise");
        break;
    }
}

/* "PSI 0.31 (limit 0.2) between 1,200 values of the canary and 10,310 of stable" */
static void add_shift(struct strbuf *b, const struct policy_criterion *c,
                      const struct criterion_report *r)
{
    char canary[COUNT_TEXT_MAX], stable[COUNT_TEXT_MAX];
    bool psi = c->shift == SHIFT_PSI;
    double distance = psi ? fmax(r->shift.psi_debiased, 0) : r->shift.ks;

    count_text(r->shift.values[VARIANT_CANARY], canary);
    count_text(r->shift.values[VARIANT_STABLE], stable);
    if (r->shift.psi < 0)
        strbuf_addf(b, "too few values to compare yet (%s of the canary, %s of stable)", canary,
                    stable);
    else
        strbuf_addf(b, "%s %.3g (limit %g) between %s values of the canary and %s of stable",
                    psi ? "PSI" : "KS distance", distance, c->limit, canary, stable);
}

/* "; stable 0.1% of 2,301"; "; of stable's 2,301 requests 9% over its own p90" */
static void add_stable(struct strbuf *b, const struct policy_criterion *c,
                       const struct criterion_report *r)
{
    char share[COUNT_TEXT_MAX], count[COUNT_TEXT_MAX];
    uint64_t requests = r->requests[VARIANT_STABLE];

    if (requests == 0)
        return;
    share_text((double)r->bad[VARIANT_STABLE] / (double)requests, share);
    count_text(requests, count);
    if (criterion_is_time(c) && c->test != TEST_MAX)
        strbuf_addf(b, "; of stable's %s %s over its own p%g", count, share, 100 * c->quantile);
    else
        strbuf_addf(b, "; stable %s of %s", share, count);
}

/* "allowed 1%" */
static void add_allowed(struct strbuf *b, const struct policy_criterion *c,
                        const struct criterion_report *r)
{
    char share[COUNT_TEXT_MAX];

    if (r->frozen)
        strbuf_addf(b, "; allowed %s, frozen when stable's traffic ended",
                    share_text(r->frozen_p0, share));
    else if (criterion_is_time(c) && c->test == TEST_MAX)
        strbuf_addf(b, "; allowed %s", share_text(c->p0, share));
}

/* "45 of 45 canary requests failed (8.3% of 579 in this step" */
static void add_lately(struct strbuf *b, const struct policy_criterion *c,
                       const struct retreat_seen *lately, const char *share, const char *count)
{
    char bad[COUNT_TEXT_MAX], requests[COUNT_TEXT_MAX];

    strbuf_addf(b, "%s of %s canary %s%s ", count_text(lately->bad, bad),
                count_text(lately->requests, requests), observed_noun(c),
                lately->requests == 1 ? "" : "s");
    observed_verb(b, c);
    strbuf_addf(b, " (%s of %s in this step", share, count);
}

void observed_text(struct strbuf *b, const struct policy_criterion *c,
                   const struct criterion_report *r, const struct retreat_seen *lately)
{
    uint64_t requests = r->requests[VARIANT_CANARY], bad = r->bad[VARIANT_CANARY];
    char share[COUNT_TEXT_MAX], count[COUNT_TEXT_MAX];

    strbuf_addf(b, "%s: ", c->name);
    if (c->test == TEST_SHIFT) {
        add_shift(b, c, r);
        return;
    }
    if (requests == 0) {
        strbuf_addf(b, "no canary %ss in this step yet", observed_noun(c));
        return;
    }
    share_text((double)bad / (double)requests, share);
    count_text(requests, count);
    if (lately != NULL && lately->requests > 0 && lately->requests < requests) {
        add_lately(b, c, lately, share, count);
    } else {
        strbuf_addf(b, "%s of %s canary %s%s ", share, count, observed_noun(c),
                    requests == 1 ? "" : "s");
        observed_verb(b, c);
        if (c->metric == METRIC_ERROR_RATE)
            strbuf_addf(b, " (%s error%s", count_text(bad, count), bad == 1 ? "" : "s");
        else
            strbuf_addf(b, " (%s of them", count_text(bad, count));
    }
    add_allowed(b, c, r);
    add_stable(b, c, r);
    strbuf_addf(b, ")");
    if (c->method == METHOD_WINDOW && r->window.fails_in_a_row > 0)
        strbuf_addf(b, ", over the limit in the last %u windows of %s", r->window.fails_in_a_row,
                    units_duration_text(c->window_ns, share));
}
