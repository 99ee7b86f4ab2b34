/* Whole rollouts in virtual time, by the thousand.
 *
 * Without arguments: the scenarios that must come out right, with fixed seeds; prints "N passed, N
 * failed" last, and with each failure the seed of the rollout that went wrong. With --rollouts: one
 * scenario by hand, for figures.
 */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "tests/sim/world.h"

enum { THREADS_MAX = 64, POLICY_BYTES_MAX = 1024 * 1024 };

/* --- many worlds ------------------------------------------------------------------------------ */

struct batch {
    struct world_config config; /* but for the seed */
    uint64_t seed;
    size_t count;
    struct world_result *results;
    _Atomic size_t next;
};

static uint64_t seed_of(uint64_t seed, size_t index)
{
    return seed * UINT64_C(1000003) + index;
}

static void *work(void *arg)
{
    struct batch *b = arg;
    size_t i;

    while ((i = b->next++) < b->count) {
        struct world_config config = b->config;
        config.seed = seed_of(b->seed, i);
        world_run(&config, &b->results[i]);
    }
    return NULL;
}

static void run_batch(struct batch *b, size_t threads)
{
    pthread_t ids[THREADS_MAX];

    b->results = xcalloc(b->count, sizeof(*b->results));
    for (size_t i = 1; i < threads; i++)
        CHECK(pthread_create(&ids[i], NULL, work, b) == 0);
    work(b);
    for (size_t i = 1; i < threads; i++)
        pthread_join(ids[i], NULL);
}

static size_t default_threads(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (size_t)cores;
}

/* --- figures ---------------------------------------------------------------------------------- */

struct figures {
    size_t ends[WORLD_END_COUNT];
    double end_s[2], revert_s[2], failed[2], requests[2]; /* median, p95; NaN: none */
};

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void quantiles(double *values, size_t n, double ret[2])
{
    ret[0] = ret[1] = NAN;
    if (n == 0)
        return;
    qsort(values, n, sizeof(*values), compare_doubles);
    ret[0] = values[(n - 1) / 2];
    ret[1] = values[(size_t)ceil(0.95 * (double)n) - 1];
}

static double promoted_s(const struct world_result *r)
{
    return (double)r->end_ns / 1e9;
}

static double revert_s(const struct world_result *r)
{
    return (double)r->since_onset_ns / 1e9;
}

static double failed(const struct world_result *r)
{
    return (double)r->canary_failed;
}

static double requests(const struct world_result *r)
{
    return (double)r->canary_requests;
}

static void collect(const struct batch *b, enum world_end end,
                    double (*value)(const struct world_result *), double ret[2])
{
    double *values = xcalloc(b->count, sizeof(*values));
    size_t n = 0;

    for (size_t i = 0; i < b->count; i++)
        if (b->results[i].end == end)
            values[n++] = value(&b->results[i]);
    quantiles(values, n, ret);
    free(values);
}

static void summarise(const struct batch *b, struct figures *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < b->count; i++)
        ret->ends[b->results[i].end]++;
    collect(b, WORLD_PROMOTED, promoted_s, ret->end_s);
    collect(b, WORLD_REVERTED, revert_s, ret->revert_s);
    collect(b, WORLD_REVERTED, failed, ret->failed);
    collect(b, WORLD_REVERTED, requests, ret->requests);
}

static void print_figures(const struct batch *b, const struct figures *f)
{
    double n = (double)b->count;

    printf("%-24s %6zu  %6.2f%%\n", "promoted", f->ends[WORLD_PROMOTED],
           100 * (double)f->ends[WORLD_PROMOTED] / n);
    printf("%-24s %6zu  %6.2f%%\n", "reverted", f->ends[WORLD_REVERTED],
           100 * (double)f->ends[WORLD_REVERTED] / n);
    printf("%-24s %6zu  %6.2f%%\n", "undecided", f->ends[WORLD_UNDECIDED],
           100 * (double)f->ends[WORLD_UNDECIDED] / n);
    printf("%-24s %12s %12s\n", "", "median", "p95");
    printf("%-24s %12.1f %12.1f\n", "seconds to promotion", f->end_s[0], f->end_s[1]);
    printf("%-24s %12.1f %12.1f\n", "seconds to revert", f->revert_s[0], f->revert_s[1]);
    printf("%-24s %12.0f %12.0f\n", "failed until revert", f->failed[0], f->failed[1]);
    printf("%-24s %12.0f %12.0f\n", "canary requests", f->requests[0], f->requests[1]);
}

