/* Threads take the next number until there is none. Figures are made afterwards by one of them. */
#include "controller/sim_batch.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"

uint64_t sim_seed(uint64_t seed, size_t index)
{
    return seed * UINT64_C(1000003) + index;
}

size_t sim_default_jobs(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return cores < 1 ? 1 : cores > SIM_JOBS_MAX ? SIM_JOBS_MAX : (size_t)cores;
}

static void *work(void *arg)
{
    struct sim_batch *b = arg;
    struct sim_world *world = sim_world_new(&b->config);
    size_t i;

    while ((i = b->next++) < b->count) {
        sim_world_run(world, sim_seed(b->seed, i), &b->results[i]);
        b->done++;
    }
    sim_world_free(world);
    return NULL;
}

void sim_batch_run(struct sim_batch *b)
{
    pthread_t ids[SIM_JOBS_MAX];
    bool watched = b->progress != NULL;
    size_t started = 0;

    CHECK(b->jobs >= 1 && b->jobs <= SIM_JOBS_MAX);
    b->next = b->done = 0;
    b->results = xcalloc(b->count == 0 ? 1 : b->count, sizeof(*b->results));
    /* With somebody to tell, this thread tells. */
    while (started < b->jobs - (watched ? 0 : 1)) {
        CHECK(pthread_create(&ids[started], NULL, work, b) == 0);
        started++;
    }
    if (!watched)
        work(b);
    while (watched && b->done < b->count) {
        b->progress(b->progress_ctx, b->done, b->count);
        usleep(100000);
    }
    for (size_t i = 0; i < started; i++)
        pthread_join(ids[i], NULL);
    if (watched)
        b->progress(b->progress_ctx, b->count, b->count);
}

void sim_batch_deinit(struct sim_batch *b)
{
    free(b->results);
    b->results = NULL;
}

/* --- the interval ----------------------------------------------------------------------------- */

/* The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method. */
static double beta_fraction(double a, double b, double x)
{
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    double tiny = 1e-300;

    d = 1 / (fabs(d) < tiny ? tiny : d);
    double result = d;
    for (int m = 1; m < 10000; m++) {
        for (int odd = 0; odd < 2; odd++) {
            double term = odd ? -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
                              : m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
            d = 1 + term * d;
            c = 1 + term / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            result *= c * d;
        }
        if (fabs(c * d - 1) < 1e-14)
            break;
    }
    return result;
}

/* P(Beta(a, b) <= x) */
static double beta_share(double a, double b, double x)
{
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

static double beta_quantile(double a, double b, double p)
{
    double low = 0, high = 1;

    for (int i = 0; i < 100; i++) {
        double middle = (low + high) / 2;
        if (beta_share(a, b, middle) < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

void sim_interval(size_t count, size_t n, double *ret_lower, double *ret_upper)
{
    double k = (double)count, left = (double)n - (double)count;

    *ret_lower = count == 0 ? 0 : beta_quantile(k, left + 1, 0.025);
    *ret_upper = count >= n ? 1 : beta_quantile(k + 1, left, 0.975);
}

/* --- figures ---------------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void spread(double *values, size_t n, struct sim_spread *ret)
{
    double sum = 0;

    *ret = (struct sim_spread){.count = n, .median = NAN, .p95 = NAN, .mean = NAN};
    if (n == 0)
        return;
    qsort(values, n, sizeof(*values), compare_doubles);
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    ret->median = values[(n - 1) / 2];
    ret->p95 = values[(size_t)ceil(0.95 * (double)n) - 1];
    ret->mean = sum / (double)n;
}

static void share(size_t count, size_t n, struct sim_share *ret)
{
    ret->count = count;
    ret->share = n == 0 ? 0 : (double)count / (double)n;
    sim_interval(count, n, &ret->lower, &ret->upper);
}

static void until(const struct sim_batch *b, bool verdict, double *scratch, struct sim_until *ret)
{
    struct sim_spread *spreads[] = {&ret->s, &ret->requests, &ret->failed};

    for (int what = 0; what < 3; what++) {
        size_t n = 0;
        for (size_t i = 0; i < b->count; i++) {
            const struct sim_result *r = &b->results[i];
            const struct sim_toll *t = verdict ? &r->verdict : &r->down;
            if (t->known)
                scratch[n++] = what == 0   ? (double)t->ns / 1e9
                               : what == 1 ? (double)t->requests
                                           : (double)t->failed;
        }
        spread(scratch, n, spreads[what]);
    }
}

static void count_ends(const struct sim_batch *b, struct sim_figures *ret)
{
    size_t ends[SIM_END_COUNT] = {0}, full = 0, sent_back = 0;
    const struct policy *p = &b->config.plan->policy;
    uint32_t most_bp = p->steps[p->step_count - 1].weight_bp;

    if (most_bp >= WEIGHT_FULL_BP)
        most_bp -= p->bake.control_bp;
    for (size_t i = 0; i < b->count; i++) {
        const struct sim_result *r = &b->results[i];
        ends[r->end]++;
        full += r->max_weight_bp >= most_bp;
        sent_back += r->sent_back;
        ret->causes[r->end == SIM_REVERTED ? r->cause : CAUSE_NONE]++;
        ret->retreats += (double)r->retreats / (double)b->count;
        ret->looks += (double)r->looks / (double)b->count;
        ret->decisions += (double)r->decisions / (double)b->count;
        ret->virtual_s += (double)r->end_ns / 1e9;
        ret->requests += (double)r->requests;
        ret->digest = ret->digest * UINT64_C(0x100000001b3) ^ r->digest;
    }
    for (int e = 0; e < SIM_END_COUNT; e++)
        share(ends[e], b->count, &ret->ends[e]);
    share(full, b->count, &ret->reached_full);
    share(sent_back, b->count, &ret->sent_back);
}

void sim_figures(const struct sim_batch *b, struct sim_figures *ret)
{
    double *scratch = xcalloc(b->count == 0 ? 1 : b->count, sizeof(*scratch));
    size_t n = 0;

    memset(ret, 0, sizeof(*ret));
    ret->rollouts = b->count;
    count_ends(b, ret);
    for (size_t i = 0; i < b->count; i++)
        if (b->results[i].end == SIM_PROMOTED)
            scratch[n++] = (double)b->results[i].end_ns / 1e9;
    spread(scratch, n, &ret->promoted_s);
    until(b, false, scratch, &ret->down);
    until(b, true, scratch, &ret->verdict);
    for (size_t i = 0; i < b->count; i++)
        scratch[i] = (double)b->results[i].failed;
    spread(scratch, b->count, &ret->failed);
    free(scratch);
}
