"""YuNet as a network of PyTorch: the start of our detector, and the teacher of its first layers.

Wu, Peng, Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector"; weights from its authors' ONNX file, in which batch
normalization has been folded into the convolutions.
"""

from pathlib import Path

import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from agepred_train.archive import DataError
from agepred_train.detector.network import BOX, POINTS, SCORE, STRIDES, FaceNetwork, Trunk, Unit
from agepred_train.graph import read_model
from agepred_train.model import PIXEL_SCALE, PIXEL_ZERO

_STEM, _BODY = 16, 64
_KINDS = (("cls", 1), ("bbox", 4), ("obj", 1), ("kps", 10))
"""Predictions in the order of the file, and their channels."""


class YuNet(nn.Module):
    """The network from pixels to the features that it predicts from.

    Attributes:
        stem: first layers, to an eighth of the resolution.
        trunk: everything between them and the predictions.
        heads: of each kind of prediction and each stride, in the order of the file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, _STEM, 3, 2, 1),
            nn.ReLU(inplace=True),
            Unit(_STEM, _STEM),
            nn.MaxPool2d(2),
            Unit(_STEM, _STEM),
            Unit(_STEM, _BODY),
            Unit(_BODY, _BODY),
            Unit(_BODY, _BODY),
            nn.MaxPool2d(2),
        )
        self.trunk = Trunk(_BODY)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Conv2d(_BODY, count, 1), nn.Conv2d(count, count, 3, 1, 1, groups=count))
            for _, count in _KINDS
            for _ in STRIDES
        )

    @staticmethod
    def load(path: Path) -> "YuNet":
        """Return the network of an ONNX file, in evaluation mode.

        Raises:
            FileNotFoundError: the file is not there.
            DataError: it is not an ONNX file, or none of YuNet-n.
        """
        model = read_model(path)
        constants = {constant.name: constant for constant in model.graph.initializer}
        network = YuNet().eval()
        modules = list(network._convolutions())
        nodes = [node for node in model.graph.node if node.op_type == "Conv"]
        try:
            with torch.no_grad():
                for (conv, normalization), node in zip(modules, nodes, strict=True):
                    weight, bias = (
                        torch.from_numpy(numpy_helper.to_array(constants[name]).copy()) for name in node.input[1:3]
                    )
                    if weight.shape != conv.weight.shape:
                        raise ValueError(f"{node.name}: weights {list(weight.shape)}, not {list(conv.weight.shape)}")
                    conv.weight.copy_(weight)
                    target = normalization.bias if normalization is not None else conv.bias
                    assert target is not None
                    target.copy_(bias)
                    if normalization is not None:
                        normalization.weight.fill_((1 + normalization.eps) ** 0.5)
        except (KeyError, ValueError) as error:
            raise DataError(f"{path}: not a model of YuNet-n ({error!r}); give yunet_n.onnx of its authors") from error
        return network

    def first_features(self, pixels: Tensor) -> Tensor:
        """Return what the trunk works on, [N, 64, H / 8, W / 8], of pixels [N, 3, H, W], RGB, 0 to 255."""
        features: Tensor = self.stem(pixels.flip(1).float())  # trained on blue first
        return features

    def predict(self, maps: list[Tensor]) -> list[Tensor]:
        """Return predictions from the trunk's maps in our channels; the score is two scores' geometric mean."""
        predictions = []
        for number, features in enumerate(maps):
            cls, box, obj, points = (self.heads[kind * len(STRIDES) + number](features) for kind in range(4))
            score = (functional.logsigmoid(cls) + functional.logsigmoid(obj)) / 2
            logit = score - torch.log(-torch.expm1(score.clamp(max=-1e-6)))
            predictions.append(torch.cat([logit, box, points], dim=1))
        return predictions

    def _convolutions(self) -> "list[tuple[nn.Conv2d, nn.BatchNorm2d | None]]":
        """Return the convolutions in the order of the file, each with the normalization that follows it."""
        trunk = self.trunk
        parts: list[nn.Module] = [self.stem, *trunk.stages, *reversed(trunk.merges), *trunk.branches, *self.heads]
        leaves = [leaf for part in parts for leaf in part.modules()]
        following = [*leaves[1:], None]
        return [
            (leaf, after if isinstance(after, nn.BatchNorm2d) else None)
            for leaf, after in zip(leaves, following, strict=True)
            if isinstance(leaf, nn.Conv2d)
        ]


def refuse_unlike(network: FaceNetwork) -> None:
    """Raise ValueError for a network of other widths than the teacher's."""
    widths = network.widths
    if (widths.stem, widths.body) != (_STEM, _BODY):
        raise ValueError(
            f"a network with stem {widths.stem} and body {widths.body} cannot start from a teacher with {_STEM} and "
            f"{_BODY}; set stem={_STEM} and body={_BODY}, or name no teacher"
        )


