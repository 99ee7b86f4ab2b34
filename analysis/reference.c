#include "analysis/reference.h"

#include <stdlib.h>

#include "base/arena.h"

struct reference {
    struct moving_limits limits;
};

struct reference *reference_new(const struct policy *policy)
{
    (void)policy;
    return NULL;
}

void reference_free(struct reference *r)
{
    free(r);
}

bool reference_look(struct reference *r, int64_t now_ns, reference_histogram *histogram, void *ctx)
{
    (void)r, (void)now_ns, (void)histogram, (void)ctx;
    return false;
}

const struct moving_limits *reference_limits(const struct reference *r)
{
    return &r->limits;
}

void reference_value(struct reference *r, const struct shift_value *v, struct observation *add_to)
{
    (void)r, (void)v, (void)add_to;
}
