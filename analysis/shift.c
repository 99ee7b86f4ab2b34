/* Two samples in buckets, per weight. What surprises: a weight that comes back goes on where it
 * was, because what is compared is who got a value at that weight, whenever; a canary that is asked
 * again after a retreat does not start from nothing. */
#include "analysis/shift.h"

#include <math.h>
#include <string.h>

#define PRIOR_STRENGTH 20.0 /* k: how close to the common share a bucket's own is thought to be */

void shift_init(struct shift *s)
{
    memset(s, 0, sizeof(*s));
    s->closed_log_e = -INFINITY;
}

/* --- the formulas ----------------------------------------------------------------------------- */

static double log_gamma(double x)
{
    int sign;

    return lgamma_r(x, &sign); /* lgamma writes a global */
}

static double log_beta(double a, double b)
{
    return log_gamma(a) + log_gamma(b) - log_gamma(a + b);
}

static double x_log_share(double x, double of)
{
    return x > 0 ? x * log(x / of) : 0;
}

double shift_log_e(const uint64_t canary[static SHIFT_BUCKETS],
                   const uint64_t stable[static SHIFT_BUCKETS], double w)
{
    double a = PRIOR_STRENGTH * w, b = PRIOR_STRENGTH * (1 - w), prior = log_beta(a, b);
    double log_e = 0, canary_sum = 0, stable_sum = 0;

    for (size_t i = 0; i < SHIFT_BUCKETS; i++) {
        double c = (double)canary[i], s = (double)stable[i];
        if (c + s > 0)
            log_e += log_beta(a + c, b + s) - prior;
        canary_sum += c;
        stable_sum += s;
    }
    return log_e - x_log_share(canary_sum, canary_sum + stable_sum) -
           x_log_share(stable_sum, canary_sum + stable_sum);
}

/* Howard and Ramdas 2022, with the constants of their corollary for the whole function. */
double shift_band(double t, double alpha)
{
    if (t < 1)
        return INFINITY;
    return 0.85 * sqrt((log(log(M_E * t)) + 0.8 * log(1612 / alpha)) / t);
}

/* --- weights ---------------------------------------------------------------------------------- */

static uint64_t sum_of(const uint64_t counts[static SHIFT_BUCKETS])
{
    uint64_t sum = 0;

    for (size_t i = 0; i < SHIFT_BUCKETS; i++)
        sum += counts[i];
    return sum;
}

/* What begins with the j-th weight: 1/2, 1/6, 1/12, ..., in all 1. */
static double log_start(uint32_t j)
{
    return -log(j + 1.0) - log(j + 2.0);
}

static double log_add(double a, double b)
{
    double high = fmax(a, b), low = fmin(a, b);

    return low == -INFINITY ? high : high + log1p(exp(low - high));
}

/* The evidence of all before, and of this weight. */
static double then(double before, const struct shift_weight *w)
{
    return log_add(before, log_start(w->order)) + w->log_e;
}

/* Stable's counts of each weight times C / S: as if it had as many values there as the canary. */
static void add_magnitude(const struct shift_weight *w, double canary[static SHIFT_BUCKETS],
                          double stable[static SHIFT_BUCKETS], double *spread)
{
    double c = (double)sum_of(w->counts[VARIANT_CANARY]);
    double s = (double)sum_of(w->counts[VARIANT_STABLE]);

    if (c == 0 || s == 0)
        return;
    for (size_t i = 0; i < SHIFT_BUCKETS; i++) {
        canary[i] += (double)w->counts[VARIANT_CANARY][i];
        stable[i] += c * (double)w->counts[VARIANT_STABLE][i] / s;
    }
    *spread += c * c / s;
}

static void close_oldest(struct shift *s)
{
    const struct shift_weight *w = &s->weights[0];

    s->closed_log_e = then(s->closed_log_e, w);
    for (int v = 0; v < VARIANT_COUNT; v++)
        s->closed_values[v] += sum_of(w->counts[v]);
    add_magnitude(w, s->closed_canary, s->closed_stable, &s->closed_spread);
    s->weight_count--;
    memmove(&s->weights[0], &s->weights[1], s->weight_count * sizeof(s->weights[0]));
}

static struct shift_weight *weight_of_order(struct shift *s, uint32_t order)
{
    for (size_t i = 0; i < s->weight_count; i++)
        if (s->weights[i].order == order)
            return &s->weights[i];
    return NULL;
}

static struct shift_weight *weight_of(struct shift *s, uint32_t epoch)
{
    for (size_t i = 0; i < s->epoch_count; i++)
        if (s->epochs[i].epoch == epoch)
            return weight_of_order(s, s->epochs[i].order);
    return NULL;
}

static struct shift_weight *weight_at(struct shift *s, uint32_t weight_bp)
{
    for (size_t i = 0; i < s->weight_count; i++)
        if (s->weights[i].weight_bp == weight_bp)
            return &s->weights[i];
    if (s->weight_count == SHIFT_WEIGHTS)
        close_oldest(s);
    struct shift_weight *w = &s->weights[s->weight_count++];
    memset(w, 0, sizeof(*w));
    w->weight_bp = weight_bp;
    w->order = s->weights_begun++;
    return w;
}

