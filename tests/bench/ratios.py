"""The statistics of the bench: medians, and paired ratios with an interval."""

import random

RESAMPLES = 4000
SEED = 1


def median(values):
    ordered = sorted(values)
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def paired(ours, theirs):
    """(median, low, high): of the ratios within each round, with a 95 % interval of the median.

    The interval is the percentile bootstrap's, with a fixed seed, so that the same rounds always
    give the same one. With fewer than five rounds it is the range, for nothing better is known.
    """
    ratios = [a / b for a, b in zip(ours, theirs, strict=True) if b > 0]
    if not ratios:
        raise ValueError("no rounds")
    if len(ratios) < 5:
        return median(ratios), min(ratios), max(ratios)
    source = random.Random(SEED)
    medians = sorted(median(source.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return median(ratios), medians[round(0.025 * RESAMPLES)], medians[round(0.975 * RESAMPLES) - 1]
