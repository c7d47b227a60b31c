"""MobileNetV2 with an age head, in plain torch.

Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2. The names of the
parameters are those of torchvision's `mobilenet_v2`, so that its checkpoints load.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from agepred_train.archive import DataError
from agepred_train.convolution import Conv2d
from agepred_train.data import AGES

# Expansion, output channels, repeats, first stride: table 2 of the paper.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STEM_CHANNELS = 32
_LAST_CHANNELS = 1280

# Pixels 0..255 become (x - 128) / 128: exactly representable, so that in the int8 file the pixels
# themselves are the first convolution's quantized input.
PIXEL_ZERO = 128.0
PIXEL_SCALE = 1.0 / 128.0


class InvertedResidual(nn.Module):
    """Expand, filter per channel, project; the input is added where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [_conv_block(inputs, hidden, kernel=1)] if expansion != 1 else []
        self.conv = nn.Sequential(
            *expand,
            _conv_block(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.adds_input = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, inputs, h, w] to [N, outputs, h / stride, w / stride]."""
        result: Tensor = self.conv(features)
        return features + result if self.adds_input else result


class AgeNetwork(nn.Module):
    """MobileNetV2, global average pooling and one linear layer to a logit per age.

    Args:
        width: multiplier of all channel counts, rounded to multiples of 8.
        dropout: share of the pooled features dropped in training, 0 up to 1.
        classes: number of logits K; class k stands for the age of k years.
    """

    def __init__(self, *, width: float = 1.0, dropout: float = 0.2, classes: int = len(AGES)) -> None:
        super().__init__()
        channels = _round_channels(_STEM_CHANNELS * width)
        last = _round_channels(_LAST_CHANNELS * max(1.0, width))
        blocks: list[nn.Module] = [_conv_block(3, channels, stride=2)]
        for expansion, base, repeats, first_stride in _STAGES:
            outputs = _round_channels(base * width)
            for repeat in range(repeats):
                blocks.append(InvertedResidual(channels, outputs, 1 if repeat else first_stride, expansion))
                channels = outputs
        blocks.append(_conv_block(channels, last, kernel=1))
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, classes))
        self._initialize()

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits [N, K] of crops [N, 3, S, S] with RGB values 0..255, uint8 or float."""
        features = self.features((pixels.float() - PIXEL_ZERO) * PIXEL_SCALE)
        pooled = functional.adaptive_avg_pool2d(features, 1).flatten(1)
        logits: Tensor = self.classifier(pooled)
        return logits

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01)
                nn.init.zeros_(module.bias)


def load_backbone(network: AgeNetwork, weights: Path) -> None:
    """Load an ImageNet `state_dict` (any float type) into everything but the classifier.

    Raises:
        FileNotFoundError: the file is not there.
        DataError: it is no `state_dict`, or its names or shapes are not those of this network.
    """
    state = read_state(weights)
    head = {f"classifier.{name}": value for name, value in network.classifier.state_dict().items()}
    backbone = {
        name: value.float() if value.is_floating_point() else value for name, value in state.items() if name not in head
    }
    try:
        network.load_state_dict(backbone | head, strict=True)
    except RuntimeError as error:
        raise DataError(f"{weights}: not a MobileNetV2 of this width ({error})") from error


def read_state(path: Path) -> dict[str, Tensor]:
    """Return a network's `state_dict` that was saved by itself.

    Raises:
        FileNotFoundError: the file is not there.
        DataError: it is something else.
    """
    state = read_checkpoint(path)
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        raise DataError(
            f"{path}: holds more than named tensors; give the `state_dict` of this backbone, or a run by its folder"
        )
    return state


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return what `torch.save` wrote: a dictionary of tensors and plain values.

    Raises:
        FileNotFoundError: the file is not there.
        DataError: it is something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # an unpickler answers foreign bytes with almost any exception
        cause = str(error).partition("\n")[0].partition(". ")[0]
        raise DataError(f"{path}: not a PyTorch checkpoint ({cause}); give a file that torch.save wrote") from error
    if not isinstance(state, dict):
        raise DataError(f"{path}: holds a {type(state).__name__}, not a dictionary; give a `state_dict`")
    return state


def _conv_block(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    padding = (kernel - 1) // 2
    return nn.Sequential(
        Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


def _round_channels(channels: float) -> int:
    """Return the nearest multiple of 8 that keeps at least 90 % of the channels, as the paper's code does."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