/* --- policies --------------------------------------------------------------------------------- */

static struct policy *parse(const char *path, struct str text)
{
    struct diagnostics diagnostics;
    struct policy *policy = NULL;
    struct strbuf out;

    diagnostics_init(&diagnostics);
    strbuf_init(&out, POLICY_BYTES_MAX);
    int rc = policy_parse(str_from(path), text, &policy, &diagnostics);
    for (size_t i = 0; rc != 0 && i < diagnostics.count; i++)
        diagnostics_print(&diagnostics.items[i], text, &out);
    fputs(strbuf_cstr(&out), stderr);
    strbuf_deinit(&out);
    diagnostics_deinit(&diagnostics);
    if (rc != 0)
        exit(2);
    return policy;
}

static struct policy *parse_file(const char *path)
{
    static char text[POLICY_BYTES_MAX];
    FILE *f = fopen(path, "re");

    if (f == NULL) {
        perror(path);
        exit(2);
    }
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    return parse(path, (struct str){text, n});
}

#define HEAD                                                                                       \
    "rollout: chat\n"                                                                              \
    "stable: {version: \"2.0.0\", endpoints: [\"http://127.0.0.1:9001\"]}\n"                       \
    "canary: {version: \"2.1.0\", endpoints: [\"http://127.0.0.1:9002\"]}\n"
#define STEPS(hold)                                                                                \
    "steps:\n"                                                                                     \
    "  - {weight: 10, hold: " hold "}\n"                                                           \
    "  - {weight: 25, hold: " hold "}\n"                                                           \
    "  - {weight: 50, hold: " hold "}\n"                                                           \
    "  - {weight: 100, hold: " hold "}\n"
#define CRITERIA                                                                                   \
    "  criteria:\n"                                                                                \
    "    - {metric: error_rate, max: 1%}\n"                                                        \
    "    - {metric: error_rate, max_increase: 0.5%}\n"

static const char usual[] = HEAD STEPS("1m") "analysis:\n" CRITERIA;
static const char only_max[] =
    HEAD STEPS("1m") "analysis:\n  criteria:\n    - {metric: error_rate, max: 1%}\n";
static const char long_steps[] = HEAD STEPS("10m") "analysis:\n" CRITERIA;
static const char with_latency[] =
    HEAD STEPS("2m") "analysis:\n" CRITERIA "    - {metric: latency, quantile: 99%, max: 500ms}\n";
static const char observing[] = HEAD STEPS("2m") "analysis:\n  mode: observe\n" CRITERIA;
static const char eager[] =
    HEAD STEPS("1m") "analysis:\n  burst_guard: {slot: 1s, min_bad_slots: 0}\n" CRITERIA;

/* --- scenarios -------------------------------------------------------------------------------- */

#define FAST_FAILURE (50 * NS_PER_MS)

/* Bounds are on counts of rollouts, and on medians and p95 of those that were reverted; 0: none. */
struct scenario {
    const char *name, *policy;
    size_t rollouts;
    double rps, stable_errors, canary_errors;
    double onset_s, hours;
    int64_t latency_ns, canary_latency_ns, failure_ns;
    size_t promoted_min, promoted_max, reverted_min, reverted_max;
    double revert_s[2], failed[2];
    uint32_t max_weight_bp; /* no rollout may have served more; 0: any */
};

#define ALL      SIZE_MAX
#define QUICK_NS (120 * NS_PER_MS)

