/* An analysis as bytes. What follows from counts is not written: the factors of every open slot,
 * and the evidence from the oldest open slot on, come out the same, bit for bit, when the slots are
 * folded again. So what is kept of a ring is the evidence before its oldest slot, and of each slot
 * its start weight.
 *
 * A file may hold anything: what would make an analysis that cannot be is refused, and so is one of
 * another policy.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "analysis/analysis_state.h"
#include "analysis/codec.h"

enum { VERSION = 2 };
#define EVIDENCE_MAX 1e251

/* Small enough that times in nanoseconds can be made of differences. */
static void code_slot(struct codec *x, const struct analysis *a, int64_t *slot)
{
    int64_t max = INT64_MAX / 4 / a->policy->analysis.slot_ns;
    codec_i64(x, slot);
    if (*slot > max || *slot < -max) {
        x->bad = true;
        *slot = 0;
    }
}

static void code_count(struct codec *x, uint64_t *n)
{
    codec_u64(x, n);
    if (*n > (UINT64_C(1) << 60)) {
        x->bad = true;
        *n = 0;
    }
}

/* What the policy is, as far as it shapes the evidence: read, it must be the same. */
static void same_double(struct codec *x, double is)
{
    double d = is;
    codec_double(x, &d, -INFINITY, INFINITY);
    if (memcmp(&d, &is, sizeof d) != 0)
        x->bad = true;
}

static void same_number(struct codec *x, uint64_t is)
{
    uint64_t n = is;
    codec_u64(x, &n);
    if (n != is)
        x->bad = true;
}

static void code_policy(struct codec *x, const struct analysis *a)
{
    const struct policy_analysis *p = &a->policy->analysis;
    same_number(x, VERSION);
    same_double(x, a->plan.alpha);
    same_number(x, a->plan.steps);
    same_number(x, a->plan.slots);
    same_number(x, a->plan.bake_slots);
    same_number(x, a->plan.min_bad_slots);
    same_number(x, (uint64_t)p->slot_ns);
    same_number(x, (uint64_t)a->wide.length);
    same_number(x, p->on_stable_degraded);
    same_number(x, policy_compares(a->policy));
    same_number(x, a->count);
    for (size_t c = 0; c < a->count; c++) {
        const struct policy_criterion *k = &p->criteria[c];
        same_number(x, k->metric);
        same_number(x, k->test);
        same_number(x, k->method);
        same_number(x, k->on_fail);
        same_number(x, k->frozen_on_fail);
        same_double(x, k->weight);
        same_double(x, k->p0);
        same_double(x, k->ratio);
        same_double(x, k->delta);
    }
}

/* --- small parts --------------------------------------------------------------------------- */

static void code_starts(struct codec *x, struct sequential_starts *s)
{
    code_count(x, &s->slots);
    code_count(x, &s->bake_slots);
    code_count(x, &s->steps);
}

static void code_shares(struct codec *x, struct shares *s)
{
    codec_u64(x, &s->sample); /* differences are added to them: they wrap, and wrap back */
    codec_u64(x, &s->bad);
    codec_u64(x, &s->pending);
}

static void code_run(struct codec *x, const struct analysis *a, struct run *r)
{
    codec_u64(x, &r->failures);
    code_slot(x, a, &r->first_slot);
    code_slot(x, a, &r->last_slot);
}

static void code_visit(struct codec *x, const struct analysis *a, struct visit *v)
{
    codec_bool(x, &v->active);
    codec_max(x, &v->asked.criterion, CRITERIA_MAX);
    codec_double(x, &v->asked.p1, 0, 1);
    codec_double(x, &v->asked.z, 0, 1);
    code_slot(x, a, &v->begin);
    code_shares(x, &v->closed);
    codec_double(x, &v->closed_least, -INFINITY, INFINITY);
    const struct probe *p = &v->asked;
    bool asks = p->z > 0 && p->z < p->p1 && p->p1 < 1 &&
                (p->criterion < a->count || p->criterion == CRITERIA_MAX);
    if (v->active && !asks)
        x->bad = true;
}

/* --- rings --------------------------------------------------------------------------------- */

/* Leaves a ring that was read with slots that hold nothing yet. */
static void code_ring(struct codec *x, struct ring *r, size_t slots)
{
    double base[SEQUENTIAL_POINTS_MAX] = {0}, last = 0;
    bool any = false;
    if (!codec_reads(x))
        memcpy(base, ring_base(r), sizeof base);
    else
        ring_reset(r);
    for (size_t k = 0; k < r->points; k++)
        any = any || base[k] > 0;
    codec_bool(x, &any);
    for (size_t k = 0; any && k < r->points; k++)
        codec_double(x, &base[k], 0, EVIDENCE_MAX);
    if (codec_reads(x))
        ring_set_base(r, base);
    for (size_t i = 0; i < slots && !x->bad; i++) {
        const struct ring_slot *s = codec_reads(x) ? NULL : ring_slot_at(r, i);
        double start = s == NULL ? last : s->start;
        bool other = memcmp(&start, &last, sizeof start) != 0;
        uint32_t head = s == NULL ? 0 : (uint32_t)s->turn << 1 | other;
        codec_max(x, &head, RING_LEVEL << 1 | 1);
        if ((head & 1) != 0)
            codec_double(x, &start, 0, 1);
        if (s == NULL)
            ring_open(r, start, (enum ring_turn)(head >> 1));
        last = start;
    }
}

