"""The network of a recipe: a backbone, global average pooling, and a classifier with or without hidden layers."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from agepred_train.archive import DataError
from agepred_train.efficientnet_lite import LAST_CHANNELS, EfficientNetLite
from agepred_train.fit import RECORD, load_best, load_weights
from agepred_train.heads import head_of
from agepred_train.model import PIXEL_SCALE, PIXEL_ZERO, AgeNetwork, load_backbone, read_state
from agepred_train.recipes import Recipe
from agepred_train.torchvision_models import efficientnet_b0, resnet50

# Mean and standard deviation of ImageNet's red, green and blue, as torchvision's weights expect them, times 255.
_IMAGENET_MEAN = tuple(255 * value for value in (0.485, 0.456, 0.406))
_IMAGENET_DEVIATION = tuple(255 * value for value in (0.229, 0.224, 0.225))


class FaceNetwork(nn.Module):
    """Any backbone with any head.

    Args:
        features: maps normalized crops to features [N, C, h, w].
        classifier: maps pooled features [N, C] to the head's outputs.
        normalization: "signed" for (x - 128) / 128, or "imagenet".
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, features: nn.Module, classifier: nn.Module, normalization: str) -> None:
        super().__init__()
        self.features = features
        self.classifier = classifier
        imagenet = normalization == "imagenet"
        mean = torch.tensor(_IMAGENET_MEAN if imagenet else [PIXEL_ZERO] * 3)
        deviation = torch.tensor(_IMAGENET_DEVIATION if imagenet else [1.0 / PIXEL_SCALE] * 3)
        # Not part of the checkpoint: the recipe beside the weights says which they are.
        self.register_buffer("mean", mean.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", 1.0 / deviation.view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return outputs float32 [N, K] of crops [N, 3, S, S] with RGB values 0..255, uint8 or float."""
        features = self.features((pixels.float() - self.mean) * self.scale)
        pooled = functional.adaptive_avg_pool2d(features, 1).flatten(1)
        # bfloat16 has steps of a quarter of a year at 50: too coarse for a neuron that is the age.
        with torch.autocast(pooled.device.type, enabled=False):
            outputs: Tensor = self.classifier(pooled.float())
        return outputs


Network = AgeNetwork | FaceNetwork


def make_network(recipe: Recipe) -> Network:
    """Return the untrained network of a recipe; AgeNetwork where that is what the recipe describes.

    Raises:
        DataError: the backbone needs torchvision, which is not installed.
    """
    if recipe.exportable:
        return AgeNetwork(width=recipe.width, dropout=recipe.dropout)
    features, channels = _BACKBONES[recipe.backbone](recipe)
    classifier = _classifier(channels, recipe.hidden_sizes, head_of(recipe).outputs, recipe.dropout)
    return FaceNetwork(features, classifier, recipe.normalization)


def load_start_weights(network: Network, recipe: Recipe, weights: Path) -> None:
    """Load what a training starts from.

    Args:
        network: of the recipe; is changed in place.
        recipe: of the training that starts.
        weights: an ImageNet `state_dict` (any float type) of the backbone's architecture, which leaves the head as it
            is; or the folder of a finished run of the same architecture, which brings its head.

    Raises:
        FileNotFoundError: the file, or the run's checkpoint, is not there.
        DataError: it is no `state_dict` or no run, or its names, shapes or normalization are not those of this network.
    """
    if weights.is_dir():
        _load_from_run(network, recipe, weights)
        return
    if isinstance(network, AgeNetwork):
        load_backbone(network, weights)
        return
    state = read_state(weights)
    plain = {
        name.replace("._", ".").removeprefix("_").removeprefix("features."): value for name, value in state.items()
    }
    backbone = {
        name: value.float() if value.is_floating_point() else value
        for name, value in plain.items()
        if not name.startswith(("fc.", "classifier."))
    }
    try:
        network.features.load_state_dict(backbone, strict=True)
    except RuntimeError as error:
        raise DataError(
            f"{weights}: not of this recipe's backbone and width ({error}); give weights of the same architecture"
        ) from error


def _load_from_run(network: Network, recipe: Recipe, run: Path) -> None:
    if not (run / RECORD).exists():
        raise DataError(f"{run}: not a finished run, it has no {RECORD}; let it end, or start from another one")
    earlier, its_recipe = load_run(run)
    if its_recipe.normalization != recipe.normalization:
        raise DataError(f"{run}: was trained with normalization={its_recipe.normalization}; set the same")
    load_weights(network, earlier, run)


def load_run(run: Path) -> tuple[Network, Recipe]:
    """Return the network with the averaged weights of a run's best epoch, in evaluation mode, and its recipe.

    Raises:
        FileNotFoundError: the run has no checkpoint.
        DataError: the checkpoint is not one that `train` writes.
    """
    return load_best(run, Recipe, make_network, "train")


def stages(network: Network) -> list[nn.Module]:
    """Return the backbone's parts in the order of their use, for freezing; those without weights are left out."""
    features = network.features
    parts = features.stages() if isinstance(features, EfficientNetLite) else list(features.children())
    return [part for part in parts if any(True for _ in part.parameters())]


def _mobilenet_v2(recipe: Recipe) -> tuple[nn.Module, int]:
    network = AgeNetwork(width=recipe.width)
    linear = network.classifier[1]
    assert isinstance(linear, nn.Linear)
    return network.features, linear.in_features


_BACKBONES: dict[str, Callable[[Recipe], tuple[nn.Module, int]]] = {
    "mobilenet_v2": _mobilenet_v2,
    "resnet50": lambda _: resnet50(),
    "efficientnet_b0": lambda _: efficientnet_b0(),
    "efficientnet_lite0": lambda _: (EfficientNetLite(0), LAST_CHANNELS),
    "efficientnet_lite2": lambda _: (EfficientNetLite(2), LAST_CHANNELS),
}


def _classifier(channels: int, hidden: tuple[int, ...], outputs: int, dropout: float) -> nn.Sequential:
    """Return dropout and a linear layer, or hidden layers, each followed by ReLU and dropout, and a linear layer."""
    layers: list[nn.Module] = [] if hidden else [nn.Dropout(dropout)]
    for size, following in pairwise((channels, *hidden)):
        layers += [nn.Linear(size, following), nn.ReLU(), nn.Dropout(dropout)]
    layers.append(nn.Linear((channels, *hidden)[-1], outputs))
    return nn.Sequential(*layers)
