"""Training scenes: crops of labeled scenes, faces pasted into other pictures, and pictures without a face.

Everything is drawn from one generator per sample, so a sample is known by the seed and its number alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agepred_train.archive import StoredPicture
from agepred_train.detector.annotations import Annotation
from agepred_train.detector.degrade import Degradation, degrade
from agepred_train.detector.placement import Picture, moved, placement, warp

# What the core puts around a picture whose sides are no multiples of 32: the network's zero.
PADDING = 128

_SMALLEST = 6.0  # faces with a shorter side are ignored, in pixels of the scene
_LEAST_COVER = 0.6  # share of the scene's side that a cropped picture covers at least
_SEEN = 0.4  # share of a cut-off face that must be visible for it to be asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """What training scenes are made of."""

    side: int
    """Width and height of a scene in pixels, a multiple of 32."""
    pasted: float
    """Share of scenes into which faces are pasted."""
    mosaic: float
    """Share of scenes that are grids of faces."""
    empty: float
    """Share of scenes without a face."""
    smallest: float
    """Shortest side of the face that a crop is made for, in pixels."""
    largest: float
    """Longest, in pixels."""
    turned: float
    """Share of scenes that are turned, by up to 45 degrees."""
    hidden: float
    """Share of scenes where patches hide parts of faces."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """Labeled pictures; `load` gives one with its faces. Pictures may be kept decoded or decoded on demand."""

    pictures: Sequence[StoredPicture]
    faces: Sequence[Annotation]
    decoded: Sequence[Picture] | None = None

    def load(self, index: int) -> tuple[Picture, Annotation]:
        """Return picture and faces."""
        picture = self.decoded[index] if self.decoded is not None else self.pictures[index].read_picture()
        return picture, self.faces[index]

    def draw(self, rng: np.random.Generator) -> tuple[Picture, Annotation]:
        """Return a random picture and its faces."""
        return self.load(int(rng.integers(len(self.pictures))))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """A picture to train on."""

    pixels: Picture
    """RGB, [side, side, 3]."""
    boxes: NDArray[np.float32]
    """Left, top, right, bottom, [n, 4]."""
    points: NDArray[np.float32]
    """Five points, NaN where unknown, [n, 5, 2]."""
    ignored: NDArray[np.bool_]
    """[n]."""


class Composer:
    """Makes scenes from sources. Not for more than one thread at once; safe in forked workers."""

    def __init__(
        self, scenes: Source, chips: Sequence[Source], backgrounds: Source, mix: Mix, degradation: Degradation
    ) -> None:
        self._scenes = scenes
        self._chips = chips
        self._backgrounds = backgrounds
        self._mix = mix
        self._degradation = degradation

    def scene(self, rng: np.random.Generator) -> Scene:
        """Return a scene."""
        mix = self._mix
        kind = rng.random()
        makers = (
            (mix.empty, self._empty),
            (mix.mosaic, self._mosaic),
            (mix.pasted, self._pasted),
        )
        maker: _Maker = self._cropped
        for share, candidate in makers:
            if kind < share:
                maker = candidate
                break
            kind -= share
        canvas = maker(rng)
        if rng.random() < mix.hidden:
            canvas.hide(rng)
        return canvas.scene(degrade(canvas.pixels, self._degradation, rng))

    def _cropped(self, rng: np.random.Generator) -> "_Canvas":
        picture, faces = self._scenes.draw(rng)
        side = self._mix.side
        height, width = picture.shape[:2]
        wanted = np.flatnonzero(~faces.ignored)
        if len(wanted) and rng.random() < 0.8:
            x, y, w, h = faces.boxes[rng.choice(wanted)]
            size = math.sqrt(w * h)
            scale = min(_log_uniform(rng, self._mix.smallest, self._mix.largest) / size, 2.5)
            scale = max(scale, _LEAST_COVER * side / max(height, width))
            center = (x + w / 2, y + h / 2)
            at = (rng.uniform(0.02, 0.98) * side, rng.uniform(0.02, 0.98) * side)
        else:
            scale = side / max(height, width) * rng.uniform(0.5, 2.0)
            center = (rng.uniform(0.3, 0.7) * width, rng.uniform(0.3, 0.7) * height)
            at = (side / 2, side / 2)
        matrix = placement(center, at, scale, self._angle(rng), rng)
        canvas = _Canvas.blank(side, _fill(rng))
        canvas.put_picture(picture, faces, matrix, rng)
        return canvas

    def _empty(self, rng: np.random.Generator) -> "_Canvas":
        side = self._mix.side
        picture, faces = self._backgrounds.draw(rng)
        height, width = picture.shape[:2]
        scale = side / min(height, width) * _log_uniform(rng, 0.5, 3.0)
        center = (rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height)
        matrix = placement(center, (side / 2, side / 2), scale, rng.uniform(-180, 180), rng)
        canvas = _Canvas.blank(side, _fill(rng))
        canvas.put_picture(picture, faces, matrix, rng)
        return canvas

    def _pasted(self, rng: np.random.Generator) -> "_Canvas":
        canvas = self._empty(rng) if rng.random() < 0.5 else self._cropped(rng)
        for _ in range(int(rng.integers(0, 4))):  # patches that are no faces, so that an edge alone proves nothing
            picture, nothing = self._backgrounds.draw(rng)
            self._paste(canvas, picture, nothing, rng)
        for _ in range(int(rng.integers(1, 9))):
            picture, faces = self._chip(rng)
            self._paste(canvas, picture, faces, rng)
        return canvas

    def _mosaic(self, rng: np.random.Generator) -> "_Canvas":
        side = self._mix.side
        canvas = _Canvas.blank(side, _fill(rng))
        count = int(rng.integers(1, 6))
        cell = side / count
        for row in range(count):
            for column in range(count):
                picture, faces = self._chip(rng) if rng.random() < 0.85 else self._backgrounds.draw(rng)
                height, width = picture.shape[:2]
                center = ((column + 0.5) * cell, (row + 0.5) * cell)
                scale = cell / min(height, width) * rng.uniform(0.8, 1.2)
                matrix = placement((width / 2, height / 2), center, scale, rng.normal(0, 4), rng)
                window = np.zeros((side, side), np.float32)
                window[
                    round(row * cell) : round((row + 1) * cell), round(column * cell) : round((column + 1) * cell)
                ] = 1
                canvas.paste(picture, faces, matrix, window)
        return canvas

    def _chip(self, rng: np.random.Generator) -> tuple[Picture, Annotation]:
        return self._chips[int(rng.integers(len(self._chips)))].draw(rng)

    def _paste(self, canvas: "_Canvas", picture: Picture, faces: Annotation, rng: np.random.Generator) -> None:
        height, width = picture.shape[:2]
        wanted = np.flatnonzero(~faces.ignored)
        if len(wanted):
            x, y, w, h = faces.boxes[wanted[0]]
        else:
            w, h = width * rng.uniform(0.3, 0.6), height * rng.uniform(0.3, 0.6)
            x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        scale = _log_uniform(rng, 12, 260) / math.sqrt(w * h)
        center = (x + w / 2, y + h / 2)
        at = self._free_place(canvas, max(w, h) * scale, rng)
        matrix = placement(center, at, scale, self._angle(rng), rng)
        canvas.paste(picture, faces, matrix, _window(picture, (x, y, w, h), matrix, canvas.side, rng))

    def _free_place(self, canvas: "_Canvas", size: float, rng: np.random.Generator) -> tuple[float, float]:
        side = canvas.side
        for _ in range(8):
            x, y = rng.uniform(0, side, 2)
            boxes = canvas.boxes
            gap = np.maximum(np.abs(boxes[:, ::2].mean(1) - x), np.abs(boxes[:, 1::2].mean(1) - y))
            if not len(boxes) or (gap > (size + np.ptp(boxes[:, ::2], axis=1)) * 0.55).all():
                break
        return float(x), float(y)

    def _angle(self, rng: np.random.Generator) -> float:
        if rng.random() >= self._mix.turned:
            return float(rng.normal(0, 3))
        return float(rng.uniform(-45, 45)) if rng.random() < 0.5 else float(np.clip(rng.normal(0, 18), -45, 45))


class _Canvas:
    """A picture under construction and its faces."""

    def __init__(self, pixels: Picture) -> None:
        self.pixels = pixels
        self.side = pixels.shape[0]
        self.boxes = np.empty((0, 4), np.float32)
        self.points = np.empty((0, 5, 2), np.float32)
        self.ignored = np.empty(0, np.bool_)
        self.uncovered = np.empty(0, np.float32)  # shares of the faces that no later patch hides

    @staticmethod
    def blank(side: int, color: tuple[int, int, int]) -> "_Canvas":
        return _Canvas(np.full((side, side, 3), color, np.uint8))

    def put_picture(
        self, picture: Picture, faces: Annotation, matrix: NDArray[np.float64], rng: np.random.Generator
    ) -> None:
        """Cover the canvas with a picture; beyond its border the canvas' own color shows, or the border goes on."""
        border = cv2.BORDER_REPLICATE if rng.random() < 0.2 else cv2.BORDER_CONSTANT
        color = tuple(int(value) for value in self.pixels[0, 0])
        self.pixels = warp(picture, matrix, self.side, border, color)
        self._add(*moved(faces, matrix))

    def paste(
        self, picture: Picture, faces: Annotation, matrix: NDArray[np.float64], window: NDArray[np.float32]
    ) -> None:
        """Put a picture on the canvas where it lies and where `window` (0 to 1, [side, side]) lets it show."""
        inside = warp(np.full(picture.shape[:2], 255, np.uint8), matrix, self.side, cv2.BORDER_CONSTANT, (0,))
        alpha = np.asarray(window * (inside.astype(np.float32) / 255), np.float32)
        rows, columns = np.flatnonzero(alpha.max(axis=1) > 0), np.flatnonzero(alpha.max(axis=0) > 0)
        if not len(rows) or not len(columns):
            return
        place = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        shown = warp(picture, matrix, self.side, cv2.BORDER_REPLICATE, (0,))[place].astype(np.float32)
        below = self.pixels[place].astype(np.float32)
        self.pixels = self.pixels.copy()
        self.pixels[place] = np.rint(below + (shown - below) * alpha[place][..., None]).astype(np.uint8)
        self._cover(alpha)
        boxes, points, ignored = moved(faces, matrix)
        visible = np.array([_share(alpha, box) for box in boxes], np.float32)
        kept = visible > 0.15
        self._add(boxes[kept], points[kept], ignored[kept] | (visible[kept] < 0.6))

    def hide(self, rng: np.random.Generator) -> None:
        """Put patches over parts of some faces."""
        self.pixels = self.pixels.copy()
        for row in np.flatnonzero(~self.ignored):
            box = self.boxes[row]
            if rng.random() < 0.5:
                continue
            width, height = box[2] - box[0], box[3] - box[1]
            # The lower half, like a mask or a cup, or any part.
            share = rng.uniform(0.15, 0.5, 2)
            if rng.random() < 0.4:
                left, top = box[0], box[1] + height * rng.uniform(0.5, 0.7)
                right, bottom = box[2], box[3]
            else:
                left = box[0] + rng.uniform(0, 1 - share[0]) * width
                top = box[1] + rng.uniform(0, 1 - share[1]) * height
                right, bottom = left + share[0] * width, top + share[1] * height
            x0, y0, x1, y1 = (int(np.clip(value, 0, self.side)) for value in (left, top, right, bottom))
            if x1 > x0 and y1 > y0:
                patch = rng.integers(0, 256, 3) + rng.normal(0, rng.uniform(0, 25), (y1 - y0, x1 - x0, 1))
                self.pixels[y0:y1, x0:x1] = np.clip(patch, 0, 255).astype(np.uint8)
                alpha = np.zeros((self.side, self.side), np.float32)
                alpha[y0:y1, x0:x1] = 1
                self._cover(alpha, spared=int(row))

    def scene(self, pixels: Picture) -> Scene:
        """Return the finished scene with the faces that lie inside."""
        clipped = np.clip(self.boxes, 0, self.side)
        whole = np.maximum((self.boxes[:, 2:] - self.boxes[:, :2]).prod(axis=1), 1e-6)
        sides = clipped[:, 2:] - clipped[:, :2]
        seen = sides.prod(axis=1) / whole
        kept = (seen > 0.05) & (self.uncovered > 0.2) & (sides.min(axis=1, initial=np.inf) >= 2)
        small = sides.min(axis=1, initial=np.inf) < _SMALLEST
        return Scene(
            pixels=pixels,
            boxes=clipped[kept],
            points=self.points[kept],
            ignored=(self.ignored | small | (seen < _SEEN))[kept],
        )

    def _add(self, boxes: NDArray[np.float32], points: NDArray[np.float32], ignored: NDArray[np.bool_]) -> None:
        self.boxes = np.concatenate([self.boxes, boxes])
        self.points = np.concatenate([self.points, points])
        self.ignored = np.concatenate([self.ignored, ignored])
        self.uncovered = np.concatenate([self.uncovered, np.ones(len(boxes), np.float32)])

    def _cover(self, alpha: NDArray[np.float32], spared: int | None = None) -> None:
        """Doubt the faces that patches hide in part; `scene` forgets those that hardly show any more."""
        hidden = np.array([_share(alpha, box) for box in self.boxes], np.float32)
        if spared is not None:
            hidden[spared] = 0
        self.uncovered = self.uncovered * (1 - np.clip(hidden, 0, 1))
        self.ignored = self.ignored | (self.uncovered < 0.7)


