/* Sums over the window that runs. A request counts where it ended: one that was known bad while in
 * flight counts when it ends, so that the share stays one of whole requests. */
#include "analysis/window_method.h"

#include <math.h>
#include <string.h>

void window_method_init(struct window_method *w)
{
    memset(w, 0, sizeof(*w));
    w->last[VARIANT_STABLE] = w->last[VARIANT_CANARY] = -1;
}

static void add(struct window_method *w, size_t criterion, const struct slot_delta *d)
{
    for (int v = 0; v < VARIANT_COUNT; v++) {
        const struct slot_counts *c = &d->variants[v];
        w->began[v] += c->dispatched;
        w->ended[v] += c->settled;
        w->excluded[v] += c->excluded[criterion];
        w->bad[v] += (int64_t)c->bad[criterion] - c->overdue[criterion];
    }
}

static double samples(const struct window_method *w, int v)
{
    double began = (double)w->began[v], ended = (double)w->ended[v];
    double excluded = (double)w->excluded[v];
    double all =
        excluded <= began && began > 0 ? ended * (began - excluded) / began : ended - excluded;

    return fmax(all, (double)w->bad[v]);
}

static bool is_enough(const struct window_method *w, const struct policy_criterion *c, int v)
{
    return samples(w, v) > 0 && samples(w, v) >= (double)c->window_min_requests;
}

static bool is_over(const struct window_method *w, const struct policy_criterion *c)
{
    double limit = c->p0;

    if (criterion_is_relative(c))
        limit = c->ratio * w->last[VARIANT_STABLE] + c->delta;
    return w->last[VARIANT_CANARY] > limit;
}

static void end_window(struct window_method *w, const struct policy_criterion *c)
{
    bool enough = is_enough(w, c, VARIANT_CANARY) &&
                  (!criterion_is_relative(c) || is_enough(w, c, VARIANT_STABLE));

    if (enough) {
        for (int v = 0; v < VARIANT_COUNT; v++)
            w->last[v] = samples(w, v) > 0 ? (double)w->bad[v] / samples(w, v) : -1;
        w->windows++;
        w->short_in_a_row = 0;
        w->fails_in_a_row = is_over(w, c) ? w->fails_in_a_row + 1 : 0;
        w->failed = w->failed || w->fails_in_a_row >= c->window_consecutive;
    } else if (samples(w, VARIANT_CANARY) > 0) {
        w->short_in_a_row++;
    }
    for (int v = 0; v < VARIANT_COUNT; v++)
        w->began[v] = w->ended[v] = w->excluded[v] = w->bad[v] = 0;
}

void window_method_observe(struct window_method *w, const struct policy_analysis *a,
                           size_t criterion, uint32_t first_epoch, const struct observation *o,
                           int64_t now_ns)
{
    const struct policy_criterion *c = &a->criteria[criterion];

    if (w->end_ns == 0)
        w->end_ns = now_ns - now_ns % a->slot_ns + c->window_ns;
    for (size_t i = 0; i < o->count; i++)
        if (o->deltas[i].epoch >= first_epoch)
            add(w, criterion, &o->deltas[i]);
    if (now_ns < w->end_ns)
        return;
    end_window(w, c);
    w->end_ns += ((now_ns - w->end_ns) / c->window_ns + 1) * c->window_ns;
}
