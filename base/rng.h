/* base/rng.h — seeded randomness (xoshiro256**, Blackman and Vigna 2018; seeded by splitmix64).
 *
 * For splits, ids and simulations; not for secrets. One owner.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *, uint64_t seed);
void rng_seed_system(struct rng *); /* from getrandom(2) */
uint64_t rng_u64(struct rng *);
double rng_unit(struct rng *);                    /* uniform in [0, 1), 53 bits */
uint32_t rng_below(struct rng *, uint32_t limit); /* uniform in [0, limit), limit > 0, unbiased */
double rng_normal(struct rng *);                  /* standard normal (Box-Muller, one branch) */
double rng_exponential(struct rng *, double mean);
uint32_t rng_poisson(struct rng *, double mean); /* exact below 30, normal approximation above */

#endif
