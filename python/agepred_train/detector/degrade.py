"""What cameras, light and files do to pictures, at random."""

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

# Weights of red, green and blue in luminance, ITU-R BT.601.
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """How often pictures are changed, as shares of them."""

    light: float = 0.7
    """Brightness, contrast, gamma, and the balance of the colors."""
    gray: float = 0.1
    """Colors lost."""
    blur: float = 0.15
    """Gaussian or motion blur."""
    coarse: float = 0.15
    """Shrunk to a part of the resolution and enlarged again."""
    noise: float = 0.15
    """Sensor noise."""
    jpeg: float = 0.2
    """Saved as JPEG of low quality."""

    @staticmethod
    def usual(factor: float) -> "Degradation":
        """Return the usual shares, each times a factor from 0 to 1."""
        usual = dataclasses.asdict(Degradation())
        return Degradation(**{name: share * factor for name, share in usual.items()})


def degrade(picture: Picture, shares: Degradation, rng: np.random.Generator) -> Picture:
    """Return an RGB picture [height, width, 3] as a poorer camera would have given it."""
    if rng.random() < shares.light:
        picture = _relit(picture, rng)
    if rng.random() < shares.gray:
        luminance = picture.astype(np.float32) @ _LUMINANCE
        picture = np.repeat(np.rint(luminance).astype(np.uint8)[..., None], 3, axis=2)
    if rng.random() < shares.blur:
        picture = _blurred(picture, rng)
    if rng.random() < shares.coarse:
        picture = _coarser(picture, rng)
    if rng.random() < shares.noise:
        noise = rng.standard_normal((*picture.shape[:2], int(rng.choice([1, 3]))), np.float32) * rng.uniform(2, 18)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < shares.jpeg:
        _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 85))])
        picture = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(picture)


def _relit(picture: Picture, rng: np.random.Generator) -> Picture:
    levels = np.arange(256, dtype=np.float32) / 255
    curve = levels ** np.exp(rng.normal(0, 0.3))
    curve = (curve - 0.5) * np.exp(rng.normal(0, 0.2)) + 0.5 + rng.normal(0, 0.08)
    balance = np.exp(rng.normal(0, 0.08, 3))
    table = np.clip(curve[:, None] * balance * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(picture, table.reshape(1, 256, 3)), np.uint8)


def _blurred(picture: Picture, rng: np.random.Generator) -> Picture:
    if rng.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 2.5)), np.uint8)
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    reach = (length - 1) / 2
    for step in np.linspace(-reach, reach, 2 * length):
        kernel[round(reach + step * np.sin(angle)), round(reach + step * np.cos(angle))] = 1
    return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), np.uint8)


def _coarser(picture: Picture, rng: np.random.Generator) -> Picture:
    height, width = picture.shape[:2]
    share = rng.uniform(0.3, 0.9)
    small = cv2.resize(
        picture, (max(1, round(width * share)), max(1, round(height * share))), interpolation=cv2.INTER_AREA
    )
    enlargement = cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(small, (width, height), interpolation=enlargement), np.uint8)