static const struct scenario scenarios[] = {
    {.name = "healthy at half the limit is promoted",
     .policy = usual,
     .rollouts = 500,
     .rps = 100,
     .stable_errors = 0.005,
     .canary_errors = 0.005,
     .failure_ns = FAST_FAILURE,
     .hours = 2,
     .promoted_min = 495,
     .promoted_max = ALL,
     .reverted_max = 1},
    {.name = "healthy with slow answers and fast failures",
     .policy = usual,
     .rollouts = 100,
     .rps = 100,
     .stable_errors = 0.005,
     .canary_errors = 0.005,
     .latency_ns = 3 * NS_PER_SEC,
     .failure_ns = FAST_FAILURE,
     .hours = 2,
     .promoted_min = 99,
     .promoted_max = ALL,
     .reverted_max = 1},
    {.name = "exactly at the limit is neither",
     .policy = only_max,
     .rollouts = 150,
     .rps = 100,
     .stable_errors = 0.01,
     .canary_errors = 0.01,
     .failure_ns = FAST_FAILURE,
     .hours = 0.25,
     .promoted_max = 14, /* 5 % of 150, and 2.4 standard deviations */
     .reverted_max = 1},
    {.name = "20% of requests fail from the start",
     .policy = usual,
     .rollouts = 500,
     .rps = 100,
     .stable_errors = 0.001,
     .canary_errors = 0.2,
     .failure_ns = FAST_FAILURE,
     .hours = 1,
     .reverted_min = 500,
     .reverted_max = ALL,
     .revert_s = {5.5, 9},
     .failed = {12, 16},
     .max_weight_bp = 1000},
    {.name = "everything fails from the start",
     .policy = usual,
     .rollouts = 500,
     .rps = 100,
     .stable_errors = 0.001,
     .canary_errors = 1,
     .failure_ns = FAST_FAILURE,
     .hours = 1,
     .reverted_min = 500,
     .reverted_max = ALL,
     .revert_s = {2.5, 3},
     .failed = {25, 36},
     .max_weight_bp = 1000},
    {.name = "everything fails, burst guard off: tenths of a second",
     .policy = eager,
     .rollouts = 500,
     .rps = 100,
     .stable_errors = 0.001,
     .canary_errors = 1,
     .failure_ns = FAST_FAILURE,
     .hours = 1,
     .reverted_min = 500,
     .reverted_max = ALL,
     .revert_s = {0.5, 0.9},
     .failed = {5, 8},
     .max_weight_bp = 1000},
    {.name = "20% fail, 2 minutes into a step of 10",
     .policy = long_steps,
     .rollouts = 300,
     .rps = 200,
     .stable_errors = 0.001,
     .canary_errors = 0.2,
     .onset_s = 120,
     .failure_ns = FAST_FAILURE,
     .hours = 1,
     .reverted_min = 300,
     .reverted_max = ALL,
     .revert_s = {6.5, 9},
     .failed = {28, 36},
     .max_weight_bp = 1000},
    {.name = "failures as slow as answers of a second",
     .policy = usual,
     .rollouts = 300,
     .rps = 100,
     .stable_errors = 0.001,
     .canary_errors = 0.2,
     .latency_ns = NS_PER_SEC,
     .failure_ns = -1,
     .hours = 1,
     .reverted_min = 300,
     .reverted_max = ALL,
     .revert_s = {7, 11},
     .failed = {15, 20},
     .max_weight_bp = 1000},
    {.name = "5% fail with little traffic",
     .policy = usual,
     .rollouts = 200,
     .rps = 10,
     .stable_errors = 0.001,
     .canary_errors = 0.05,
     .failure_ns = FAST_FAILURE,
     .hours = 4,
     .reverted_min = 200,
     .reverted_max = ALL,
     .revert_s = {230, 360},
     .failed = {15, 21}},
    {.name = "slow from 100 s on, no errors",
     .policy = with_latency,
     .rollouts = 300,
     .rps = 100,
     .stable_errors = 0.001,
     .canary_errors = 0.001,
     .canary_latency_ns = 2 * NS_PER_SEC,
     .onset_s = 100,
     .failure_ns = FAST_FAILURE,
     .hours = 1,
     .reverted_min = 300,
     .reverted_max = ALL,
     .revert_s = {5, 6},
     .max_weight_bp = 1000},
    {.name = "no traffic decides nothing",
     .policy = usual,
     .rollouts = 3,
     .rps = 0,
     .hours = 7,
     .max_weight_bp = 1000},
    {.name = "mode observe moves nothing",
     .policy = observing,
     .rollouts = 5,
     .rps = 50,
     .stable_errors = 0.001,
     .canary_errors = 1,
     .failure_ns = FAST_FAILURE,
     .hours = 0.5,
     .max_weight_bp = 1000},
};

