#include <errno.h>

#include "analysis/analysis_state.h"

int analysis_save(const struct analysis *a, struct strbuf *to)
{
    (void)a;
    (void)to;
    return -ENOTSUP;
}

int analysis_load(struct analysis *a, struct str from, struct error *reterr)
{
    (void)from;
    analysis_reset(a);
    return error_set(reterr, -EINVAL, "not an analysis");
}