static void code_evidence(struct codec *x, struct evidence *e, size_t slots)
{
    code_ring(x, &e->main.ring, slots);
    if (e->kind != EVIDENCE_ALONE)
        code_ring(x, &e->other.ring, slots);
}

/* --- criteria ------------------------------------------------------------------------------ */

static void code_record(struct codec *x, struct step_record *r)
{
    for (size_t v = 0; v < VARIANT_COUNT; v++) {
        code_shares(x, &r->step[v]);
        code_shares(x, &r->rollout[v]);
    }
    code_shares(x, &r->before);
    code_shares(x, &r->closed.sum);
    codec_bytes(x, r->closed.at, sizeof r->closed.at);
}

static void code_values(struct codec *x, struct criterion *c)
{
    if (c->shift != NULL) {
        codec_bytes(x, c->shift, sizeof *c->shift);
        if (c->shift->edge_count > SHIFT_EDGES_MAX || c->shift->epoch_count > SHIFT_EPOCHS ||
            c->shift->weight_count > SHIFT_WEIGHTS)
            x->bad = true;
    }
    if (c->method != NULL) {
        uint8_t failed; /* no value of a bool but these two may be looked at as one */
        codec_bytes(x, c->method, sizeof *c->method);
        memcpy(&failed, &c->method->failed, 1);
        if (failed > 1) {
            window_method_init(c->method);
            x->bad = true;
        }
    }
}

static void code_criterion(struct codec *x, const struct analysis *a, struct criterion *c)
{
    code_record(x, &c->record);
    codec_bool(x, &c->failed);
    code_values(x, c);
    if (!c->sequential)
        return;
    codec_double(x, &c->frozen_p0, 0, 1);
    code_shares(x, &c->since);
    if (codec_reads(x) && c->frozen_p0 > 0 && c->frozen_p0 < 1)
        criterion_set_frozen(c, c->frozen_p0);
    code_evidence(x, &c->fast, a->window.count);
    if (c->is_wide)
        code_evidence(x, &c->wide, (size_t)a->wide.slots);
}

/* --- slots --------------------------------------------------------------------------------- */

static void code_counts(struct codec *x, struct slot_counts *n, size_t criteria)
{
    codec_max(x, &n->dispatched, UINT32_MAX);
    codec_max(x, &n->settled, UINT32_MAX);
    codec_max(x, &n->errors, UINT32_MAX);
    codec_max(x, &n->excused, UINT32_MAX);
    for (size_t c = 0; c < criteria; c++) {
        codec_u32(x, &n->bad[c]);
        codec_u32(x, &n->excluded[c]);
        codec_i32(x, &n->overdue[c]);
    }
}

static void code_slot_head(struct codec *x, const struct analysis *a, struct window_slot *w)
{
    code_slot(x, a, &w->slot);
    codec_u32(x, &w->epoch);
    codec_max(x, &w->weight_bp, WEIGHT_FULL_BP);
    codec_u32(x, &w->step);
    codec_u32(x, &w->visit);
    codec_u64(x, &w->segment);
    uint64_t first = a->wide.first_segment;
    if (w->segment != 0 && (w->segment < first || w->segment >= first + a->wide.count)) {
        x->bad = true;
        w->segment = 0;
    }
}

static void code_window(struct codec *x, struct analysis *a)
{
    size_t count = a->window.count;
    const struct window_slot *before = NULL;
    codec_size(x, &count, a->open_max);
    for (size_t i = 0; i < count && !x->bad; i++) {
        struct window_slot *w =
            codec_reads(x) ? window_push(&a->window, 0, 0, 0, 0) : window_at(&a->window, i);
        code_slot_head(x, a, w);
        for (size_t v = 0; v < VARIANT_COUNT; v++)
            code_counts(x, &w->counts[v], a->count);
        before = i > 0 ? window_at(&a->window, i - 1) : NULL;
        if (before != NULL &&
            (before->epoch > w->epoch || (before->epoch == w->epoch && before->slot > w->slot)))
            x->bad = true;
    }
    if (a->started && a->window.count == 0)
        x->bad = true;
}

static void code_tally(struct codec *x, struct tally *t)
{
    for (size_t v = 0; v < VARIANT_COUNT; v++) {
        code_count(x, &t->n[v]);
        code_count(x, &t->bad[v]);
    }
}

