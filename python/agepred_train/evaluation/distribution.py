"""From distributions over ages to answers, as docs/model_contract.md defines them.

The core gives these answers for one model; they are computed here for averages of several, and at other levels.
Everywhere `probabilities` is [n, K], rows sum to 1, and column k is the year `first` + k.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agepred_train.evaluation.offsets import IntervalOffsets

Column = NDArray[np.float64]


def mean_and_stddev(probabilities: ArrayLike, first: int) -> tuple[Column, Column]:
    """Return means and standard deviations in years, [n] each."""
    p = _normalized(probabilities)
    ages = first + np.arange(p.shape[1])
    mean = p @ ages
    variance = (p * (ages - mean[:, None]) ** 2).sum(axis=1)
    return mean, np.sqrt(variance)


def quantiles(probabilities: ArrayLike, first: int, shares: Sequence[float]) -> NDArray[np.float64]:
    """Return the quantiles in years, a row for every share, [len(shares), n].

    The probability of a year lies evenly between half a year before and half a year after it; no answer lies
    outside of the first and the last age.
    """
    if not all(0 < share < 1 for share in shares):
        raise ValueError(f"the shares {list(shares)} are not all between 0 and 1")
    p = _normalized(probabilities)
    cumulative = np.cumsum(p, axis=1)
    last = p.shape[1] - 1
    rows = np.arange(len(p))
    found = np.empty((len(shares), len(p)))
    for number, share in enumerate(shares):
        year = np.minimum((cumulative < share).sum(axis=1), last)
        inside = p[rows, year]
        before = cumulative[rows, year] - inside
        part = np.divide(share - before, inside, out=np.zeros(len(p)), where=inside > 0)
        found[number] = np.clip(first + year - 0.5 + part, first, first + last)
    return found


def intervals(
    probabilities: ArrayLike, first: int, levels: Sequence[float], offsets: IntervalOffsets | None = None
) -> list[tuple[Column, Column]]:
    """Return the ends of the interval of every level in years, [n] each: central ones, moved by a model's offsets."""
    ends = quantiles(probabilities, first, [(1 + sign * level) / 2 for level in levels for sign in (-1, 1)])
    central = list(zip(ends[::2], ends[1::2], strict=True))
    if offsets is None:
        return central
    mean, _ = mean_and_stddev(probabilities, first)
    last = first + np.asarray(probabilities).shape[1] - 1
    moved = []
    for level, (low, high) in zip(levels, central, strict=True):
        down, up = offsets.of(level, mean)
        lower, upper = np.clip(low - down, first, last), np.clip(high + up, first, last)
        middle = (lower + upper) / 2  # ends that would pass each other meet
        moved.append((np.minimum(lower, middle), np.maximum(upper, middle)))
    return moved


def likeliest_year(probabilities: ArrayLike, first: int) -> NDArray[np.int64]:
    """Return the most probable years, [n]."""
    years: NDArray[np.int64] = first + np.argmax(np.asarray(probabilities), axis=1)
    return years


def likeliest_group(probabilities: ArrayLike, first: int, groups: Sequence[tuple[int, int]]) -> list[str]:
    """Return the names of the groups with the largest sum of probability."""
    p = np.asarray(probabilities, np.float64)
    sums = [p[:, max(low - first, 0) : max(high - first + 1, 0)].sum(axis=1) for low, high in groups]
    return ["{}-{}".format(*groups[number]) for number in np.argmax(sums, axis=0)]


def _normalized(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return float64 rows that sum to 1 exactly: float32 sums are off by 1e-7, which a quantile would see."""
    p = np.asarray(probabilities, np.float64)
    normalized: NDArray[np.float64] = p / p.sum(axis=1, keepdims=True)
    return normalized
