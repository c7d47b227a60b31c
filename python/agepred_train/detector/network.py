"""The face detector's network: depthwise-separable, three strides, one prediction a cell.

The shape is YuNet's (Wu, Peng, Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector"): a plain backbone, features
merged from coarse to fine, and no anchors. ReLU everywhere and nothing that 8 bits do not hold well.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from agepred_train.model import PIXEL_SCALE, PIXEL_ZERO

STRIDES = (8, 16, 32)
"""Pixels of the input between neighboring cells of each output."""
SCORE, BOX, POINTS = slice(0, 1), slice(1, 5), slice(5, 15)
"""Channels of a prediction."""

# Scores begin this rare: without it the first steps are lost to thousands of empty cells.
_FIRST_SCORE = -4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """Channels of the network's parts."""

    stem: int = 24
    """Of the first convolution, at a quarter of the resolution."""
    body: int = 64
    """Of everything after."""


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


class FaceNetwork(nn.Module):
    """Backbone, coarse-to-fine merge, and one head a stride.

    A prediction has 15 channels: the score's logit; the box as in docs/model_contract.md (center within the grid,
    logarithms of the sizes, in strides); five points within the grid, in strides.
    """

    def __init__(self, widths: Widths | None = None) -> None:
        super().__init__()
        widths = widths or Widths()
        body = widths.body
        # Patches of 4 x 4 pixels at once: in 8 bits a convolution at half the resolution took a third of the whole
        # time, and a full 3 x 3 after it costs no more than a depthwise one.
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths.stem, 4, 4, bias=False),
            nn.BatchNorm2d(widths.stem),
            nn.ReLU(inplace=True),
            nn.Conv2d(widths.stem, body, 3, 2, 1, bias=False),
            nn.BatchNorm2d(body),
            nn.ReLU(inplace=True),
        )
        self.stages = nn.ModuleList(
            [
                nn.Sequential(Separable(body, body), Separable(body, body)),
                nn.Sequential(Separable(body, body, stride=2), Separable(body, body), Separable(body, body)),
                nn.Sequential(
                    Separable(body, body, stride=2), Separable(body, body, kernel=5), Separable(body, body, kernel=5)
                ),
            ]
        )
        # A merge is a sum, then a block that smooths what the enlargement left.
        self.merges = nn.ModuleList([Separable(body, body), Separable(body, body)])
        self.heads = nn.ModuleList(
            [
                nn.Sequential(Separable(body, body), nn.Conv2d(body, 15, 1)),
                nn.Sequential(Separable(body, body), nn.Conv2d(body, 15, 1)),
                nn.Sequential(nn.Conv2d(body, 15, 1)),
            ]
        )
        self._initialize()

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return predictions [N, 15, H / s, W / s] for the strides s = 8, 16, 32.

        Args:
            pixels: [N, 3, H, W], RGB, 0 to 255, uint8 or float; H and W are multiples of 32.
        """
        features = self.stem((pixels.float() - PIXEL_ZERO) * PIXEL_SCALE)
        maps = []
        for stage in self.stages:
            features = stage(features)
            maps.append(features)
        for finer in (1, 0):
            enlarged = functional.interpolate(maps[finer + 1], scale_factor=2.0, mode="nearest")
            maps[finer] = self.merges[finer](maps[finer] + enlarged)
        return [head(features) for head, features in zip(self.heads, maps, strict=True)]

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out" if module.groups == 1 else "fan_in")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for head in self.heads:
            assert isinstance(head, nn.Sequential)
            final = head[-1]
            assert isinstance(final, nn.Conv2d)
            assert final.bias is not None
            nn.init.normal_(final.weight, 0.0, 0.01)
            with torch.no_grad():
                final.bias[SCORE] = _FIRST_SCORE
                final.bias[1:3] = 0.5  # a face's center lies within its cell on average
                final.bias[3:5] = 1.0  # a face is a few strides large
                final.bias[POINTS] = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The cells of all strides, in one row."""

    corners: Tensor
    """Top left corner of each cell in pixels, [A, 2]."""
    strides: Tensor
    """Stride of each cell in pixels, [A]."""

    @staticmethod
    def of(height: int, width: int, device: torch.device | None = None) -> "Cells":
        """Return the cells of an input of this size."""
        corners, strides = [], []
        for stride in STRIDES:
            rows = torch.arange(height // stride, device=device) * float(stride)
            columns = torch.arange(width // stride, device=device) * float(stride)
            y, x = torch.meshgrid(rows, columns, indexing="ij")
            corners.append(torch.stack([x.ravel(), y.ravel()], dim=1))
            strides.append(torch.full((x.numel(),), float(stride), device=device))
        return Cells(corners=torch.cat(corners), strides=torch.cat(strides))


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What a batch's cells say, in pixels."""

    scores: Tensor
    """Logits, [N, A]."""
    boxes: Tensor
    """Left, top, right, bottom, [N, A, 4]."""
    points: Tensor
    """Five points, [N, A, 5, 2]."""

    @staticmethod
    def of(outputs: list[Tensor], cells: Cells) -> "Predictions":
        """Decode the network's outputs."""
        rows = torch.cat([output.float().flatten(2) for output in outputs], dim=2).transpose(1, 2)
        strides = cells.strides[None, :, None]
        center = cells.corners + rows[..., 1:3] * strides
        half = rows[..., 3:5].clamp(max=6.0).exp() * strides / 2
        points = cells.corners[None, :, None] + rows[..., POINTS].reshape(*rows.shape[:2], 5, 2) * strides[..., None]
        return Predictions(scores=rows[..., 0], boxes=torch.cat([center - half, center + half], dim=-1), points=points)
