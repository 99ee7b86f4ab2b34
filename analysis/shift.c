#include "analysis/shift.h"

#include <math.h>
#include <string.h>

void shift_init(struct shift *s)
{
    memset(s, 0, sizeof(*s));
    s->closed_log_e = -INFINITY;
}

void shift_weight(struct shift *s, uint32_t epoch, uint32_t weight_bp)
{
    (void)s, (void)epoch, (void)weight_bp;
}

void shift_observe(struct shift *s, const struct shift_delta *d)
{
    (void)s, (void)d;
}

void shift_report(const struct shift *s, const struct shift_rule *rule, struct shift_report *ret)
{
    (void)s;
    memset(ret, 0, sizeof(*ret));
    ret->threshold = log(1 / rule->alpha);
    ret->w1 = -1;
}
