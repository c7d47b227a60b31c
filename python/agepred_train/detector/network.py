"""The face detector's network: depthwise-separable, three strides, one prediction a cell.

The shape is YuNet's (Wu, Peng, Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector"): a plain backbone, features
merged from coarse to fine, and no anchors. Ours are the strides in place of its first pools, and one quality score.
ReLU everywhere and nothing that 8 bits do not hold well.
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

    stem: int = 16
    """Of the first convolutions, at a half and a quarter of the resolution."""
    body: int = 64
    """Of everything from an eighth of the resolution on."""


class Unit(nn.Sequential):
    """A pointwise, then a depthwise convolution, normalized and cut at zero once: nothing lies between the two."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 1),
            nn.Conv2d(outputs, outputs, 3, stride, 1, groups=outputs, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Trunk(nn.Module):
    """What lies between the first layers and the predictions: YuNet's, channel by channel, so that its weights fit."""

    def __init__(self, body: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            [
                nn.Sequential(Unit(body, body), Unit(body, body)),
                nn.Sequential(nn.MaxPool2d(2), Unit(body, body), Unit(body, body)),
                nn.Sequential(nn.MaxPool2d(2), Unit(body, body), Unit(body, body)),
            ]
        )
        # A coarser map's cells are repeated and added to the finer map's; the unit smooths what that left.
        self.merges = nn.ModuleList([Unit(body, body) for _ in STRIDES])
        self.branches = nn.ModuleList([Unit(body, body) for _ in STRIDES])

    def forward(self, features: Tensor) -> list[Tensor]:
        """Return a map of features [N, body, H / s, W / s] for each stride from that of stride 8."""
        maps = []
        for stage in self.stages:
            features = stage(features)
            maps.append(features)
        maps[-1] = self.merges[-1](maps[-1])
        for finer in (1, 0):
            enlarged = functional.interpolate(maps[finer + 1], scale_factor=2.0, mode="nearest")
            maps[finer] = self.merges[finer](maps[finer] + enlarged)
        return [branch(features) for branch, features in zip(self.branches, maps, strict=True)]


class FaceNetwork(nn.Module):
    """First layers, trunk, and one prediction a cell of each stride.

    A prediction has 15 channels: the score's logit; the box as in docs/model_contract.md (center within the grid,
    logarithms of the sizes, in strides); five points within the grid, in strides.
    """

    def __init__(self, widths: Widths | None = None) -> None:
        super().__init__()
        self.widths = widths = widths or Widths()
        stem, body = widths.stem, widths.body
        # YuNet's first layers, with strides where it pools: in 8 bits the depthwise convolutions before the pools took
        # a third of the time, most of it for places that the pools then drop.
        self.stem = nn.Sequential(
            *_convolution(3, stem, stride=2),
            *_convolution(stem, stem, stride=2),
            *_convolution(stem, stem),
            Unit(stem, body),
            Unit(body, body),
            Unit(body, body, stride=2),
        )
        self.trunk = Trunk(widths.body)
        # The second convolution lets a cell's prediction see its neighbors'.
        self.heads = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(widths.body, 15, 1), nn.Conv2d(15, 15, 3, 1, 1, groups=15)) for _ in STRIDES]
        )
        self._initialize()

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return predictions [N, 15, H / s, W / s] for the strides s = 8, 16, 32.

        Args:
            pixels: [N, 3, H, W], RGB, 0 to 255, uint8 or float; H and W are multiples of 32.
        """
        return self.predict(self.trunk(self.first_features(pixels)))

    def first_features(self, pixels: Tensor) -> Tensor:
        """Return what the trunk works on, [N, body, H / 8, W / 8]."""
        features: Tensor = self.stem((pixels.float() - PIXEL_ZERO) * PIXEL_SCALE)
        return features

    def predict(self, maps: list[Tensor]) -> list[Tensor]:
        """Return predictions from the trunk's maps."""
        return [head(features) for head, features in zip(self.heads, maps, strict=True)]

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out" if module.groups == 1 else "fan_in")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for head in self.heads:
            assert isinstance(head, nn.Sequential)
            first, last = head
            assert isinstance(first, nn.Conv2d)
            assert isinstance(last, nn.Conv2d)
            assert last.bias is not None
            nn.init.normal_(first.weight, 0.0, 0.01)
            nn.init.dirac_(last.weight, groups=last.groups)
            with torch.no_grad():
                last.bias[SCORE] = _FIRST_SCORE
                last.bias[1:3] = 0.5  # a face's center lies within its cell on average
                last.bias[3:5] = 1.0  # a face is a few strides large
                last.bias[POINTS] = 0.5


def _convolution(inputs: int, outputs: int, *, stride: int = 1) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


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
