"""Similarity transforms of the plane: the fit that the core cuts crops with, in NumPy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """Maps (u, v) to (a u - b v + x, b u + a v + y)."""

    a: float
    b: float
    x: float
    y: float

    @staticmethod
    def fit(source: Points, target: Points) -> "Similarity":
        """Return the map from `source` to `target`, [n, 2] each, with the least sum of squared distances."""
        from_center, to_center = source.mean(axis=0), target.mean(axis=0)
        s, t = source - from_center, target - to_center
        power = float((s * s).sum())
        a = float((s * t).sum()) / power
        b = float((s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]).sum()) / power
        x, y = to_center - (a * from_center[0] - b * from_center[1], b * from_center[0] + a * from_center[1])
        return Similarity(a=a, b=b, x=float(x), y=float(y))

    @property
    def scale(self) -> float:
        """Length of a unit vector's image."""
        return float(np.hypot(self.a, self.b))

    def apply(self, points: Points) -> Points:
        """Return the images of points [..., 2]."""
        u, v = points[..., 0], points[..., 1]
        moved = np.stack([self.a * u - self.b * v + self.x, self.b * u + self.a * v + self.y], axis=-1)
        return np.asarray(moved, np.float32)

    def inverse(self) -> "Similarity":
        """Return the map back."""
        power = self.a * self.a + self.b * self.b
        a, b = self.a / power, -self.b / power
        return Similarity(a=a, b=b, x=-(a * self.x - b * self.y), y=-(b * self.x + a * self.y))
