"""Faces that lend their places to others: of those seen before, the one that looks most nearly as old."""

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

Crop = NDArray[np.uint8]

POOL = 1000
"""Faces that lend; later ones only borrow, so that memory does not grow with the set."""


class Donors:
    """Crops by answered age."""

    def __init__(self) -> None:
        self._ages: list[float] = []
        self._crops: list[Crop] = []

    def nearest(self, age: float) -> Crop | None:
        """Return the crop whose answered age is nearest, the older one of two; None before the first."""
        place = bisect_left(self._ages, age)
        around = range(max(place - 1, 0), min(place + 1, len(self._ages)))
        best = min(around, key=lambda index: (abs(self._ages[index] - age), -index), default=None)
        return None if best is None else self._crops[best]

    def add(self, age: float, crop: Crop) -> None:
        """Let a face lend, while there is room."""
        if len(self._ages) < POOL:
            place = bisect_left(self._ages, age)
            self._ages.insert(place, age)
            self._crops.insert(place, crop)
