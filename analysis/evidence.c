/* The two rings of a criterion have the same slots and are folded in step, because at the slots
 * where stable goes or comes back one takes over the other's level. For the same reason a change in
 * one makes the other dirty too: a late outcome before such a slot changes what is taken over.
 */
#include "analysis/evidence.h"

#include <math.h>

void evidence_init(struct evidence *e, const struct policy_criterion *c, bool hold,
                   const struct sequential_plan *plan)
{
    enum sequential_grid grid = criterion_is_time(c) ? GRID_TIMES : GRID_SHARES;
    *e = (struct evidence){.kind = EVIDENCE_ALONE};
    if (c->test != TEST_MAX) {
        e->kind = EVIDENCE_FROZEN;
        process_relative(&e->main, plan, c->ratio, c->delta, grid);
        process_frozen(&e->other, plan);
        return;
    }
    process_absolute(&e->main, plan, c->p0);
    if (hold) {
        e->kind = EVIDENCE_HELD;
        process_relative(&e->other, plan, 1, 0, grid);
    }
}

void evidence_deinit(struct evidence *e)
{
    process_deinit(&e->main);
    process_deinit(&e->other);
}

void evidence_reset(struct evidence *e)
{
    ring_reset(&e->main.ring);
    ring_reset(&e->other.ring);
}

void evidence_freeze(struct evidence *e, double p0)
{
    process_set_limit(&e->other, p0);
}

void evidence_open(struct evidence *e, double start, uint32_t weight_bp, enum evidence_turn turn)
{
    enum ring_turn main = turn == EVIDENCE_FRESH ? RING_FRESH : RING_ON, other = main;
    bool full = weight_bp >= WEIGHT_FULL_BP;
    switch (e->kind) {
    case EVIDENCE_ALONE:
        ring_open(&e->main.ring, start, main);
        return;
    case EVIDENCE_HELD:
        if (turn == EVIDENCE_ENTER_FULL)
            main = RING_LOWER;
        if (turn == EVIDENCE_LEAVE_FULL)
            other = RING_LEVEL;
        ring_open(&e->main.ring, start, main);
        ring_open(&e->other.ring, start, other);
        return;
    case EVIDENCE_FROZEN:
        ring_open(&e->main.ring, full ? 0 : start, main);
        ring_open(&e->other.ring, full ? start : 0, other);
        return;
    }
}

void evidence_set(struct evidence *e, size_t slot, const struct tally *tallies, size_t count,
                  struct evidence_news news)
{
    /* Without stable a comparison has nothing to say of a slot, with it the frozen limit has not:
     * a slot of one weight concerns one of the two. */
    bool one = e->kind == EVIDENCE_FROZEN && count == 1;
    bool full = one && tallies[0].weight_bp >= WEIGHT_FULL_BP;
    if ((news.canary || e->main.relative) && !full)
        process_set(&e->main, slot, tallies, count);
    if (e->kind == EVIDENCE_HELD && news.bad) /* REL(1, 0): the others are worth nothing */
        process_set(&e->other, slot, tallies, count);
    if (e->kind == EVIDENCE_FROZEN && news.canary && (!one || full))
        process_set(&e->other, slot, tallies, count);
}

void evidence_refold(struct evidence *e)
{
    struct ring *main = &e->main.ring, *other = &e->other.ring;
    if (e->kind != EVIDENCE_HELD) {
        ring_refold(main);
        ring_refold(other);
        return;
    }
    if (main->zero && other->zero) {
        main->dirty = other->dirty = main->count;
        return;
    }
    size_t from = main->dirty < other->dirty ? main->dirty : other->dirty;
    ring_touch(main, from);
    ring_touch(other, from);
    while (main->dirty < main->count) {
        double main_level = 0, other_level = 0;
        if (ring_slot_at(main, main->dirty)->turn == RING_LOWER ||
            ring_slot_at(other, main->dirty)->turn == RING_LEVEL) {
            for (size_t k = 0; k < main->points; k++)
                other_level += main->now[k];
            for (size_t k = 0; k < other->points; k++)
                main_level += other->now[k];
        }
        ring_step(main, main_level);
        ring_step(other, other_level);
    }
}

void evidence_close(struct evidence *e, size_t count)
{
    ring_close(&e->main.ring, count);
    if (e->kind != EVIDENCE_ALONE)
        ring_close(&e->other.ring, count);
}

double evidence_log_e_compared(const struct evidence *e)
{
    return fmax(ring_log_e(&e->main.ring), LOG_E_NONE);
}

double evidence_log_e_frozen(const struct evidence *e)
{
    return fmax(ring_log_e(&e->other.ring), LOG_E_NONE);
}

double evidence_log_e(const struct evidence *e, bool full)
{
    double sum = ring_sum(&e->main.ring);
    if (e->kind == EVIDENCE_HELD && !full)
        sum = fmin(sum, ring_sum(&e->other.ring));
    else if (e->kind == EVIDENCE_FROZEN)
        sum += ring_sum(&e->other.ring);
    return fmax(log(sum), LOG_E_NONE);
}
