/* proxy/route.h — the immutable table compiled from a policy set: head → rollout.
 *
 * Order: exact host, then the longest wildcard, then no host; within that the longest path prefix;
 * within that the most further conditions. A prefix matches whole segments: "/predict" takes
 * /predict and /predict/x, not /predictions; "/v1/" takes everything beneath. Cost: one hash lookup
 * per host form and distinct prefix length, not per rollout.
 */
#ifndef PROXY_ROUTE_H
#define PROXY_ROUTE_H

#include <sys/socket.h>

#include <stdint.h>

#include "net/head.h"
#include "policies/policy_set.h"
#include "proxy/fields_plan.h"
#include "proxy/resolver.h"

struct route_endpoint {
    struct sockaddr_storage address;  /* unless it has a name */
    const struct resolver_name *name; /* NULL: written as an address */
    const char *authority;
    const char *server_name; /* to ask for and to check, when `tls` */
    bool tls;
    uint32_t weight;
};

struct route_version {
    const char *version; /* fit to be a field value */
    struct route_endpoint *endpoints;
    size_t endpoint_count;       /* 0: this variant is absent */
    const uint32_t *weight_sums; /* of its endpoints up to and with each */
    size_t first_pool;           /* its endpoints' pools are first_pool, first_pool + 1, ... */
};

struct route {
    uint32_t rollout; /* index in the set */
    const struct policy *policy;
    const struct fields_plan *fields; /* values its criteria compare; NULL: none does */
    bool has_where;                   /* not every criterion looks at every request */
    bool asks;                        /* a criterion tells streams from other answers */
    struct route_version versions[VARIANT_COUNT];
};

struct route_table;

/* Waits up to 3 s for endpoint names to resolve: not on a loop. Takes a reference of the set. */
struct route_table *route_table_new(struct policy_set *);
void route_table_free(struct route_table *);

/* NULL: no rollout takes it. */
const struct route *route_match(const struct route_table *, const struct head *);
/* NULL: its name does not resolve (so far). */
const struct sockaddr *route_endpoint_address(const struct route_endpoint *);
const struct route *route_at(const struct route_table *, size_t rollout);
size_t route_count(const struct route_table *);
/* How many endpoints all versions have together: a worker keeps as many pools. */
size_t route_pool_count(const struct route_table *);

#endif