void shift_weight(struct shift *s, uint32_t epoch, uint32_t weight_bp)
{
    if (weight_bp == 0 || weight_bp >= WEIGHT_FULL_BP) /* one variant alone compares to nothing */
        return;
    uint32_t order = weight_at(s, weight_bp)->order;
    memmove(&s->epochs[1], &s->epochs[0], (SHIFT_EPOCHS - 1) * sizeof(s->epochs[0]));
    s->epochs[0].epoch = epoch;
    s->epochs[0].order = order;
    if (s->epoch_count < SHIFT_EPOCHS)
        s->epoch_count++;
}

/* --- values ----------------------------------------------------------------------------------- */

/* Other buckets than before (another process goes on with our evidence): what was seen in the old
 * ones is evidence still, but its distributions cannot be added to. */
static void begin_buckets(struct shift *s, const struct shift_delta *d)
{
    uint32_t weight_bp[SHIFT_EPOCHS];

    for (size_t i = 0; i < s->epoch_count; i++) {
        const struct shift_weight *w = weight_of_order(s, s->epochs[i].order);
        weight_bp[i] = w == NULL ? 0 : w->weight_bp;
    }
    while (s->buckets_id != 0 && s->weight_count > 0)
        close_oldest(s);
    if (s->buckets_id != 0) {
        memset(s->closed_values, 0, sizeof(s->closed_values));
        memset(s->closed_canary, 0, sizeof(s->closed_canary));
        memset(s->closed_stable, 0, sizeof(s->closed_stable));
        s->closed_spread = 0;
        for (size_t i = s->epoch_count; i-- > 0;) /* the oldest first */
            if (weight_bp[i] != 0)
                s->epochs[i].order = weight_at(s, weight_bp[i])->order;
    }
    s->buckets_id = d->buckets_id;
    s->edge_count = d->edge_count < SHIFT_EDGES_MAX ? d->edge_count : SHIFT_EDGES_MAX;
    memcpy(s->edges, d->edges, sizeof(s->edges));
}

void shift_observe(struct shift *s, const struct shift_delta *d)
{
    for (int v = 0; v < VARIANT_COUNT; v++) {
        s->looked[v] += d->looked[v];
        s->found[v] += d->found[v];
    }
    if (d->buckets_id != 0 && d->buckets_id != s->buckets_id)
        begin_buckets(s, d);
    struct shift_weight *w = weight_of(s, d->epoch);
    if (w == NULL)
        return;
    uint32_t more = 0;
    for (int v = 0; v < VARIANT_COUNT; v++)
        for (size_t i = 0; i < SHIFT_BUCKETS; i++) {
            w->counts[v][i] += d->counts[v][i];
            more |= d->counts[v][i];
        }
    if (more != 0)
        w->log_e = shift_log_e(w->counts[VARIANT_CANARY], w->counts[VARIANT_STABLE],
                               (double)w->weight_bp / WEIGHT_FULL_BP);
}

/* --- the report ------------------------------------------------------------------------------- */

struct distributions {
    double canary[SHIFT_BUCKETS], stable[SHIFT_BUCKETS]; /* counts */
    double canary_sum, stable_sum;
};

/* So many values of stable as know the weighted distribution as well as it is known. */
static void finish(struct distributions *d, double spread)
{
    for (size_t i = 0; i < SHIFT_BUCKETS; i++)
        d->canary_sum += d->canary[i];
    if (spread <= 0)
        return;
    d->stable_sum = d->canary_sum * d->canary_sum / spread;
    for (size_t i = 0; i < SHIFT_BUCKETS; i++)
        d->stable[i] *= d->stable_sum / d->canary_sum;
}

static void all_values(const struct shift *s, struct distributions *ret)
{
    double spread = s->closed_spread;

    *ret = (struct distributions){0};
    memcpy(ret->canary, s->closed_canary, sizeof(ret->canary));
    memcpy(ret->stable, s->closed_stable, sizeof(ret->stable));
    for (size_t i = 0; i < s->weight_count; i++)
        add_magnitude(&s->weights[i], ret->canary, ret->stable, &spread);
    finish(ret, spread);
}

static void values_of(const struct shift_weight *w, struct distributions *ret)
{
    double spread = 0;

    *ret = (struct distributions){0};
    add_magnitude(w, ret->canary, ret->stable, &spread);
    finish(ret, spread);
}

static bool are_enough(const struct distributions *d)
{
    return d->canary_sum >= SHIFT_LEAST && d->stable_sum >= SHIFT_LEAST;
}

/* Half a value in each bucket more, of those that have any: a bucket that one of them never saw
 * must not make the index infinite. Each bucket but one adds 1/C + 1/S of noise to the mean. */
