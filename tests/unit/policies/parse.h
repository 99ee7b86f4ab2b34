/* Parsing in a line, for tests. */
#ifndef TESTS_UNIT_POLICIES_PARSE_H
#define TESTS_UNIT_POLICIES_PARSE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "policies/config.h"
#include "policies/policy.h"
#include "policies/policy_set.h"

/* Shares are sums of few roundings. */
static inline void assert_near(double got, double expected, double within)
{
    if (!(got >= expected - within && got <= expected + within))
        fail_msg("%.17g is not %.17g", got, expected);
}

#define STABLE "rollout: chat\nstable: {version: \"1\", endpoints: [http://a]}\n"

/* What is printed for the diagnostics, without excerpts; the caller frees. */
static inline char *printed(const struct diagnostics *d)
{
    struct strbuf out;

    strbuf_init(&out, 1024 * 1024);
    for (size_t i = 0; i < d->count; i++)
        diagnostics_print(&d->items[i], (struct str){NULL, 0}, &out);
    return strbuf_steal(&out);
}

/* The policy of a text that must be good. */
static inline struct policy *good_policy(const char *text)
{
    struct policy *p = NULL;
    struct diagnostics d;

    diagnostics_init(&d);
    if (policy_parse(str_from("test.yaml"), str_from(text), &p, &d) != 0) {
        char *errors = printed(&d);
        fail_msg("%s%s", text, errors);
    }
    diagnostics_deinit(&d);
    return p;
}

static inline struct config *good_config(const char *text)
{
    struct config *c = NULL;
    struct diagnostics d;

    diagnostics_init(&d);
    if (config_parse(str_from("test.yaml"), str_from(text), &c, &d) != 0) {
        char *errors = printed(&d);
        fail_msg("%s%s", text, errors);
    }
    diagnostics_deinit(&d);
    return c;
}

/* The set of a file that must be good. */
static inline struct policy_set *good_file(const char *path)
{
    struct policy_set *set = NULL;
    struct source_files sources;
    struct diagnostics d;

    diagnostics_init(&d);
    if (policy_set_load(&path, 1, 1, &set, &sources, &d) != 0) {
        char *errors = printed(&d);
        fail_msg("%s", errors);
    }
    diagnostics_deinit(&d);
    source_files_deinit(&sources);
    return set;
}

#endif
