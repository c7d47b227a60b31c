"""Whether distributions tell the truth about themselves: coverage of intervals and the probability integral transform.

Judged where there was a face; labels are exact ages.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agepred_train.evaluation.distribution import intervals
from agepred_train.evaluation.predictions import Answers

LEVELS = (0.8, 0.9)
"""Levels of the intervals that are reported by band of age."""
COVERAGE_BANDS = ((0, 9), (10, 29), (30, 49), (50, 116))
"""First and last labeled year."""
CURVE_LEVELS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Levels of the calibration curve: 5 to 95 %."""
PIT_BINS = 10

_POINT = 1e-12  # probability that no bin could be divided by


def calibration(answers: Answers) -> dict[str, Any] | None:
    """Return all figures of calibration; None where there are no distributions or no faces.

    - `intervals`: by level, share of labels inside, mean width in years, and coverage by band of the label.
    - `curve`: share of labels inside of the central interval of every level in `levels`; `gap` is the mean distance
      of the two.
    - `pit`: histogram of the probability integral transform, shares of PIT_BINS equal bins; flat where the
      distributions are true, U-shaped where they are too narrow.
    """
    if answers.probabilities is None:
        return None
    usable = answers.where((answers.column("faces") > 0) & answers.is_exact())
    if not usable.rows or usable.probabilities is None:
        return None
    labels = usable.column("age_min")
    p, first, offsets = usable.probabilities, usable.first_age, usable.offsets
    curve = [float(_inside(labels, *ends).mean()) for ends in intervals(p, first, CURVE_LEVELS, offsets)]
    reported = zip(LEVELS, intervals(p, first, LEVELS, offsets), strict=True)
    return {
        "intervals": {f"{level:g}": _coverage(labels, *ends) for level, ends in reported},
        "levels": list(CURVE_LEVELS),
        "curve": curve,
        "gap": float(np.mean(np.abs(np.array(curve) - CURVE_LEVELS))),
        "pit": pit_histogram(p, first, labels).tolist(),
    }


def pit_histogram(
    probabilities: NDArray[np.float32], first: int, labels: NDArray[np.float64], bins: int = PIT_BINS
) -> NDArray[np.float64]:
    """Return the shares of the probability integral transform in equal bins from 0 to 1, [bins].

    A label is a whole year, so its transform is no number but lies anywhere between the probability of all younger
    years and that with its own; it counts in every bin as much as it lies there (Czado, Gneiting and Held,
    Predictive Model Assessment for Count Data, Biometrics 65, 2009: the nonrandomized uniform version).

    Args:
        probabilities: [n, K], K years from `first` on.
        first: in years.
        labels: in years, [n].
        bins: their number.
    """
    p = probabilities.astype(np.float64)
    cumulative = np.concatenate([np.zeros((len(p), 1)), np.cumsum(p / p.sum(axis=1, keepdims=True), axis=1)], axis=1)
    year = np.clip(labels.astype(int) - first, 0, p.shape[1] - 1)
    rows = np.arange(len(p))
    low, high = cumulative[rows, year], np.minimum(cumulative[rows, year + 1], 1)
    edges = np.linspace(0, 1, bins + 1)
    # A year of next to no probability has its transform in one point.
    width = high - low
    wide = width > _POINT
    spread = np.clip((edges - low[:, None]) / np.where(wide, width, 1)[:, None], 0, 1)
    point = (edges >= low[:, None]).astype(float)
    point[:, -1] = 1
    below = np.where(wide[:, None], spread, point)
    below[:, 0] = 0
    shares: NDArray[np.float64] = np.diff(below, axis=1).mean(axis=0)
    return shares


def _inside(labels: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (low <= labels) & (labels <= high)


def _coverage(labels: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> dict[str, Any]:
    inside = _inside(labels, low, high)
    bands = {}
    for first, last in COVERAGE_BANDS:
        band = (first <= labels) & (labels <= last)
        share = float(inside[band].mean()) if band.any() else None
        bands[f"{first}-{last}"] = {"n": int(band.sum()), "coverage": share}
    return {"coverage": float(inside.mean()), "width": float(np.mean(high - low)), "bands": bands}
