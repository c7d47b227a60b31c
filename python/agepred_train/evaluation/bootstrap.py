"""Intervals of means by the bootstrap: percentiles over resamples of the pictures.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. Resamples are drawn from a fixed seed:
the same answers give the same interval.
"""

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 2000
LEVEL = 0.95
SEED = 0

_AT_ONCE = 4_000_000  # drawn numbers held in memory


def mean_interval(values: ArrayLike) -> tuple[float, float]:
    """Return the ends of the 95 % interval of the mean of some values, [n].

    Of two models on the same pictures: give the differences of their errors, picture by picture (paired).

    Raises:
        ValueError: there are no values.
    """
    numbers = np.asarray(values, np.float64)
    count = len(numbers)
    if not count:
        raise ValueError("no values: their mean has no interval")
    rng = np.random.default_rng(SEED)
    rows = max(1, _AT_ONCE // count)
    means = np.concatenate(
        [
            numbers[rng.integers(0, count, (min(rows, RESAMPLES - start), count))].mean(axis=1)
            for start in range(0, RESAMPLES, rows)
        ]
    )
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
