/* Differences of what only grows. A histogram is 13 KiB, so the many that are empty when a step
 * begins are not kept. */
#include "controller/step_traffic.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static void keep(struct histogram_view **at, const struct controller_ports *ports, uint32_t rollout,
                 enum variant v, enum recorder_histogram which)
{
    if (*at == NULL)
        *at = xmalloc(sizeof(**at));
    memset(*at, 0, sizeof(**at));
    ports->histogram(ports->ctx, rollout, v, which, *at);
    if ((*at)->total == 0) {
        free(*at);
        *at = NULL;
    }
}

void step_traffic_begin(struct step_traffic *s, const struct controller_ports *ports,
                        uint32_t rollout)
{
    memset(&s->totals, 0, sizeof(s->totals));
    ports->totals(ports->ctx, rollout, &s->totals);
    for (int v = 0; v < VARIANT_COUNT; v++) {
        keep(&s->latency[v], ports, rollout, (enum variant)v, HIST_LATENCY);
        keep(&s->first_token[v], ports, rollout, (enum variant)v, HIST_FIRST_TOKEN);
    }
}

void step_traffic_deinit(struct step_traffic *s)
{
    for (int v = 0; v < VARIANT_COUNT; v++) {
        free(s->latency[v]);
        free(s->first_token[v]);
    }
    *s = (struct step_traffic){.totals = {.overflows = 0}};
}

static void subtract(uint64_t *from, const uint64_t *earlier, size_t count)
{
    for (size_t i = 0; i < count; i++)
        from[i] -= earlier[i];
}

void step_traffic_totals(const struct step_traffic *s, const struct controller_ports *ports,
                         uint32_t rollout, struct recorder_totals *ret)
{
    *ret = (struct recorder_totals){.overflows = 0};
    ports->totals(ports->ctx, rollout, ret);
    for (int v = 0; v < VARIANT_COUNT; v++) {
        struct recorder_variant_totals *now = &ret->variants[v];
        const struct recorder_variant_totals *then = &s->totals.variants[v];
        now->dispatched -= then->dispatched;
        now->voided -= then->voided;
        now->retries -= then->retries;
        subtract(now->outcomes, then->outcomes, OUTCOME_KIND_COUNT);
        subtract(now->retry_outcomes, then->retry_outcomes, OUTCOME_KIND_COUNT);
    }
    subtract(ret->results, s->totals.results, RESULT_KIND_COUNT);
    ret->overflows -= s->totals.overflows;
}

static void since(const struct histogram_view *then, const struct controller_ports *ports,
                  uint32_t rollout, enum variant v, enum recorder_histogram which,
                  struct histogram_view *ret)
{
    memset(ret, 0, sizeof(*ret));
    ports->histogram(ports->ctx, rollout, v, which, ret);
    if (then != NULL)
        histogram_subtract(ret, then);
}

void step_traffic_latency(const struct step_traffic *s, const struct controller_ports *ports,
                          uint32_t rollout, enum variant v, struct histogram_view *ret)
{
    since(s->latency[v], ports, rollout, v, HIST_LATENCY, ret);
}

void step_traffic_first_token(const struct step_traffic *s, const struct controller_ports *ports,
                              uint32_t rollout, enum variant v, struct histogram_view *ret)
{
    since(s->first_token[v], ports, rollout, v, HIST_FIRST_TOKEN, ret);
}
