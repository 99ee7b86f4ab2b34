/* What a rollout waits for, in a line for people: the half of document.h that is prose. It words
 * what rollout_next found, which is what the core moves by, so the line cannot say otherwise.
 */
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
    if (n->no_data && left == 0)
        for (size_t i = 0; i < e->report.count; i++)
            if (e->report.criteria[i].verdict == VERDICT_NO_DATA) {
                snprintf(text, sizeof(text), "data for %.70s",
                         e->policy->analysis.criteria[i].name);
                add(b, text);
                return;
            }
}

static void add_progress(struct strbuf *b, const struct engine *e, const struct rollout_next *n)
{
    char left[UNITS_TEXT_MAX];

    if (n->against) {
        strbuf_addf(b, "%s to clear: evidence %.1f, at %.1f the canary is taken back",
                    e->policy->analysis.criteria[e->report.worst].name, e->report.log_e,
                    e->report.threshold);
        return;
    }
    add_requests(b, e, n);
    if (n->hold_left_ns > 0) {
        int64_t seconds = (n->hold_left_ns + NS_PER_SEC - 1) / NS_PER_SEC;
        add(b, units_duration_text(seconds * NS_PER_SEC, left));
    }
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
        break;
    case PHASE_AWAITING_APPROVAL:
        strbuf_addf(&b, "`sluice approve %s`", name);
        break;
    case PHASE_PROMOTED:
        strbuf_addf(&b, "nothing: %s serves", e->state.canary_version);
        break;
    case PHASE_ROLLED_BACK:
        strbuf_addf(&b, "another version, or `sluice retry %s`", name);
        break;
    case PHASE_PROGRESSING:
        if (e->policy->analysis.mode == MODE_OBSERVE)
            strbuf_addf(&b, "nothing: the mode is observe");
        else
            add_progress(&b, e, n);
        break;
    case PHASE_SMOKE_TESTING:
    case PHASE_BAKING:
    case PHASE_COUNT:
        break;
    }
    snprintf(to, NEXT_TEXT_MAX, "%s", strbuf_cstr(&b));
    strbuf_deinit(&b);
    return to;
}
