"""The map of an explanation at the size of its crop, and as a color over a picture."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

OLDER = (230, 40, 30)
"""Color of what makes a face look older, RGB."""
YOUNGER = (30, 90, 235)
"""Color of what makes it look younger, RGB."""

_STRONGEST = 0.75  # opacity of a full color: what lies below must stay visible
_FADED = 0.4  # how much of the picture's own color stays below the map: red on skin would not show


def map_at(cells: ArrayLike, x: ArrayLike, y: ArrayLike, *, first: float, step: float) -> NDArray[np.float32]:
    """A map at places of its crop, bilinear between the cells' centers and constant beyond the outermost.

    The cells of a convolutional network do not lie where equal shares of the crop would put them: a stride of 2 with a
    padding of 1 centers cell i on pixel 2 i.

    Args:
        cells: rows x columns.
        x: places in pixels of the crop, any shape; the first pixel's center is 0.5.
        y: likewise; both are broadcast.
        first: center of the first cell, both ways, in pixels (ModelInfo.map_first).
        step: pixels from a cell's center to the next one's (ModelInfo.map_step).

    Returns:
        Values in the units of the cells, in the shape of the places.
    """
    values = np.asarray(cells, np.float32)
    (top, below, down), (left, right, across) = (
        _neighbors(np.asarray(places, np.float32), count, first, step)
        for places, count in zip((y, x), values.shape, strict=True)
    )
    upper = values[top, left] * (1 - across) + values[top, right] * across
    lower = values[below, left] * (1 - across) + values[below, right] * across
    return np.asarray(upper * (1 - down) + lower * down, np.float32)


def enlarge_map(cells: ArrayLike, side: int, *, first: float, step: float) -> NDArray[np.float32]:
    """A map at every pixel of its crop, side x side; arguments as in map_at."""
    centers = np.arange(side, dtype=np.float32) + 0.5
    return map_at(cells, centers[None, :], centers[:, None], first=first, step=step)


def tint(picture: NDArray[np.uint8], heat: ArrayLike, full: float) -> NDArray[np.uint8]:
    """A paler copy of a picture in the colors of a map: red where it is positive, blue where it is negative.

    Args:
        picture: height x width x 3, RGB.
        heat: height x width.
        full: the size of a value from which on its color is strongest, above 0.
    """
    strength = np.clip(np.asarray(heat, np.float32) / full, -1, 1)[..., None]
    gray = picture @ np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as JPEG has it
    faded = _FADED * picture + (1 - _FADED) * gray[..., None]
    color = np.where(strength > 0, np.array(OLDER, np.float32), np.array(YOUNGER, np.float32))
    opacity = _STRONGEST * np.abs(strength)
    tinted: NDArray[np.uint8] = np.rint(faded * (1 - opacity) + color * opacity).astype(np.uint8)
    return tinted


def _neighbors(
    places: NDArray[np.float32], count: int, first: float, step: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """The cells before and after each place, and how far it lies on the way, 0 to 1."""
    cells = np.clip((places - first) / step, 0, count - 1)
    before = np.floor(cells).astype(np.intp)
    return before, np.minimum(before + 1, count - 1), (cells - before).astype(np.float32)
