"""EfficientNet-Lite0 and Lite2 without their classifiers, in plain torch.

Tan & Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", table 1, scaled as B0 and B2;
the Lite variants have no squeeze-and-excitation, ReLU6 in place of swish, and a stem and a last layer that are not
scaled. The parameters bear the names of the public PyTorch checkpoints, less their leading underscores.
"""

from torch import Tensor, nn
from torch.nn import functional

from agepred_train.convolution import Conv2d

# Expansion, kernel, first stride, output channels, repeats.
_STAGES = {
    0: (
        (1, 3, 1, 16, 1),
        (6, 3, 2, 24, 2),
        (6, 5, 2, 40, 2),
        (6, 3, 2, 80, 3),
        (6, 5, 1, 112, 3),
        (6, 5, 2, 192, 4),
        (6, 3, 1, 320, 1),
    ),
    2: (
        (1, 3, 1, 16, 1),
        (6, 3, 2, 24, 3),
        (6, 5, 2, 48, 3),
        (6, 3, 2, 88, 4),
        (6, 5, 1, 120, 4),
        (6, 5, 2, 208, 5),
        (6, 3, 1, 352, 1),
    ),
}
_STEM_CHANNELS = 32
LAST_CHANNELS = 1280


class EfficientNetLite(nn.Module):
    """Maps normalized crops [N, 3, S, S] to features [N, 1280, S / 32, S / 32].

    Args:
        variant: 0 or 2.
    """

    def __init__(self, variant: int) -> None:
        super().__init__()
        self.conv_stem = _SameConv2d(3, _STEM_CHANNELS, 3, 2)
        self.bn0 = _batch_norm(_STEM_CHANNELS)
        blocks: list[nn.Module] = []
        self._stage_ends: list[int] = []
        channels = _STEM_CHANNELS
        for expansion, kernel, first_stride, outputs, repeats in _STAGES[variant]:
            for repeat in range(repeats):
                blocks.append(_Block(channels, outputs, expansion, kernel, 1 if repeat else first_stride))
                channels = outputs
            self._stage_ends.append(len(blocks))
        self.blocks = nn.Sequential(*blocks)
        self.conv_head = _SameConv2d(channels, LAST_CHANNELS, 1)
        self.bn1 = _batch_norm(LAST_CHANNELS)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the features."""
        stem = functional.relu6(self.bn0(self.conv_stem(pixels)))
        return functional.relu6(self.bn1(self.conv_head(self.blocks(stem))))

    def stages(self) -> list[nn.Module]:
        """Return the parts in the order of their use, for freezing: the stem, seven stages, the last layer."""
        bounds = zip([0, *self._stage_ends[:-1]], self._stage_ends, strict=True)
        middle = [self.blocks[first:last] for first, last in bounds]
        return [nn.ModuleList([self.conv_stem, self.bn0]), *middle, nn.ModuleList([self.conv_head, self.bn1])]


class _Block(nn.Module):
    """Expand, filter per channel, project; the input is added where shapes allow."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expands = expansion != 1
        if self.expands:
            self.expand_conv = _SameConv2d(inputs, hidden, 1)
            self.bn0 = _batch_norm(hidden)
        self.depthwise_conv = _SameConv2d(hidden, hidden, kernel, stride, groups=hidden)
        self.bn1 = _batch_norm(hidden)
        self.project_conv = _SameConv2d(hidden, outputs, 1)
        self.bn2 = _batch_norm(outputs)
        self.adds_input = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, inputs, h, w] to [N, outputs, h / stride, w / stride]."""
        result: Tensor = features
        if self.expands:
            result = functional.relu6(self.bn0(self.expand_conv(result)))
        result = functional.relu6(self.bn1(self.depthwise_conv(result)))
        result = self.bn2(self.project_conv(result))
        return features + result if self.adds_input else result


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    """Return normalization as the published weights were trained with: statistics keep 99 % a step."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _SameConv2d(Conv2d):
    """A convolution without bias that pads as TensorFlow does: an odd pixel of padding goes to the right and below."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        # With stride 1 both sides get the same.
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, inputs, h, w] to [N, outputs, h / stride, w / stride], rounded up."""
        if self.stride[0] > 1:
            features = functional.pad(features, [*self._around(features.shape[3]), *self._around(features.shape[2])])
        return super().forward(features)

    def _around(self, size: int) -> tuple[int, int]:
        stride, kernel = self.stride[0], self.kernel_size[0]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2
