"""How much of a crop lies outside its picture: a crop must not show by its border which set it came from."""

import numpy as np
from numpy.typing import NDArray

from agepred_edge import DEFAULT_POINTS
from agepred_train.refiner.similarity import Points, Similarity

_CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)


def crop_corners(points: Points, target: Points = DEFAULT_POINTS) -> NDArray[np.float64]:
    """Return the four corners of the crop that five points [5, 2] cut, [4, 2], in pixels of the picture, in turn.

    `target` is where the crop puts the points, as shares of its side.

    Points without extent give a crop of size 0.
    """
    return Similarity.fit(target, points).apply(_CORNERS).astype(np.float64)


def share_outside(points: Points, width: float, height: float) -> float:
    """Return which share of the crop's area, 0 to 1, lies outside a picture of that size; 1 for a crop of size 0."""
    corners = crop_corners(points)
    whole = _area(corners)
    if whole <= 0:
        return 1.0
    inside = corners
    # Sutherland and Hodgman: cut off what lies beyond each side of the picture in turn.
    for axis, end, sign in ((0, 0.0, 1), (0, width, -1), (1, 0.0, 1), (1, height, -1)):
        inside = _cut_off(inside, sign * (inside[:, axis] - end))
    return float(np.clip(1 - _area(inside) / whole, 0, 1))


def _cut_off(polygon: NDArray[np.float64], depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the part of a polygon [n, 2] where the depth, linear and given at its corners [n], is not negative."""
    kept = []
    for index in range(len(polygon)):
        a, b = polygon[index - 1], polygon[index]
        da, db = depth[index - 1], depth[index]
        if (da < 0) != (db < 0):
            kept.append(a + (b - a) * (da / (da - db)))
        if db >= 0:
            kept.append(b)
    return np.array(kept).reshape(-1, 2)


def _area(polygon: NDArray[np.float64]) -> float:
    x, y = polygon[:, 0], polygon[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
