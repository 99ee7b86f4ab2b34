/* What a rollout waits for, in a line for people: the half of document.h that is prose. It words
 * what rollout_next found, which is what the core moves by, so the line cannot say otherwise.
 */
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "controller/decision.h"
#include "controller/document.h"

static void add(struct strbuf *b, const char *text)
{
    strbuf_addf(b, "%s%s", b->len > 0 ? " and " : "", text);
}

/* min_requests and the evidence are both counted in requests: the larger number is the answer. */
static void add_requests(struct strbuf *b, const struct engine *e, const struct rollout_next *n)
{
    uint64_t left =
        n->requests_needed > n->requests_seen ? n->requests_needed - n->requests_seen : 0;
    uint64_t evidence = n->evidence_missing ? rollout_evidence_left(e->policy, &e->report) : 0;
    bool in_sight = evidence > 0 && evidence < INT64_MAX;
    char text[96], count[COUNT_TEXT_MAX];

    if (in_sight && evidence > left)
        left = evidence;
    if (left > 0) {
        snprintf(text, sizeof(text), "%s more request%s", count_text(left, count),
                 left == 1 ? "" : "s");
        add(b, text);
    }
    if (n->evidence_missing && !in_sight)
        add(b, "evidence that the limits hold (requests in flight, or too many bad ones)");
    if (n->no_data && left == 0) {
        uint32_t i = rollout_without_data(e->policy, &e->state, &e->report);
        if (i >= CRITERIA_MAX)
            return;
        snprintf(text, sizeof(text), "data for %.70s", e->policy->analysis.criteria[i].name);
        add(b, text);
    }
}

static const char *seconds(int64_t ns, char to[static UNITS_TEXT_MAX])
{
    return units_duration_text((ns + NS_PER_SEC - 1) / NS_PER_SEC * NS_PER_SEC, to);
}

/* So many requests that go well take the evidence for p1 against z down to where it is cleared. */
static uint64_t requests_to_clear(const struct engine *e)
{
    const struct probe *p = &e->state.retreat.probe;
    double each = log1p(-p->z) - log1p(-p->p1);
    double left = (e->report.probe.log_ratio + log(20)) / each;

    return left > 0 && left < 1e9 ? (uint64_t)ceil(left) : 0;
}

/* "asked again in 24s (visit 2 of 3)" */
static void add_retreat(struct strbuf *b, const struct engine *e, const struct rollout_next *n)
{
    const struct rollout_retreat *r = &e->state.retreat;
    char left[UNITS_TEXT_MAX], count[COUNT_TEXT_MAX];
    uint64_t more = n->probing ? requests_to_clear(e) : 0;

    if (n->probing && e->report.probe.requests == 0)
        strbuf_addf(b, "being asked again: waits for requests that %.80s counts, none so far",
                    r->probe.criterion < e->report.count
                        ? e->policy->analysis.criteria[r->probe.criterion].name
                        : "hard_down");
    else if (n->probing && more > 0)
        strbuf_addf(b, "being asked again: cleared by about %s more requests that go well",
                    count_text(more, count));
    else if (n->probing)
        strbuf_addf(b, "being asked again: cleared in a moment when it goes on so");
    else if (n->asked_in_ns == INT64_MAX)
        strbuf_addf(b, "it is asked again after %s", seconds(r->pause_ns, left));
    else
        strbuf_addf(b, "sent back, asked again in %s", seconds(n->asked_in_ns, left));
    strbuf_addf(b, " (visit %u of %zu)", r->visit + 1, e->policy->analysis.confirm_count + 1);
}

/* What speaks against the canary, and what would help. */
static void add_against(struct strbuf *b, const struct engine *e)
{
    const struct analysis_report *r = &e->report;
    uint32_t failed = r->failed_rollback | r->failed_pause;

    for (size_t i = 0; i < r->count && failed != 0; i++)
        if ((failed >> i & 1) != 0) {
            strbuf_addf(b,
                        "%.80s failed, which holds up every step: `sluice promote --force %s` goes "
                        "on, `sluice rollback %s` ends it",
                        e->policy->analysis.criteria[i].name, e->policy->name, e->policy->name);
            return;
        }
    if (r->stable_degraded && !r->alarm)
        strbuf_addf(b, "stable to recover: it breaks a limit itself");
    else
        strbuf_addf(b, "%.80s to clear: evidence %.1f, at %.1f the canary is taken back",
                    e->policy->analysis.criteria[r->worst].name, r->log_e, r->threshold);
}

static void add_progress(struct strbuf *b, const struct engine *e, const struct rollout_next *n)
{
    char left[UNITS_TEXT_MAX];

    if (n->retreated) {
        add_retreat(b, e, n);
        return;
    }
    if (n->against) {
        add_against(b, e);
        return;
    }
    add_requests(b, e, n);
    if (n->hold_left_ns > 0)
        add(b, seconds(n->hold_left_ns, left));
    if (n->approval && b->len > 0)
        add(b, "an approval");
    if (b->len == 0)
        strbuf_addf(b, "goes on at the next look");
}

char *document_next_text(const struct engine *e, const struct rollout_next *n,
                         char to[static NEXT_TEXT_MAX])
{
    const char *name = e->policy->name;
    struct strbuf b;

    strbuf_init(&b, NEXT_TEXT_MAX - 1);
    switch (e->state.phase) {
    case PHASE_IDLE:
        strbuf_addf(&b, "no canary");
        break;
    case PHASE_PENDING:
        strbuf_addf(&b, e->policy->start_auto ? "starts at the next look" : "`sluice promote %s`",
                    name);
        break;
    case PHASE_PAUSED:
        strbuf_addf(&b, "`sluice resume %s`", name);
        if (n->retreated) {
            strbuf_addf(&b, "; then ");
            add_retreat(&b, e, n);
        } else if (!n->retreated && e->report.failed_pause != 0 &&
                   e->policy->analysis.mode == MODE_ENFORCE) {
            strbuf_addf(&b, "; then ");
            add_against(&b, e);
        }
        break;
    case PHASE_AWAITING_APPROVAL:
        strbuf_addf(&b, "`sluice approve %s`", name);
        if (n->retreated) {
            strbuf_addf(&b, "; ");
            add_retreat(&b, e, n);
        }
        break;
    case PHASE_PROMOTED:
        strbuf_addf(&b, "nothing: %s serves", e->state.canary_version);
        break;
    case PHASE_ROLLED_BACK:
        strbuf_addf(&b, "another version, or `sluice retry %s`", name);
        break;
    case PHASE_PROGRESSING:
    case PHASE_BAKING:
        if (e->policy->analysis.mode == MODE_OBSERVE)
            strbuf_addf(&b, "nothing: the mode is observe");
        else
            add_progress(&b, e, n);
        break;
    case PHASE_SMOKE_TESTING:
    case PHASE_COUNT:
        break;
    }
    snprintf(to, NEXT_TEXT_MAX, "%s", strbuf_cstr(&b));
    strbuf_deinit(&b);
    return to;
}