static void configure(const struct scenario *s, const struct policy *policy,
                      struct world_config *ret)
{
    int64_t latency_ns = s->latency_ns > 0 ? s->latency_ns : QUICK_NS;
    int64_t after_ns = s->canary_latency_ns > 0 ? s->canary_latency_ns : latency_ns;

    *ret = (struct world_config){
        .policy = policy,
        .rps = s->rps,
        .onset_ns = (int64_t)(s->onset_s * 1e9),
        .max_ns = (int64_t)(s->hours * 3600e9),
        .variants = {[VARIANT_STABLE] = {s->stable_errors, s->stable_errors, latency_ns, latency_ns,
                                         0.3, s->failure_ns},
                     [VARIANT_CANARY] = {s->onset_s > 0 ? s->stable_errors : s->canary_errors,
                                         s->canary_errors, latency_ns, after_ns, 0.3,
                                         s->failure_ns}}};
}

static bool count_within(const char *what, size_t n, size_t min, size_t max)
{
    if (n >= min && n <= max)
        return true;
    printf("  %s: %zu rollouts, expected %zu to %zu\n", what, n, min, max);
    return false;
}

static bool quantiles_below(const char *what, const double seen[2], const double bound[2])
{
    static const char *const names[] = {"median", "p95"};
    bool ok = true;

    for (int i = 0; i < 2; i++)
        if (bound[i] > 0 && !(seen[i] <= bound[i])) {
            printf("  %s: %s %.1f, expected at most %.1f\n", what, names[i], seen[i], bound[i]);
            ok = false;
        }
    return ok;
}

static bool weights_below(const struct batch *b, uint32_t max_weight_bp)
{
    for (size_t i = 0; max_weight_bp > 0 && i < b->count; i++)
        if (b->results[i].max_weight_bp > max_weight_bp) {
            printf("  seed %" PRIu64 ": served %u bp, expected at most %u\n", seed_of(b->seed, i),
                   b->results[i].max_weight_bp, max_weight_bp);
            return false;
        }
    return true;
}

/* Seeds of some rollouts that ended as they should not have. */
static void print_seeds(const struct batch *b, const struct scenario *s)
{
    int printed = 0;

    for (size_t i = 0; i < b->count && printed < 5; i++) {
        enum world_end end = b->results[i].end;
        bool wrong = (end == WORLD_REVERTED && s->reverted_max < b->count) ||
                     (end != WORLD_REVERTED && s->reverted_min > 0) ||
                     (end != WORLD_PROMOTED && s->promoted_min > 0);
        if (!wrong)
            continue;
        printf("  seed %" PRIu64 ": ended %s after %.1f s\n", seed_of(b->seed, i),
               end == WORLD_REVERTED   ? "reverted"
               : end == WORLD_PROMOTED ? "promoted"
                                       : "undecided",
               (double)b->results[i].end_ns / 1e9);
        printed++;
    }
}