static void code_segment(struct codec *x, struct analysis *a, size_t index)
{
    struct wide *w = &a->wide;
    uint64_t slot = codec_reads(x) ? 0 : wide_segment_at(w, index)->slot;
    uint32_t weight_bp = codec_reads(x) ? 0 : wide_segment_at(w, index)->tallies[0].weight_bp;
    codec_u64(x, &slot);
    codec_max(x, &weight_bp, WEIGHT_FULL_BP);
    uint64_t least = index == 0 ? w->first_slot : wide_segment_at(w, index - 1)->slot;
    if (x->bad || slot < least || slot - w->first_slot >= w->slots || weight_bp == 0) {
        x->bad = true;
        return;
    }
    struct wide_segment *s =
        codec_reads(x) ? wide_segment_push(w, weight_bp) : wide_segment_at(w, index);
    s->slot = slot;
    s->dirty = 0;
    for (size_t c = 0; c < a->count; c++) {
        if (!a->criteria[c].is_wide)
            continue;
        code_tally(x, &s->tallies[c]);
        s->dirty |= codec_reads(x) ? UINT32_C(1) << c : 0;
    }
}

static void code_wide(struct codec *x, struct analysis *a)
{
    struct wide *w = &a->wide;
    size_t count = w->count;
    codec_bool(x, &w->started);
    codec_bool(x, &w->step_start);
    code_slot(x, a, &w->origin);
    code_slot(x, a, &w->index);
    code_starts(x, &w->given);
    code_count(x, &w->first_slot);
    code_count(x, &w->slots);
    code_count(x, &w->first_segment);
    codec_size(x, &count, WIDE_SEGMENTS_MAX * a->open_max);
    if (w->slots > count || (w->started && count == 0) || w->first_segment == 0)
        x->bad = true;
    for (size_t i = 0; i < count && !x->bad; i++)
        code_segment(x, a, i);
    if (w->started && !x->bad &&
        wide_segment_at(w, w->count - 1)->slot != w->first_slot + w->slots - 1)
        x->bad = true;
}

static void code_placebo(struct codec *x, struct analysis *a)
{
    struct placebo *p = &a->placebo;
    code_starts(x, &p->given);
    codec_bool(x, &p->begun);
    code_slot(x, a, &p->back_at);
    codec_bool(x, &p->degraded);
    code_slot(x, a, &p->last_slot);
    code_count(x, &p->sent_back);
    uint64_t trips = p->sent_back < PLACEBO_TRIPS ? p->sent_back : PLACEBO_TRIPS;
    for (uint64_t i = 0; i < trips; i++)
        code_slot(x, a, &p->trips[i]);
    codec_bool(x, &p->in_burst);
    code_slot(x, a, &p->burst_first);
    code_slot(x, a, &p->burst_last);
    code_count(x, &p->bursts);
    code_slot(x, a, &p->longest);
    for (size_t i = 0; i < p->count; i++)
        code_ring(x, &p->tests[i].ring, a->window.count);
}

/* --- all of it ----------------------------------------------------------------------------- */

static void code(struct codec *x, struct analysis *a)
{
    code_policy(x, a);
    if (x->bad)
        return;
    codec_bool(x, &a->started);
    codec_u32(x, &a->first_epoch);
    codec_u32(x, &a->epoch);
    codec_max(x, &a->weight_bp, WEIGHT_FULL_BP);
    codec_u32(x, &a->step);
    codec_u32(x, &a->visit_count);
    codec_bool(x, &a->baking);
    code_starts(x, &a->given);
    code_starts(x, &a->lesser_given);
    codec_u64(x, &a->step_requests);
    codec_i64(x, &a->in_flight);
    code_run(x, a, &a->closed_run);
    codec_bool(x, &a->run_tripped);
    code_visit(x, a, &a->visit);
    code_slot(x, a, &a->first_bad_slot);
    if (!x->bad)
        code_wide(x, a);
    if (!x->bad)
        code_window(x, a);
    for (size_t c = 0; c < a->count && !x->bad; c++)
        code_criterion(x, a, &a->criteria[c]);
    if (!x->bad)
        code_placebo(x, a);
}

int analysis_save(const struct analysis *a, struct strbuf *to)
{
    struct codec x = {.to = to};
    code(&x, (struct analysis *)a); /* which a writer does not change */
    return to->overflow ? -ENOBUFS : 0;
}

int analysis_load(struct analysis *a, struct str from, struct error *reterr)
{
    struct codec x = {.from = from};
    analysis_reset(a);
    code(&x, a);
    if (!x.bad && x.from.len == 0) {
        analysis_refill(a);
        return 0;
    }
    placebo_deinit(&a->placebo);
    placebo_init(&a->placebo, a->policy, &a->plan);
    analysis_reset(a);
    for (size_t c = 0; c < a->count; c++)
        a->criteria[c].record.before = (struct shares){0};
    return error_set(reterr, -EINVAL, "it is no evidence of this policy, or was damaged");
}
