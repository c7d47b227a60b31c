"""What cameras, editors and messengers do to a picture, done to crops at random.

Sizes are shares of the crop's side, so that a crop cut larger is changed alike.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from agepred_train.light import exposed

Crop = NDArray[np.uint8]

# A deviation of 3 pixels in a portrait whose crop is 240 pixels wide; 1.4 pixels of a crop of 112.
_LARGEST_BLUR = 0.0125
_LARGEST_AMOUNT = 2.0
_LARGEST_SHRINKAGE = 4.0
_QUALITIES = (20, 91)
_STOPS = (-2.0, 1.0)


def blur(crop: Crop, rng: np.random.Generator) -> Crop:
    """Blur by a Gaussian: a lens out of focus, or a face that is close to the limit of the camera."""
    radius = rng.uniform(0.2, 1.0) * _LARGEST_BLUR * crop.shape[0]
    return np.asarray(_picture(crop).filter(ImageFilter.GaussianBlur(radius)))


def sharpen(crop: Crop, rng: np.random.Generator) -> Crop:
    """Add what a blur takes away, up to twice."""
    radius, amount = rng.uniform(0.2, 1.0) * _LARGEST_BLUR * crop.shape[0], rng.uniform(0.2, _LARGEST_AMOUNT)
    return np.asarray(_picture(crop).filter(ImageFilter.UnsharpMask(radius, round(100 * amount), threshold=0)))


def rescale(crop: Crop, rng: np.random.Generator) -> Crop:
    """Shrink by the mean of areas and enlarge again: a face of few pixels."""
    side = crop.shape[0]
    small = max(8, round(side / _LARGEST_SHRINKAGE ** rng.random()))
    picture = _picture(crop).resize((small, small), Image.Resampling.BOX)
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))


def save_as_jpeg(crop: Crop, rng: np.random.Generator) -> Crop:
    """Save as a JPEG of some quality and read it again."""
    buffer = io.BytesIO()
    _picture(crop).save(buffer, "JPEG", quality=int(rng.integers(*_QUALITIES)))
    with Image.open(buffer) as saved:
        return np.asarray(saved)


def expose(crop: Crop, rng: np.random.Generator) -> Crop:
    """Multiply the light by a power of two between two stops down and one up."""
    return exposed(crop, rng.uniform(*_STOPS))


def _picture(crop: Crop) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(crop))