def _share(alpha: NDArray[np.float32], box: NDArray[np.float32]) -> float:
    """Return the mean of `alpha` over a box, as far as it lies on the canvas; outside it counts as 0."""
    side = len(alpha)
    x0, y0 = (int(np.clip(math.floor(value), 0, side)) for value in box[:2])
    x1, y1 = (int(np.clip(math.ceil(value), 0, side)) for value in box[2:])
    area = max(1.0, float((box[2] - box[0]) * (box[3] - box[1])))
    return float(alpha[y0:y1, x0:x1].sum()) / area if x1 > x0 and y1 > y0 else 0.0


def _window(
    picture: Picture,
    box: tuple[float, float, float, float],
    matrix: NDArray[np.float64],
    side: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return where a pasted picture shows: all of it, or an ellipse around the face, with a hard or a soft edge."""
    if rng.random() < 0.4:
        return np.ones((side, side), np.float32)
    x, y, w, h = box
    grown = rng.uniform(1.1, 1.8, 2)
    shape = np.zeros(picture.shape[:2], np.uint8)
    center = (round(x + w / 2), round(y + h / 2))
    axes = (max(1, round(w * grown[0] / 2)), max(1, round(h * grown[1] / 2)))
    if rng.random() < 0.7:
        cv2.ellipse(shape, center, axes, 0, 0, 360, 255, -1)
    else:
        cv2.rectangle(
            shape, (center[0] - axes[0], center[1] - axes[1]), (center[0] + axes[0], center[1] + axes[1]), 255, -1
        )
    window = np.asarray(warp(shape, matrix, side, cv2.BORDER_CONSTANT, (0,)) / 255, np.float32)
    if rng.random() < 0.7:
        blur = max(1.0, rng.uniform(0.02, 0.1) * max(w, h) * math.hypot(matrix[0, 0], matrix[1, 0]))
        window = np.asarray(cv2.GaussianBlur(window, (0, 0), blur), np.float32)
    return window


def _fill(rng: np.random.Generator) -> tuple[int, int, int]:
    if rng.random() < 0.6:
        return (PADDING, PADDING, PADDING)
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return (red, green, blue)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


_Maker = Callable[[np.random.Generator], _Canvas]
