/* One open-addressing table keyed by (host form, path prefix); each entry holds its rollouts, those
 * with more conditions first.
 */
#include "proxy/route.h"

#include <stdlib.h>

#include "analysis/where.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/hash.h"
#include "net/sockaddr.h"
#include "proxy/asked.h"

enum { HOST_MAX = 255, RESOLVE_WAIT_MS = 3000 };

struct rule {
    const struct route *route;
    struct rule *next; /* fewer or as many conditions */
    size_t conditions;
};

struct bucket {
    struct str host; /* "": any; "*.example.com": wildcard; lower case */
    struct str path; /* "": any */
    struct rule *rules;
};

struct route_table {
    struct policy_set *set;
    struct resolver *resolver;
    struct arena arena;
    struct route *routes;
    size_t count, pools;
    struct bucket *buckets;
    size_t mask;     /* bucket count - 1, a power of two */
    size_t *lengths; /* distinct prefix lengths, longest first */
    size_t length_count;
    bool exact_hosts, wildcards, any_host;
};

static uint64_t key_hash(struct str host, struct str path)
{
    return hash_fnv1a(host) * UINT64_C(0x9e3779b97f4a7c15) ^ hash_fnv1a(path);
}

static struct bucket *bucket_of(const struct route_table *t, struct str host, struct str path)
{
    size_t i = (size_t)key_hash(host, path) & t->mask;

    while (t->buckets[i].rules != NULL &&
           !(str_eq(t->buckets[i].host, host) && str_eq(t->buckets[i].path, path)))
        i = (i + 1) & t->mask;
    return &t->buckets[i];
}

static void add_length(struct route_table *t, size_t length)
{
    size_t i = 0;

    while (i < t->length_count && t->lengths[i] > length)
        i++;
    if (i < t->length_count && t->lengths[i] == length)
        return;
    memmove(&t->lengths[i + 1], &t->lengths[i], (t->length_count - i) * sizeof(*t->lengths));
    t->lengths[i] = length;
    t->length_count++;
}

static void add_rule(struct route_table *t, const struct route *route, struct str host,
                     struct str path)
{
    const struct policy_match *m = &route->policy->match;
    struct bucket *b = bucket_of(t, host, path);
    struct rule *rule = arena_alloc(&t->arena, sizeof(*rule));

    *rule = (struct rule){.route = route, .conditions = m->header_count + (m->method_count > 0)};
    b->host = host;
    b->path = path;
    struct rule **at = &b->rules;
    while (*at != NULL && (*at)->conditions >= rule->conditions)
        at = &(*at)->next;
    rule->next = *at;
    *at = rule;
    add_length(t, path.len);
    if (host.len == 0)
        t->any_host = true;
    else if (host.ptr[0] == '*')
        t->wildcards = true;
    else
        t->exact_hosts = true;
}

static void add_policy(struct route_table *t, const struct route *route)
{
    const struct policy_match *m = &route->policy->match;

    for (size_t h = 0; h < (m->host_count > 0 ? m->host_count : 1); h++)
        for (size_t p = 0; p < (m->path_count > 0 ? m->path_count : 1); p++)
            add_rule(t, route, m->host_count > 0 ? str_from(m->hosts[h]) : STR(""),
                     m->path_count > 0 ? str_from(m->paths[p]) : STR(""));
}

/* An address as it is written, or a name for the resolver. */
static void find_address(struct route_table *t, const struct policy_endpoint *from,
                         const struct policy_upstream_tls *tls, struct route_endpoint *to)
{
    to->authority = from->authority;
    to->tls = from->tls;
    to->server_name = tls->server_name != NULL ? tls->server_name : from->host;
    to->weight = from->weight;
    if (sockaddr_parse(from->host, from->port, &to->address) == 0)
        to->name = resolver_add(t->resolver, from->host, from->port);
}

const struct sockaddr *route_endpoint_address(const struct route_endpoint *e)
{
    return e->name != NULL ? resolver_address(e->name) : (const struct sockaddr *)&e->address;
}

