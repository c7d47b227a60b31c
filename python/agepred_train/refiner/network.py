"""The refiner's network: five maps of where a point may lie, and the mean of each.

A linear layer on all cells would have to learn every place anew; a map knows a point wherever it lies, and its mean is
finer than its cells (Sun et al. 2018, "Integral Human Pose Regression").
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from agepred_train.model import PIXEL_SCALE, PIXEL_ZERO
from agepred_train.refiner.similarity import Points

MAP_STRIDE = 4
"""Pixels of the crop per cell of the maps."""


def crop_points(eyes: float) -> Points:
    """Return where the refiner wants the detector's points, [5, 2] in fractions of its crop.

    The crop is wider than an age model's, so that a face that the detector missed by a tenth is still in it whole.

    Args:
        eyes: distance between the eyes as a share of the side.
    """
    # The 112-pixel ArcFace template in distances between the eyes, from the point between them.
    template = np.array(
        [[-0.5, 0.0], [0.5, 0.0], [0.00318, 0.5715], [-0.40765, 1.15695], [0.4205, 1.15238]], np.float32
    )
    center = np.array([0.5, 0.5], np.float32) - np.array([0.0, 0.576], np.float32) * eyes
    return np.asarray(center + template * eyes, np.float32)


def map_places(side: int) -> Tensor:
    """Return the centers of a map's cells in fractions of the crop's side, [cells, 2], row by row."""
    centers = (torch.arange(side // MAP_STRIDE) + 0.5) * MAP_STRIDE / side
    y, x = torch.meshgrid(centers, centers, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)


class Separable(nn.Sequential):
    """A depthwise and a pointwise convolution, normalized once each, ReLU after the second (and the first)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, kernel: int = 3) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class PointsNetwork(nn.Module):
    """Maps crops to points.

    Args:
        side: of the crop in pixels, a multiple of 16.
        width: channels of the finer layers, a multiple of 16; the coarser ones have a third more.
    """

    places: Tensor

    def __init__(self, *, side: int, width: int = 48) -> None:
        super().__init__()
        wide = width * 4 // 3
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(inplace=True),
            Separable(16, width, stride=2),
            Separable(width, width),
        )
        self.coarse = nn.Sequential(
            Separable(width, wide, stride=2),
            Separable(wide, wide, kernel=5),
            Separable(wide, wide, kernel=5),
            nn.Conv2d(wide, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.fine = nn.Sequential(Separable(width, width), Separable(width, width), nn.Conv2d(width, 5, 1))
        self.register_buffer("places", map_places(side), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out" if module.groups == 1 else "fan_in")
        last = self.fine[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.normal_(last.weight, 0.0, 0.01)
        nn.init.zeros_(last.bias)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return points [N, 10], x and y in fractions of the side, of crops [N, 3, S, S], RGB 0..255."""
        features = self.stem((pixels.float() - PIXEL_ZERO) * PIXEL_SCALE)
        enlarged = functional.interpolate(self.coarse(features), scale_factor=2.0, mode="nearest")
        maps = self.fine(features + enlarged)
        points: Tensor = maps.flatten(2).softmax(dim=2) @ self.places
        return points.flatten(1)
