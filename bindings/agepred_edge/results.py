"""The answers, as plain values."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Detection:
    """A face in a picture, in pixels of the picture; (0, 0) is its top left corner."""

    box: tuple[float, float, float, float]
    """x, y, width, height; may reach beyond the picture."""
    score: float
    """How sure the detector is that this is a face, 0 to 1."""
    landmarks: NDArray[np.float32]
    """5 x 2: right eye, left eye, nose tip, right and left corner of the mouth (the person's right)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Age:
    """An age in years."""

    age: float
    """Mean of the distribution."""
    stddev: float
    """Standard deviation of the distribution."""
    interval: tuple[float, float]
    """Low and high end of the interval that holds the age with probability ModelInfo.interval_level."""
    group: str
    """The likeliest of ModelInfo.groups, as "26-50"."""
    probabilities: NDArray[np.float32]
    """One a year, from ModelInfo.first_age on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Face(Age, Detection):
    """A face and its age."""

    def to_dict(self, *, probabilities: bool = False) -> dict[str, Any]:
        """Plain numbers and lists, ready for JSON; the distribution only where it is asked for."""
        x, y, width, height = (round(side, 2) for side in self.box)
        result: dict[str, Any] = {
            "age": round(self.age, 2),
            "stddev": round(self.stddev, 2),
            "interval": [round(end, 2) for end in self.interval],
            "group": self.group,
            "box": {"x": x, "y": y, "width": width, "height": height},
            "score": round(self.score, 4),
            "landmarks": [[round(float(x), 2), round(float(y), 2)] for x, y in self.landmarks],
        }
        if probabilities:
            result["probabilities"] = [float(p) for p in self.probabilities]
        return result


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation(Age):
    """An age, and where in the crop it comes from."""

    map: NDArray[np.float32]
    """rows x columns (ModelInfo.map_shape), top down: the years that each cell adds to the age, to first order;
    negative where it takes years away. Grad-CAM of the mean age is what of it is positive (docs/explain.md)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelInfo:
    """What an age model's file says of itself (docs/model_contract.md)."""

    version: str
    crop_side: int
    """Pixels."""
    crop_points: NDArray[np.float32]
    """5 x 2: where the landmarks lie in the crop, in fractions of its side."""
    crop_detector: str
    """Name and hash of the detector whose landmarks the model was trained on."""
    first_age: int
    age_count: int
    int8_exact: bool
    """Whether int8 arithmetic cannot saturate on any processor."""
    interval_level: float
    groups: tuple[tuple[int, int], ...]
    """First and last age of each group."""
    map_shape: tuple[int, int]
    """Rows and columns of an Explanation's map; (0, 0) where the model cannot explain."""
    map_first: float
    """Where the first cell of a map is centered, both ways, in pixels of the crop."""
    map_step: float
    """Pixels of the crop from a cell's center to the next one's."""
