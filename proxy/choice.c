/* Where two that were drawn are both full, all are looked at: a request must not wait while there
 * is room. */
#include "proxy/choice.h"

#include "proxy/balance.h"

struct choice {
    const struct route_version *version;
    const struct slots *slots;
    uint32_t max_requests, avoid;
    struct rng *rng;
};

/* Whether it may be taken; its load in any case. */
static bool look(const struct choice *c, size_t endpoint, struct endpoint_load *ret)
{
    ret->in_flight = slots_in_flight(c->slots, c->version->first_pool + endpoint);
    ret->weight = c->version->endpoints[endpoint].weight;
    return ret->in_flight < c->max_requests && endpoint != c->avoid;
}

static uint32_t of_two(const struct choice *c)
{
    const struct route_version *v = c->version;
    struct endpoint_load one_load, other_load;
    uint64_t random = rng_u64(c->rng);
    size_t one = balance_draw(v->weight_sums, v->endpoint_count, (uint32_t)random);
    size_t other = balance_draw(v->weight_sums, v->endpoint_count, (uint32_t)(random >> 32));
    bool one_fits = look(c, one, &one_load), other_fits = look(c, other, &other_load);

    if (one_fits && other_fits)
        return (uint32_t)(balance_is_less(&other_load, &one_load) ? other : one);
    return one_fits ? (uint32_t)one : other_fits ? (uint32_t)other : NO_ENDPOINT;
}

static uint32_t of_all(const struct choice *c)
{
    struct endpoint_load loads[ENDPOINTS_MAX];
    uint16_t endpoints[ENDPOINTS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < c->version->endpoint_count; i++)
        if (look(c, i, &loads[n]))
            endpoints[n++] = (uint16_t)i;
    return n == 0 ? NO_ENDPOINT : endpoints[balance_pick(loads, n, (uint32_t)rng_u64(c->rng))];
}

uint32_t choice_endpoint(const struct route_version *version, const struct slots *slots,
                         uint32_t max_requests, uint32_t avoid, struct rng *rng)
{
    struct choice c = {version, slots, max_requests, avoid, rng};
    uint32_t found = NO_ENDPOINT;

    if (version->endpoint_count > CHOICE_COMPARE_ALL_MAX)
        found = of_two(&c);
    if (found == NO_ENDPOINT)
        found = of_all(&c);
    if (found == NO_ENDPOINT && avoid != NO_ENDPOINT) {
        c.avoid = NO_ENDPOINT;
        found = of_all(&c);
    }
    return found;
}