/* Labels are free text; a field value is not. */
static const char *header_text(struct arena *arena, const char *version)
{
    char *copy = arena_strdup(arena, str_from(version));

    for (char *p = copy; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '_';
    return copy;
}

static void compile_version(struct route_table *t, const struct policy *policy,
                            const struct policy_version *from, struct route_version *to)
{
    uint32_t *sums = arena_alloc(&t->arena, from->endpoint_count * sizeof(*sums));
    uint32_t sum = 0;

    to->version = header_text(&t->arena, from->version);
    to->endpoints = arena_alloc(&t->arena, from->endpoint_count * sizeof(*to->endpoints));
    to->endpoint_count = from->endpoint_count;
    to->weight_sums = sums;
    to->first_pool = t->pools;
    t->pools += from->endpoint_count;
    for (size_t i = 0; i < from->endpoint_count; i++) {
        find_address(t, &from->endpoints[i], &policy->upstream.tls, &to->endpoints[i]);
        sums[i] = sum += to->endpoints[i].weight;
    }
}

static void compile(struct route_table *t, struct route *r, const struct policy *policy)
{
    r->policy = policy;
    r->fields = fields_plan_new(policy, &t->arena);
    r->has_where = where_any(&policy->analysis);
    r->asks = asked_matters(&policy->analysis);
    for (size_t v = 0; v < VARIANT_COUNT; v++)
        if (policy->versions[v].version != NULL)
            compile_version(t, policy, &policy->versions[v], &r->versions[v]);
    add_policy(t, r);
}

struct route_table *route_table_new(struct policy_set *set)
{
    struct route_table *t = xcalloc(1, sizeof(*t));
    size_t keys = 1, size = 16;

    t->set = policy_set_ref(set);
    t->resolver = resolver_new();
    t->count = set->count;
    t->routes = xcalloc(set->count, sizeof(*t->routes));
    for (size_t i = 0; i < set->count; i++) {
        const struct policy_match *m = &set->policies[i]->match;
        keys += (m->host_count > 0 ? m->host_count : 1) * (m->path_count > 0 ? m->path_count : 1);
    }
    while (size < 2 * keys)
        size *= 2;
    t->buckets = xcalloc(size, sizeof(*t->buckets));
    t->mask = size - 1;
    t->lengths = xcalloc(keys + 1, sizeof(*t->lengths));
    for (size_t i = 0; i < set->count; i++) {
        t->routes[i].rollout = (uint32_t)i;
        compile(t, &t->routes[i], set->policies[i]);
    }
    resolver_start(t->resolver, RESOLVE_WAIT_MS);
    return t;
}

void route_table_free(struct route_table *t)
{
    if (t == NULL)
        return;
    resolver_free(t->resolver);
    arena_deinit(&t->arena);
    free(t->routes);
    free(t->buckets);
    free(t->lengths);
    policy_set_unref(t->set);
    free(t);
}

static bool conditions_hold(const struct policy_match *m, const struct head *h)
{
    bool method = m->method_count == 0;

    for (size_t i = 0; i < m->method_count && !method; i++)
        method = str_eq(str_from(m->methods[i]), h->method);
    if (!method)
        return false;
    for (size_t i = 0; i < m->header_count; i++) {
        struct str value = head_find(h, str_from(m->headers[i].name));
        if (value.ptr == NULL || !str_eq(value, str_from(m->headers[i].value)))
            return false;
    }
    return true;
}

/* A prefix ends at the end of the path or at a segment's edge. */
static bool prefix_fits(struct str path, size_t length)
{
    return length == 0 || length == path.len || path.ptr[length - 1] == '/' ||
           path.ptr[length] == '/';
}

static const struct route *match_host(const struct route_table *t, struct str host,
                                      const struct head *h)
{
    for (size_t i = 0; i < t->length_count; i++) {
        size_t length = t->lengths[i];
        if (length > h->path.len || !prefix_fits(h->path, length))
            continue;
        const struct bucket *b = bucket_of(t, host, (struct str){h->path.ptr, length});
        for (const struct rule *r = b->rules; r != NULL; r = r->next)
            if (conditions_hold(&r->route->policy->match, h))
                return r->route;
    }
    return NULL;
}

/* "*.example.com" for each parent of the host, the longest first. */
static const struct route *match_wildcards(const struct route_table *t, const char *host,
                                           size_t len, const struct head *h)
{
    char pattern[HOST_MAX + 2];

    for (size_t i = 1; i < len; i++) {
        if (host[i] != '.')
            continue;
        pattern[0] = '*';
        memcpy(pattern + 1, host + i, len - i);
        const struct route *r = match_host(t, (struct str){pattern, len - i + 1}, h);
        if (r != NULL)
            return r;
    }
    return NULL;
}

const struct route *route_match(const struct route_table *t, const struct head *h)
{
    const struct route *found = NULL;

    if ((t->exact_hosts || t->wildcards) && h->host.len > 0 && h->host.len <= HOST_MAX) {
        char host[HOST_MAX + 1];
        size_t len = h->host.len;
        for (size_t i = 0; i < len; i++) {
            char c = h->host.ptr[i];
            host[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
        }
        if (len > 1 && host[len - 1] == '.') /* the root's dot means nothing here */
            len--;
        if (t->exact_hosts)
            found = match_host(t, (struct str){host, len}, h);
        if (found == NULL && t->wildcards)
            found = match_wildcards(t, host, len, h);
    }
    if (found == NULL && t->any_host)
        found = match_host(t, STR(""), h);
    return found;
}

const struct route *route_at(const struct route_table *t, size_t rollout)
{
    CHECK(rollout < t->count);
    return &t->routes[rollout];
}

size_t route_count(const struct route_table *t)
{
    return t->count;
}

size_t route_pool_count(const struct route_table *t)
{
    return t->pools;
}