static bool run_scenario(const struct scenario *s, uint64_t seed)
{
    struct policy *policy = parse(s->name, str_from(s->policy));
    struct batch b = {.seed = seed, .count = s->rollouts};
    struct figures f;

    configure(s, policy, &b.config);
    run_batch(&b, default_threads());
    summarise(&b, &f);
    bool ok = count_within("promoted", f.ends[WORLD_PROMOTED], s->promoted_min, s->promoted_max);
    ok = count_within("reverted", f.ends[WORLD_REVERTED], s->reverted_min, s->reverted_max) && ok;
    ok = quantiles_below("seconds to revert", f.revert_s, s->revert_s) && ok;
    ok = quantiles_below("failed until revert", f.failed, s->failed) && ok;
    ok = weights_below(&b, s->max_weight_bp) && ok;
    printf("%s %s: %zu rollouts, %zu promoted, %zu reverted", ok ? "ok  " : "FAIL", s->name,
           b.count, f.ends[WORLD_PROMOTED], f.ends[WORLD_REVERTED]);
    if (f.ends[WORLD_REVERTED] > 0)
        printf(" in %.1f/%.1f s with %.0f/%.0f failed requests (median/p95)", f.revert_s[0],
               f.revert_s[1], f.failed[0], f.failed[1]);
    printf("\n");
    if (!ok)
        print_seeds(&b, s);
    fflush(stdout);
    free(b.results);
    policy_free(policy);
    return ok;
}

/* The same seed gives the same decisions, on whatever thread. */
static bool run_twice(void)
{
    struct policy *policy = parse("twice", str_from(usual));
    struct batch a = {.seed = 7, .count = 20}, b = {.seed = 7, .count = 20};
    bool ok = true;

    configure(&scenarios[0], policy, &a.config);
    b.config = a.config;
    run_batch(&a, 1);
    run_batch(&b, 2);
    for (size_t i = 0; i < a.count; i++)
        if (a.results[i].digest != b.results[i].digest) {
            printf("  seed %" PRIu64 ": two runs differ\n", seed_of(a.seed, i));
            ok = false;
        }
    printf("%s the same seed gives the same decisions, bit for bit\n", ok ? "ok  " : "FAIL");
    free(a.results);
    free(b.results);
    policy_free(policy);
    return ok;
}

static int run_all(void)
{
    size_t passed = 0, total = sizeof(scenarios) / sizeof(scenarios[0]);

    for (size_t i = 0; i < total; i++)
        passed += run_scenario(&scenarios[i], 1000 + i);
    passed += run_twice();
    total++;
    printf("%zu passed, %zu failed\n", passed, total - passed);
    return passed == total ? 0 : 1;
}

/* --- by hand ---------------------------------------------------------------------------------- */

static const char usage[] =
    "usage: sim                    the scenarios that must come out right\n"
    "       sim --rollouts N ...   one scenario:\n"
    "  --policy FILE         a policy with a canary (default: 10/25/50/100, 1m each, error_rate\n"
    "                        max 1% and max_increase 0.5%)\n"
    "  --seed S              (1)       --rps R              both variants together (100)\n"
    "  --canary-errors P     share, such as 0.2 or 20% (0)\n"
    "  --stable-errors P     (0)\n"
    "  --onset SECONDS       the canary is as good as stable until then (0)\n"
    "  --latency D           median response time (120ms)\n"
    "  --canary-latency D    from the onset on\n"
    "  --sigma X             of its logarithm (0.3)\n"
    "  --failure-time D      how long a failure takes, or `same` as an answer (50ms)\n"
    "  --hours H             end of the world (24)\n"
    "  --threads T           (all cores)\n";

static double share(const char *text)
{
    double value;

    if (!units_parse_share(str_from(text), &value)) {
        fprintf(stderr, "%s is not a share\n", text);
        exit(2);
    }
    return value;
}

static int64_t duration(const char *text)
{
    int64_t ns;

    if (!units_parse_duration(str_from(text), &ns)) {
        fprintf(stderr, "%s is not a duration\n", text);
        exit(2);
    }
    return ns;
}

enum option_name {
    OPT_ROLLOUTS = 256,
    OPT_SEED,
    OPT_RPS,
    OPT_CANARY_ERRORS,
    OPT_STABLE_ERRORS,
    OPT_ONSET,
    OPT_POLICY,
    OPT_LATENCY,
    OPT_CANARY_LATENCY,
    OPT_SIGMA,
    OPT_FAILURE,
    OPT_HOURS,
    OPT_THREADS,
    OPT_HELP,
};

