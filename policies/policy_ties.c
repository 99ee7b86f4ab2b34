/* Sorts every (host, path) of every policy, so that only equals are compared pair by pair. */
#include "policies/policy_ties.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

struct entry {
    const char *host, *path; /* "": any */
    size_t conditions, index;
};

static int compare_place(const struct entry *a, const struct entry *b)
{
    int by_host = strcmp(a->host, b->host);
    int by_path = by_host != 0 ? by_host : strcmp(a->path, b->path);

    if (by_path != 0)
        return by_path;
    return a->conditions < b->conditions ? -1 : a->conditions > b->conditions;
}

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int by_place = compare_place(x, y);

    return by_place != 0 ? by_place : (x->index > y->index) - (x->index < y->index);
}

static bool methods_overlap(const struct policy_match *a, const struct policy_match *b)
{
    if (a->method_count == 0 || b->method_count == 0)
        return true;
    for (size_t i = 0; i < a->method_count; i++)
        for (size_t j = 0; j < b->method_count; j++)
            if (strcmp(a->methods[i], b->methods[j]) == 0)
                return true;
    return false;
}

static bool headers_overlap(const struct policy_match *a, const struct policy_match *b)
{
    for (size_t i = 0; i < a->header_count; i++)
        for (size_t j = 0; j < b->header_count; j++)
            if (strcmp(a->headers[i].name, b->headers[j].name) == 0 &&
                strcmp(a->headers[i].value, b->headers[j].value) != 0)
                return false;
    return true;
}

static size_t at_least_one(size_t n)
{
    return n == 0 ? 1 : n;
}

static struct entry *list_entries(const struct policy *const *policies, size_t count,
                                  size_t *ret_count)
{
    size_t total = 0, n = 0;

    for (size_t i = 0; i < count; i++)
        total += at_least_one(policies[i]->match.host_count) *
                 at_least_one(policies[i]->match.path_count);
    struct entry *entries = xcalloc(total, sizeof(*entries));
    for (size_t i = 0; i < count; i++) {
        const struct policy_match *m = &policies[i]->match;
        for (size_t h = 0; h < at_least_one(m->host_count); h++)
            for (size_t p = 0; p < at_least_one(m->path_count); p++)
                entries[n++] = (struct entry){m->host_count == 0 ? "" : m->hosts[h],
                                              m->path_count == 0 ? "" : m->paths[p],
                                              policy_match_conditions(m), i};
    }
    *ret_count = total;
    return entries;
}

static bool is_known(const struct policy_tie *ties, size_t count, size_t later)
{
    for (size_t i = 0; i < count; i++)
        if (ties[i].later == later)
            return true;
    return false;
}

struct policy_tie *policy_ties_find(const struct policy *const *policies, size_t count,
                                    size_t *ret_count)
{
    size_t total, found = 0, group = 0;
    struct entry *entries = list_entries(policies, count, &total);
    struct policy_tie *ties = NULL;

    qsort(entries, total, sizeof(*entries), compare);
    for (size_t i = 1; i < total; i++) {
        if (compare_place(&entries[group], &entries[i]) != 0)
            group = i;
        for (size_t j = group; j < i; j++) {
            size_t a = entries[j].index, b = entries[i].index;
            const struct policy_match *m = &policies[a]->match, *n = &policies[b]->match;
            if (a == b || !methods_overlap(m, n) || !headers_overlap(m, n) ||
                is_known(ties, found, b))
                continue;
            ties = xrealloc(ties, (found + 1) * sizeof(*ties));
            ties[found++] = (struct policy_tie){a, b, entries[i].host, entries[i].path};
            break;
        }
    }
    free(entries);
    *ret_count = found;
    return ties;
}
