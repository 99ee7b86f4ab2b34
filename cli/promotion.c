/* Exact, not simulated: after s failures there is one number of requests n(s) at which no harm is
 * shown, so that promotion can only come at n(0), n(1), ... with exactly so many failures. The
 * distribution of the failures is carried from each of these to the next, without those that were
 * promoted on the way. */
#include "cli/promotion.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "analysis/sequential.h"

enum { FAILURES_MAX = 1000, JUMP_MAX = 256 };

static const double negligible = 1e-14;

struct walk {
    double at[FAILURES_MAX + 1]; /* probability of so many failures, not promoted */
    size_t low, high;            /* all else is 0 */
};

/* The binomial distribution of the failures in `trials`, up to where it does not matter. */
static size_t failures_in(uint64_t trials, double rate, double to[static JUMP_MAX])
{
    double sum = to[0] = exp((double)trials * log1p(-rate));
    size_t count = 1;

    for (; count < JUMP_MAX && count <= trials && sum < 1 - negligible; count++) {
        double more = (double)(trials - count + 1) / (double)count * rate / (1 - rate);
        to[count] = to[count - 1] * more;
        sum += to[count];
    }
    return count;
}

/* From the highest down, so that each count is read before it is written. */
static void advance(struct walk *w, const double *jump, size_t jumps)
{
    size_t high = w->high + jumps - 1 < FAILURES_MAX ? w->high + jumps - 1 : FAILURES_MAX;

    for (size_t s = high + 1; s-- > w->low;) {
        double p = 0;
        for (size_t j = 0; j < jumps && j + w->low <= s; j++)
            if (s - j <= w->high)
                p += w->at[s - j] * jump[j];
        w->at[s] = p;
    }
    while (high > w->low && w->at[high] < negligible)
        w->at[high--] = 0;
    w->high = high;
}

uint64_t promotion_requests(double p0, double beta, double rate, double share)
{
    double jump[JUMP_MAX], promoted = 0;
    struct walk w = {.at = {1}};
    uint64_t n = 0;

    if (rate >= p0)
        return UINT64_MAX;
    for (uint64_t s = 0; s < FAILURES_MAX && w.low <= w.high; s++) {
        uint64_t more = sequential_requests_more(s, s, p0, beta);
        if (more == UINT64_MAX)
            return UINT64_MAX;
        advance(&w, jump, failures_in(s + more - n, rate, jump));
        n = s + more;
        promoted += w.at[s];
        w.at[s] = 0;
        w.low = (size_t)s + 1;
        if (w.high < w.low)
            w.high = w.low;
        if (promoted >= share)
            return n;
    }
    return UINT64_MAX;
}
