/* Policies and worlds for the tests of the simulation, as a user writes them. */
#ifndef TESTS_UNIT_CONTROLLER_SIM_FIXTURES_H
#define TESTS_UNIT_CONTROLLER_SIM_FIXTURES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "controller/sim_plan.h"

#define SIM_HEAD                                                                                   \
    "rollout: chat\n"                                                                              \
    "stable: {version: \"1\", endpoints: [\"http://127.0.0.1:9001\"]}\n"                           \
    "canary: {version: \"2\", endpoints: [\"http://127.0.0.1:9002\"]}\n"
#define SIM_STEPS                                                                                  \
    "steps:\n"                                                                                     \
    "  - {weight: 10, hold: 1m}\n"                                                                 \
    "  - {weight: 50, hold: 1m}\n"                                                                 \
    "  - {weight: 100, hold: 1m}\n"

static inline struct policy *sim_policy(const char *text)
{
    struct diagnostics d;
    struct policy *policy = NULL;

    diagnostics_init(&d);
    int rc = policy_parse(STR("test"), str_from(text), &policy, &d);
    if (rc != 0 && d.count > 0)
        print_message("%s\n", d.items[0].message);
    assert_int_equal(rc, 0);
    diagnostics_deinit(&d);
    return policy;
}

static inline struct sim_spec sim_spec_of(double rps, const char *stable, const char *canary)
{
    struct sim_spec spec;
    struct error error;

    sim_spec_init(&spec);
    spec.rps = rps;
    assert_int_equal(sim_variant_parse(&spec.variants[VARIANT_STABLE], str_from(stable), &error),
                     0);
    spec.variants[VARIANT_CANARY] = spec.variants[VARIANT_STABLE];
    assert_int_equal(sim_variant_parse(&spec.variants[VARIANT_CANARY], str_from(canary), &error),
                     0);
    assert_int_equal(sim_spec_check(&spec, &error), 0);
    return spec;
}

#endif
