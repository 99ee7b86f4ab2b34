/* A request fits when one of the methods is its own and one of the prefixes fits its path; an empty
 * list fits everything. */
#include "analysis/where.h"

static bool prefix_fits(struct str path, struct str prefix)
{
    return str_starts_with(path, prefix) &&
           (prefix.len == 0 || path.len == prefix.len || prefix.ptr[prefix.len - 1] == '/' ||
            path.ptr[prefix.len] == '/');
}

static bool method_fits(const struct policy_where *w, struct str method)
{
    for (size_t i = 0; i < w->method_count; i++)
        if (str_eq(str_from(w->methods[i]), method))
            return true;
    return w->method_count == 0;
}

static bool path_fits(const struct policy_where *w, struct str path)
{
    for (size_t i = 0; i < w->path_count; i++)
        if (prefix_fits(path, str_from(w->paths[i])))
            return true;
    return w->path_count == 0;
}

bool where_any(const struct policy_analysis *a)
{
    for (size_t c = 0; c < a->criteria_count; c++)
        if (a->criteria[c].where.path_count + a->criteria[c].where.method_count > 0)
            return true;
    return false;
}

uint32_t where_applies(const struct policy_analysis *a, struct str method, struct str path)
{
    uint32_t applies = 0;

    for (size_t c = 0; c < a->criteria_count; c++) {
        const struct policy_where *w = &a->criteria[c].where;
        if (method_fits(w, method) && path_fits(w, path))
            applies |= UINT32_C(1) << c;
    }
    return applies;
}
