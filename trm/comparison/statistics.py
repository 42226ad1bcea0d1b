"""The statistics of a comparison: intervals over seeds, and paired tests over puzzles."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from trm.tasks.metrics import wilson


def mean_interval(values: Sequence[float], count: int) -> tuple[float, float]:
    """The 95% interval of the mean of a share that several seeds have on the same puzzles.

    Two things could have been others. The seeds: Student's t over their values, which is wide for
    few of them, 2.5 standard deviations to each side for three and 9 for two. And the puzzles:
    Wilson's interval of a share. They are independent, so their squares are added.

    >>> low, high = mean_interval([0.7, 0.8, 0.9], 1000)
    >>> round(low, 3), round(high, 3)
    (0.55, 1.0)

    Args:
        values: the share of each seed.
        count: the number of puzzles.
    """
    mean = fmean(values)
    low, high = wilson(mean * count, count)
    half = 0.0
    if len(values) > 1:
        half = t_quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return max(0.0, mean - math.hypot(half, mean - low)), min(
        1.0, mean + math.hypot(half, high - mean)
    )


def t_quantile(degrees: int, share: float = 0.95) -> float:
    """The t that a variable of Student's distribution is within, to both sides, in this share.

    >>> [round(t_quantile(degrees), 3) for degrees in (1, 2, 3, 30)]
    [12.706, 4.303, 3.182, 2.042]
    """
    low, high = 0.0, 1e4
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _share_within(middle, degrees) < share else (low, middle)
    return high


def _share_within(t: float, degrees: int) -> float:
    """The share of Student's distribution between -t and t (Abramowitz and Stegun, 26.7.3-4)."""
    angle = math.atan(t / math.sqrt(degrees))
    power = degrees % 2
    term, total = math.cos(angle) ** power, 0.0
    while power <= degrees - 2:
        total += term
        term *= (power + 1) / (power + 2) * math.cos(angle) ** 2
        power += 2
    if degrees % 2 == 0:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + math.sin(angle) * total)


def sign_test(better: int, worse: int) -> float:
    """The two-sided p-value of ``better`` against ``worse`` pairs, if both are equally likely.

    For one seed, whose pairs are right or wrong, this is McNemar's exact test.

    >>> sign_test(8, 1), sign_test(0, 0)
    (0.0390625, 1.0)
    """
    count, fewer = better + worse, min(better, worse)
    if 2 * fewer == count:
        return 1.0
    if count <= 1000:
        return 2 * sum(math.comb(count, k) for k in range(fewer + 1)) / (1 << count)
    # The binomial probabilities of 0 to `fewer`, relative to the last: nothing over- or underflows.
    total = term = 1.0
    for k in range(fewer, 0, -1):
        term *= k / (count - k + 1)
        total += term
    ways = math.lgamma(count + 1) - math.lgamma(fewer + 1) - math.lgamma(count - fewer + 1)
    return min(1.0, 2 * total * math.exp(ways - count * math.log(2)))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979), in the same order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
