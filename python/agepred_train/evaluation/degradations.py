"""What poor lenses, light, files and transmission do to a picture, each in one fixed measure, for tests of robustness.

Pictures are RGB, uint8, [height, width, 3], and are degraded at the size in which they are stored. Those of an area
that is shrunk are not enlarged again: the network sees a small face.
"""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agepred_train.light import LUMA, exposed

Picture = NDArray[np.uint8]


def blurred(picture: Picture, sigma: float) -> Picture:
    """Return the picture under a Gaussian of this standard deviation in pixels, mirrored at the border."""
    return _to_bytes(_gaussian(picture.astype(np.float64), sigma))


def sharpened(picture: Picture, sigma: float, amount: float) -> Picture:
    """Return picture + amount x (picture - blurred picture), as unsharp masking does."""
    values = picture.astype(np.float64)
    return _to_bytes(values + amount * (values - _gaussian(values, sigma)))


def shrunk(picture: Picture, factor: int) -> Picture:
    """Return means over squares of factor x factor pixels; a rest at the right and at the bottom is cut off.

    A side that is shorter than a square becomes one pixel.
    """
    down, across = (min(factor, side) for side in picture.shape[:2])
    rows, columns = picture.shape[0] // down, picture.shape[1] // across
    squares = picture[: rows * down, : columns * across].reshape(rows, down, columns, across, 3)
    return _to_bytes(squares.mean(axis=(1, 3)))


def compressed(picture: Picture, quality: int) -> Picture:
    """Return the picture saved as JPEG (libjpeg's quality, chroma halved in both directions) and read again."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(buffer) as decoded:
        return np.asarray(decoded.convert("RGB"))


def gray(picture: Picture) -> Picture:
    """Return the luma in all three channels."""
    return np.repeat(_to_bytes(picture @ np.array(LUMA))[..., None], 3, axis=2)


DEGRADATIONS: dict[str, Callable[[Picture], Picture]] = {
    "blur": lambda picture: blurred(picture, 3.0),
    "sharpen": lambda picture: sharpened(picture, 2.0, 1.5),
    "shrink2": lambda picture: shrunk(picture, 2),
    "shrink4": lambda picture: shrunk(picture, 4),
    "jpeg30": lambda picture: compressed(picture, 30),
    "dark": lambda picture: exposed(picture, -2.0),
    "bright": lambda picture: exposed(picture, 1.0),
    "gray": gray,
}
"""By name: Gaussian sigma 3; unsharp mask sigma 2, amount 1.5; a half and a quarter of the size; JPEG of quality 30;
a quarter and twice the light; no color."""


def _gaussian(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Return a separable Gaussian filter of [height, width, channels], cut off beyond 4 sigma."""
    reach = int(np.ceil(4 * sigma))
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        length = values.shape[axis]
        widths = [(reach, reach) if number == axis else (0, 0) for number in range(3)]
        padded = np.moveaxis(np.pad(values, widths, mode="symmetric"), axis, 0)
        filtered = np.zeros_like(padded[:length])
        for step, weight in enumerate(kernel):
            filtered += weight * padded[step : step + length]
        values = np.moveaxis(filtered, 0, axis)
    return values


def _to_bytes(values: NDArray[np.float64]) -> Picture:
    """Return values rounded to bytes, clipped."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
