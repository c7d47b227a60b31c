"""Light and what stands for it: sRGB's curve, exposure in linear light, and luma."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luma (ITU-R BT.601), as JPEG has it."""

# IEC 61966-2-1 (sRGB): the light, 0 to 1, that each of the 256 values stands for.
_VALUES = np.arange(256) / 255.0
_LIGHT = np.where(_VALUES <= 0.04045, _VALUES / 12.92, ((_VALUES + 0.055) / 1.055) ** 2.4)


def exposed(picture: Pixels, stops: float) -> Pixels:
    """Return a picture with 2^stops times the light; what becomes brighter than white is white.

    Args:
        picture: sRGB values, uint8 of any shape.
        stops: above 0 brightens.
    """
    light = np.minimum(_LIGHT * 2.0**stops, 1.0)
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    table = np.rint(255.0 * values).astype(np.uint8)
    result: Pixels = table[picture]
    return result