@torch.no_grad()
def start_from(network: FaceNetwork, teacher: YuNet, pixels: Tensor) -> None:
    """Give a network the teacher's weights, layer by layer.

    Where the teacher pools, the network answers at every second place: its features begin near the teacher's, not as
    them.

    Training needs batch normalization that knows its inputs' statistics; the teacher's file has none. They are measured
    on `pixels`, and the normalization is set to undo itself.

    Args:
        network: of the teacher's widths.
        teacher: in evaluation mode.
        pixels: scenes to measure statistics on, [N, 3, H, W].

    Raises:
        ValueError: the network is of other widths.
    """
    refuse_unlike(network)
    first, first_unit, second_unit = (teacher.stem[place] for place in (0, 2, 4))
    assert isinstance(first, nn.Conv2d)
    assert first.bias is not None
    # From the teacher's blue, green, red from 0 to 255 to red, green, blue from -1 to 1.
    red_first = first.weight.flip(1) / PIXEL_SCALE
    starts = [
        (red_first, first.bias + first.weight.sum(dim=(1, 2, 3)) * PIXEL_ZERO),
        _as_convolution(first_unit),
        _as_convolution(second_unit),
    ]
    for place, (weight, bias) in zip((0, 3, 6), starts, strict=True):
        _set(network.stem[place], network.stem[place + 1], weight, bias)
    for place, unit in zip((9, 10, 11), (teacher.stem[place] for place in (5, 6, 7)), strict=True):
        network.stem[place].load_state_dict(unit.state_dict())
    network.trunk.load_state_dict(teacher.trunk.state_dict())
    for number, head in enumerate(network.heads):
        cls, box, obj, points = (teacher.heads[kind * len(STRIDES) + number] for kind in range(4))
        parts = ((SCORE, _mean_of_two(cls, obj)), (BOX, box.state_dict()), (POINTS, points.state_dict()))
        for channels, part in parts:
            for name, values in head.state_dict().items():
                values[channels] = part[name]
    normalizations = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [module.register_forward_pre_hook(_measure) for module in normalizations]
    training = network.training
    network.eval()(pixels)
    network.train(training)
    for handle in handles:
        handle.remove()


def _set(conv: nn.Module, normalization: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Let a convolution and its normalization compute what one with a bias computes."""
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(normalization, nn.BatchNorm2d)
    conv.weight.copy_(weight)
    normalization.bias.copy_(bias)
    normalization.weight.fill_((1 + normalization.eps) ** 0.5)


def _as_convolution(unit: nn.Module) -> tuple[Tensor, Tensor]:
    """Return weights and bias of the one 3 x 3 convolution that a unit is, but for its border."""
    pointwise, depthwise, normalization, _ = unit.children()
    assert isinstance(pointwise, nn.Conv2d)
    assert isinstance(depthwise, nn.Conv2d)
    assert isinstance(normalization, nn.BatchNorm2d)
    assert pointwise.bias is not None
    bias = normalization.bias + depthwise.weight.sum(dim=(1, 2, 3)) * pointwise.bias
    return depthwise.weight * pointwise.weight[:, :, :1, :1], bias


def _measure(normalization: nn.Module, inputs: tuple[Tensor]) -> None:
    """Give a normalization the statistics of its inputs, and let it compute what it computed."""
    assert isinstance(normalization, nn.BatchNorm2d)
    assert normalization.running_mean is not None
    assert normalization.running_var is not None
    variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3))
    normalization.running_mean.copy_(mean)
    normalization.running_var.copy_(variance)
    normalization.weight.copy_((variance + normalization.eps).sqrt())
    normalization.bias.add_(mean)


def _mean_of_two(one: nn.Module, other: nn.Module) -> dict[str, Tensor]:
    """Return the weights of the pair of convolutions that comes nearest to the mean of two such pairs' answers.

    The teacher's score is the geometric mean of two; near enough, the sigmoid of the logits' mean.
    """
    kernel, bias = torch.zeros(_BODY, 9), torch.zeros(1)
    for state in (one.state_dict(), other.state_dict()):
        pointwise, depthwise = state["0.weight"].flatten(), state["1.weight"].flatten()
        kernel += torch.outer(pointwise, depthwise) / 2
        bias += (state["0.bias"] * depthwise.sum() + state["1.bias"]) / 2
    left, strength, right = torch.linalg.svd(kernel, full_matrices=False)
    root = strength[0].sqrt()
    return {
        "0.weight": (left[:, 0] * root).reshape(1, _BODY, 1, 1),
        "0.bias": torch.zeros(1),
        "1.weight": (right[0] * root).reshape(1, 1, 3, 3),
        "1.bias": bias,
    }
