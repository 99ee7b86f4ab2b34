/* analysis/examples.h — the last few bad requests of a canary, for people who ask which.
 *
 * One writer, any readers, no lock: what a reader gets is whole. Two rings, so that what is bad for
 * a criterion that every second request is bad for does not crowd out the errors.
 */
#ifndef ANALYSIS_EXAMPLES_H
#define ANALYSIS_EXAMPLES_H

#include <stddef.h>
#include <stdint.h>

#include "analysis/recorder.h"

enum {
    EXAMPLES_RARE = 8,
    EXAMPLES_USUAL = 4,
    EXAMPLES_KEPT = EXAMPLES_RARE + EXAMPLES_USUAL,
};

struct examples;

struct examples *examples_new(void);
void examples_free(struct examples *);
/* The writer. wall_ns of an example is a monotonic time here. Usual ones are taken once a second.
 */
bool examples_wanted(const struct examples *, bool rare, int64_t now_ns);
void examples_add(struct examples *, bool rare, const struct recorder_example *);
/* A reader: up to EXAMPLES_KEPT, in no order. */
size_t examples_read(const struct examples *, struct recorder_example *ret);

#endif
