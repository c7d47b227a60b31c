"""Arithmetic of boxes given as left, top, width, height."""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def overlaps(one: Boxes, other: Boxes) -> NDArray[np.float32]:
    """Return the intersection over union of every pair, [n, m]."""
    common = _common(one, other)
    areas = one[:, None, 2] * one[:, None, 3] + other[None, :, 2] * other[None, :, 3]
    return np.asarray(common / np.maximum(areas - common, 1e-9), np.float32)


def covered(one: Boxes, other: Boxes) -> NDArray[np.float32]:
    """Return the share of each box of `one` that lies inside each of `other`, [n, m]."""
    return np.asarray(_common(one, other) / np.maximum(one[:, None, 2] * one[:, None, 3], 1e-9), np.float32)


def greedy_groups(boxes: Boxes, scores: NDArray[np.float32], same: float) -> list[NDArray[np.intp]]:
    """Return groups of indices that mean the same face: the surest box, and all that overlap it by more than `same`."""
    left = np.argsort(-scores, kind="stable")
    groups = []
    while len(left):
        alike = overlaps(boxes[left[:1]], boxes[left])[0] > same
        alike[0] = True
        groups.append(left[alike])
        left = left[~alike]
    return groups


def _common(one: Boxes, other: Boxes) -> NDArray[np.float32]:
    """Return the common area of every pair, [n, m]."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, :2] + one[:, None, 2:], other[None, :, :2] + other[None, :, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=2), np.float32)