static const struct option options[] = {
    {"rollouts", required_argument, NULL, OPT_ROLLOUTS},
    {"seed", required_argument, NULL, OPT_SEED},
    {"rps", required_argument, NULL, OPT_RPS},
    {"canary-errors", required_argument, NULL, OPT_CANARY_ERRORS},
    {"stable-errors", required_argument, NULL, OPT_STABLE_ERRORS},
    {"onset", required_argument, NULL, OPT_ONSET},
    {"policy", required_argument, NULL, OPT_POLICY},
    {"latency", required_argument, NULL, OPT_LATENCY},
    {"canary-latency", required_argument, NULL, OPT_CANARY_LATENCY},
    {"sigma", required_argument, NULL, OPT_SIGMA},
    {"failure-time", required_argument, NULL, OPT_FAILURE},
    {"hours", required_argument, NULL, OPT_HOURS},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"help", no_argument, NULL, OPT_HELP},
    {0},
};

struct by_hand {
    struct scenario scenario;
    const char *policy_file;
    uint64_t seed;
    double sigma;
    size_t threads;
};

static void take_option(struct by_hand *h, int option, const char *value)
{
    struct scenario *s = &h->scenario;

    switch (option) {
    case OPT_ROLLOUTS:
        s->rollouts = strtoul(value, NULL, 10);
        break;
    case OPT_SEED:
        h->seed = strtoull(value, NULL, 10);
        break;
    case OPT_RPS:
        s->rps = atof(value);
        break;
    case OPT_CANARY_ERRORS:
        s->canary_errors = share(value);
        break;
    case OPT_STABLE_ERRORS:
        s->stable_errors = share(value);
        break;
    case OPT_ONSET:
        s->onset_s = atof(value);
        break;
    case OPT_POLICY:
        h->policy_file = value;
        break;
    case OPT_LATENCY:
        s->latency_ns = duration(value);
        break;
    case OPT_CANARY_LATENCY:
        s->canary_latency_ns = duration(value);
        break;
    case OPT_SIGMA:
        h->sigma = atof(value);
        break;
    case OPT_FAILURE:
        s->failure_ns = strcmp(value, "same") == 0 ? -1 : duration(value);
        break;
    case OPT_HOURS:
        s->hours = atof(value);
        break;
    case OPT_THREADS:
        h->threads = strtoul(value, NULL, 10);
        break;
    case OPT_HELP:
        fputs(usage, stdout);
        exit(0);
    default:
        fputs(usage, stderr);
        exit(2);
    }
}

static int run_by_hand(const struct by_hand *h)
{
    struct policy *policy =
        h->policy_file != NULL ? parse_file(h->policy_file) : parse("usual", str_from(usual));
    struct batch b = {.seed = h->seed, .count = h->scenario.rollouts};
    struct figures f;

    if (rollout_canary(policy) == NULL) {
        fprintf(stderr, "%s has no canary\n", h->policy_file);
        policy_free(policy);
        return 2;
    }
    configure(&h->scenario, policy, &b.config);
    for (int v = 0; v < VARIANT_COUNT; v++)
        b.config.variants[v].sigma = h->sigma;
    run_batch(&b, h->threads);
    summarise(&b, &f);
    print_figures(&b, &f);
    free(b.results);
    policy_free(policy);
    return 0;
}

int main(int argc, char **argv)
{
    struct by_hand h = {.scenario = {.rps = 100, .hours = 24, .failure_ns = FAST_FAILURE},
                        .seed = 1,
                        .sigma = 0.3,
                        .threads = default_threads()};
    int option;

    if (argc == 1)
        return run_all();
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        take_option(&h, option, optarg);
    if (optind < argc || h.scenario.rollouts == 0 || h.threads == 0 || h.threads > THREADS_MAX) {
        fputs(usage, stderr);
        return 2;
    }
    return run_by_hand(&h);
}
