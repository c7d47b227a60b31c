"""Lays the maps of explanations over a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agepred_cli.draw import draw_labels, legible
from agepred_edge import Detection, map_at, tint

_DIGITS = 4  # of a map's years in JSON


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CropFrame:
    """The crops of a model, and where the cells of its maps lie in them."""

    side: int
    """Pixels."""
    points: NDArray[np.float32]
    """5 x 2: where the landmarks lie, in fractions of the side."""
    first: float
    """Center of the first cell, both ways, in pixels."""
    step: float
    """Pixels from a cell's center to the next one's."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        points = [[round(float(x), 5), round(float(y), 5)] for x, y in self.points]
        return {"crop_side": self.side, "crop_points": points, "first": self.first, "step": self.step}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ExplainedFace:
    """A face, its age, and where in its crop that comes from."""

    face: Detection
    label: str
    """As it is drawn, such as "58 (51-66)"."""
    answer: dict[str, Any]
    """What there is to say of the face beside its map, JSON-ready."""
    map: NDArray[np.float32]
    """Years by cell, rows x columns."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        rows = [[round(float(value), _DIGITS) for value in row] for row in self.map]
        return {**self.answer, "map": rows}


def draw_heat(pixels: NDArray[np.uint8], faces: Sequence[ExplainedFace], frame: CropFrame) -> Image.Image:
    """A copy of a picture, height x width x 3 RGB, with each face's map over its crop, and its age.

    Red makes a face look older, blue younger; each face's strongest cell has the full color. What the model does not
    see keeps its own colors. A picture whose longer side has less than 640 pixels is enlarged to that.
    """
    picture, enlarge = legible(pixels)
    shown = np.array(picture)
    for explained in reversed(faces):  # the largest last: over those behind it
        _lay_over(shown, explained, frame, enlarge)
    result = Image.fromarray(shown)
    boxes = [tuple(side * enlarge for side in explained.face.box) for explained in faces]
    draw_labels(result, [((x, y, w, h), one.label) for (x, y, w, h), one in zip(boxes, faces, strict=True)])
    return result


def _lay_over(shown: NDArray[np.uint8], explained: ExplainedFace, frame: CropFrame, enlarge: float) -> None:
    scale, shift = _similarity(frame.points * frame.side, explained.face.landmarks * enlarge)
    corners = np.array([0, frame.side, frame.side * 1j, frame.side * (1 + 1j)]) * scale + shift
    height, width = shown.shape[:2]
    left, right = (int(np.clip(end, 0, width)) for end in (corners.real.min(), corners.real.max() + 1))
    top, bottom = (int(np.clip(end, 0, height)) for end in (corners.imag.min(), corners.imag.max() + 1))
    centers = (np.arange(left, right) + 0.5)[None, :] + 1j * (np.arange(top, bottom) + 0.5)[:, None]
    places = (centers - shift) / scale
    inside = (np.minimum(places.real, places.imag) >= 0) & (np.maximum(places.real, places.imag) <= frame.side)
    heat = map_at(explained.map, places.real, places.imag, first=frame.first, step=frame.step)
    full = float(np.abs(explained.map).max()) or 1.0
    window = shown[top:bottom, left:right]
    window[inside] = tint(window, heat, full)[inside]


def _similarity(points: NDArray[np.float32], onto: NDArray[np.float32]) -> tuple[complex, complex]:
    """The least-squares similarity transform z -> scale z + shift, by which the core cuts crops, of complex numbers."""
    source, target = (one[:, 0].astype(np.float64) + 1j * one[:, 1] for one in (points, onto))
    centered = source - source.mean()
    scale = complex((centered.conj() * target).sum() / (abs(centered) ** 2).sum())
    return scale, complex(target.mean() - scale * source.mean())
