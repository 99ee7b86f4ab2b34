/* xoshiro256** and the few distributions that simulations need. */
#include "base/rng.h"

#include <math.h>
#include <sys/random.h>
#include <time.h>

static uint64_t splitmix64(uint64_t *x)
{
    uint64_t z = (*x += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void rng_seed(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix64(&seed);
}

void rng_seed_system(struct rng *r)
{
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        seed = (uint64_t)time(NULL) ^ (uint64_t)(uintptr_t)r;
    rng_seed(r, seed);
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

double rng_unit(struct rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1.0p-53;
}

uint32_t rng_below(struct rng *r, uint32_t limit)
{
    /* Lemire 2019: multiply, reject the few values that would bias. */
    uint64_t m = (rng_u64(r) >> 32) * limit;

    if ((uint32_t)m < limit) {
        uint32_t reject = (0u - limit) % limit;
        while ((uint32_t)m < reject)
            m = (rng_u64(r) >> 32) * limit;
    }
    return (uint32_t)(m >> 32);
}

double rng_normal(struct rng *r)
{
    double u = 1.0 - rng_unit(r), v = rng_unit(r);

    return sqrt(-2.0 * log(u)) * cos(2.0 * 3.14159265358979323846 * v);
}

double rng_exponential(struct rng *r, double mean)
{
    return -mean * log(1.0 - rng_unit(r));
}

uint32_t rng_poisson(struct rng *r, double mean)
{
    if (mean <= 0)
        return 0;
    if (mean > 30) {
        double x = floor(mean + sqrt(mean) * rng_normal(r) + 0.5);
        return x < 0 ? 0 : (uint32_t)x;
    }
    double limit = exp(-mean), product = rng_unit(r);
    uint32_t n = 0;
    while (product > limit) {
        product *= rng_unit(r);
        n++;
    }
    return n;
}