static void measure_psi(const struct distributions *d, struct shift_report *ret)
{
    size_t buckets = 0;

    ret->psi = 0;
    for (size_t i = 0; i < SHIFT_BUCKETS; i++)
        buckets += d->canary[i] + d->stable[i] > 0;
    for (size_t i = 0; i < SHIFT_BUCKETS; i++) {
        if (d->canary[i] + d->stable[i] <= 0)
            continue;
        double p = (d->canary[i] + 0.5) / (d->canary_sum + 0.5 * (double)buckets);
        double q = (d->stable[i] + 0.5) / (d->stable_sum + 0.5 * (double)buckets);
        ret->psi += (p - q) * log(p / q);
    }
    ret->psi_debiased = ret->psi - ((double)buckets - 1) * (1 / d->canary_sum + 1 / d->stable_sum);
}

static void measure_ks(const struct distributions *d, double alpha, struct shift_report *ret)
{
    double canary = 0, stable = 0;

    ret->ks = 0;
    for (size_t i = 0; i < SHIFT_BUCKETS; i++) {
        canary += d->canary[i] / d->canary_sum;
        stable += d->stable[i] / d->stable_sum;
        ret->ks = fmax(ret->ks, fabs(canary - stable));
    }
    ret->ks_least =
        ret->ks - shift_band(d->canary_sum, alpha / 2) - shift_band(d->stable_sum, alpha / 2);
}

void shift_distances(const double canary[static SHIFT_BUCKETS],
                     const double stable[static SHIFT_BUCKETS], double alpha,
                     struct shift_report *ret)
{
    struct distributions d = {.canary_sum = 0};

    for (size_t i = 0; i < SHIFT_BUCKETS; i++) {
        d.canary[i] = canary[i];
        d.stable[i] = stable[i];
        d.canary_sum += canary[i];
        d.stable_sum += stable[i];
    }
    measure_psi(&d, ret);
    measure_ks(&d, alpha, ret);
}

/* Over the buckets that have two ends, of the answers that had a number. */
static double w1_of(const struct shift *s, const struct distributions *d)
{
    double canary_sum = d->canary_sum - d->canary[SHIFT_REST];
    double stable_sum = d->stable_sum - d->stable[SHIFT_REST];
    double canary = 0, stable = 0, w1 = 0;

    if (s->edge_count == 0 || canary_sum <= 0 || stable_sum <= 0)
        return -1;
    for (size_t i = 0; i + 1 < s->edge_count; i++) {
        canary += d->canary[i];
        stable += d->stable[i];
        w1 += fabs(canary / canary_sum - stable / stable_sum) * (s->edges[i + 1] - s->edges[i]);
    }
    return w1;
}

static void measure(const struct shift *s, const struct shift_rule *rule,
                    const struct distributions *d, struct shift_report *ret)
{
    measure_psi(d, ret);
    measure_ks(d, rule->alpha, ret);
    ret->w1 = w1_of(s, d);
}

static double distance_known(const struct shift_rule *rule, const struct shift_report *r)
{
    return rule->test == SHIFT_KS ? r->ks_least : r->psi_debiased;
}

/* A canary that has changed under the weight of now must not hide behind how it was. */
static void measure_now(const struct shift *s, const struct shift_rule *rule,
                        struct shift_report *ret)
{
    struct distributions d;

    for (size_t i = 0; i < s->weight_count; i++) {
        struct shift_report now = *ret;
        if (s->weights[i].order != s->epochs[0].order)
            continue;
        values_of(&s->weights[i], &d);
        if (!are_enough(&d))
            continue;
        measure(s, rule, &d, &now);
        if (distance_known(rule, &now) > distance_known(rule, ret))
            *ret = now;
    }
}

static void judge(const struct shift *s, const struct shift_rule *rule, struct shift_report *ret)
{
    struct distributions d;

    ret->psi = ret->psi_debiased = ret->ks = ret->ks_least = ret->w1 = -1;
    all_values(s, &d);
    if (are_enough(&d))
        measure(s, rule, &d, ret);
    measure_now(s, rule, ret);
    ret->judged = ret->psi >= 0 && 10 * (double)rule->in_flight <= d.canary_sum;
    if (!ret->judged)
        return;
    double distance = rule->test == SHIFT_KS ? ret->ks : ret->psi;
    bool beyond =
        rule->test == SHIFT_KS ? ret->ks_least > rule->max : ret->psi_debiased >= rule->max;
    ret->failed = beyond && ret->log_e >= ret->threshold;
    ret->kept = !ret->failed && distance < rule->max;
}

void shift_report(const struct shift *s, const struct shift_rule *rule, struct shift_report *ret)
{
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->looked, s->looked, sizeof(ret->looked));
    memcpy(ret->found, s->found, sizeof(ret->found));
    memcpy(ret->values, s->closed_values, sizeof(ret->values));
    ret->threshold = log(1 / rule->alpha);
    ret->log_e = s->closed_log_e;
    for (size_t i = 0; i < s->weight_count; i++) {
        ret->log_e = then(ret->log_e, &s->weights[i]);
        for (int v = 0; v < VARIANT_COUNT; v++)
            ret->values[v] += sum_of(s->weights[i].counts[v]);
    }
    if (ret->log_e == -INFINITY)
        ret->log_e = 0;
    judge(s, rule, ret);
}
