"""Crops at smaller sizes, against Pillow."""

import numpy as np
import torch
from PIL import Image

from agepred_train.shrinking import shrunk


def test_shrunk_crops_are_pillows():
    pixels = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    crops = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    assert shrunk(crops, 112) is crops
    expected = Image.fromarray(pixels).resize((80, 80), Image.Resampling.BILINEAR)
    found = shrunk(crops, 80)[0].permute(1, 2, 0).numpy()
    assert np.abs(found.astype(int) - np.asarray(expected).astype(int)).max() <= 1
