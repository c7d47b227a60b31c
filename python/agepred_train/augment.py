"""Random variation of training crops: where they are cut, what is behind them, colors, quality, what hides them."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from agepred_train.light import LUMA
from agepred_train.quality import blur, expose, rescale, save_as_jpeg, sharpen
from agepred_train.recipes import Recipe

Crop = NDArray[np.uint8]
Points = NDArray[np.float32]

_LUMA = np.array(LUMA, np.float32)
# Semi-axes of the ellipse that is left before a backdrop, as shares of the side: the corners are always painted.
_HALF_WIDTHS = (0.40, 0.55)
_HALF_HEIGHTS = (0.46, 0.60)


def move_points(points: Points, target: Points, recipe: Recipe, rng: np.random.Generator) -> Points:
    """Return the five points as a detector that was a little off might have given them.

    Args:
        points: detected points in pixels of the picture, [5, 2].
        target: where the crop puts them, as shares of its side, [5, 2]; only its extent matters here.
        recipe: sizes of rotation, scale, shift and each point's own noise.
        rng: source of randomness.

    Returns:
        Points in pixels, float32 [5, 2]: moving them before the cut moves the crop without a second
        resampling, and the border is filled as on the device.
    """
    center = points.mean(axis=0)
    spread = points - center
    crop_side = np.sqrt(np.square(spread).sum() / np.square(target - target.mean(axis=0)).sum())
    angle = np.radians(recipe.rotation) * rng.standard_normal()
    # Three deviations bound the scale: a rare draw must not turn the crop inside out.
    scale = np.exp(recipe.scale * np.clip(rng.standard_normal(), -3, 3))
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    rotated = spread @ np.array([[cosine, sine], [-sine, cosine]])
    shift = recipe.shift * crop_side * rng.standard_normal(2)
    noise = recipe.point_noise * crop_side * rng.standard_normal((5, 2))
    moved: Points = (center + rotated + shift + noise).astype(np.float32)
    return moved


def vary_crop(crop: Crop, recipe: Recipe, rng: np.random.Generator) -> Crop:
    """Return the crop [S, S, 3] flipped, cut out, recolored, degraded and partly hidden, each at random."""
    if rng.random() < recipe.flip_share:
        crop = crop[:, ::-1]
    for share, change in (
        (recipe.backdrop_share, _set_before_backdrop),
        (recipe.exposure_share, expose),
        (recipe.sharpen_share, sharpen),
        (recipe.blur_share, blur),
        (recipe.rescale_share, rescale),
        (recipe.jpeg_share, save_as_jpeg),
    ):
        # Where a change is not asked for, nothing is drawn: the others' draws stay what they were.
        if share and rng.random() < share:
            crop = change(crop, rng)
    if rng.random() < recipe.degrade_share:
        crop = _degrade(crop, rng)
    crop = _recolor(crop, recipe, rng)
    if rng.random() < recipe.erase_share:
        crop = _erase(crop, rng)
    return np.ascontiguousarray(crop)


def _set_before_backdrop(crop: Crop, rng: np.random.Generator) -> Crop:
    """Paint what lies outside of an ellipse in one gray, black and white the likeliest: studios, masks of editors."""
    offsets = (np.arange(crop.shape[0]) + 0.5) / crop.shape[0] - 0.5 - rng.uniform(-0.03, 0.03, (2, 1))
    across, down = offsets[0] / rng.uniform(*_HALF_WIDTHS), offsets[1] / rng.uniform(*_HALF_HEIGHTS)
    gray = np.uint8(np.clip(rng.uniform(-128, 384), 0, 255))
    outside = np.square(down)[:, None] + np.square(across) > 1.0
    result: Crop = np.where(outside[..., None], gray, crop)
    return result


def _recolor(crop: Crop, recipe: Recipe, rng: np.random.Generator) -> Crop:
    """Change brightness, contrast and saturation: one affine map of the color for the whole crop."""
    width = recipe.color_jitter
    brightness, contrast, saturation = 1.0 + rng.uniform(-width, width, 3)
    if rng.random() < recipe.gray_share:
        saturation = 0.0
    mix = saturation * np.eye(3, dtype=np.float32) + (1.0 - saturation) * _LUMA[:, None]
    mean = float(crop.mean())
    matrix = (brightness * contrast * mix).astype(np.float32)
    offset = np.float32(brightness * (1.0 - contrast) * mean + 0.5)
    colors: Crop = np.clip(crop.astype(np.float32) @ matrix + offset, 0, 255).astype(np.uint8)
    return colors


def _degrade(crop: Crop, rng: np.random.Generator) -> Crop:
    """Blur the crop or save it as a poor JPEG: what cheap cameras and messengers do."""
    picture = Image.fromarray(np.ascontiguousarray(crop))
    if rng.random() < 0.5:
        return np.asarray(picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.4))))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=int(rng.integers(25, 75)))
    with Image.open(buffer) as saved:
        return np.asarray(saved)


def _erase(crop: Crop, rng: np.random.Generator) -> Crop:
    """Paint one rectangle of 2 to 15 % of the area in a random color: hair, hands, glasses, masks."""
    side = crop.shape[0]
    area, ratio = rng.uniform(0.02, 0.15), np.exp(rng.uniform(-1.0, 1.0))
    height = min(side, round(side * np.sqrt(area * ratio)))
    width = min(side, round(side * np.sqrt(area / ratio)))
    top, left = rng.integers(0, side - height + 1), rng.integers(0, side - width + 1)
    erased = crop.copy()
    erased[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return erased
