/* Between the ports and a reference. Values come before limits: a value is counted into buckets
 * that stood when it was seen, a limit is for requests that are yet to come. */
#include "controller/references.h"

#include <stddef.h>

struct taking {
    struct reference *reference;
    struct observation *add_to;
};

static void take(void *ctx, const struct shift_value *value)
{
    struct taking *t = ctx;

    reference_value(t->reference, value, t->add_to);
}

struct looking {
    const struct controller_ports *ports;
    uint32_t rollout;
};

static void histogram(void *ctx, size_t criterion, struct histogram_view *ret)
{
    const struct looking *l = ctx;

    l->ports->moving_histogram(l->ports->ctx, l->rollout, criterion, ret);
}

void references_observe(struct reference *reference, const struct controller_ports *ports,
                        uint32_t rollout, int64_t now_ns, bool alone, struct observation *add_to)
{
    if (reference == NULL)
        return;
    if (ports->values != NULL) {
        struct taking taking = {reference, add_to};
        ports->values(ports->ctx, rollout, take, &taking);
    }
    if (ports->moving_histogram == NULL || ports->limits == NULL)
        return;
    struct looking looking = {ports, rollout};
    if (reference_look(reference, now_ns, alone, histogram, &looking))
        ports->limits(ports->ctx, rollout, reference_limits(reference));
}
