"""ResNet50 and EfficientNet-B0 of torchvision, without their classifiers."""

import importlib
from collections import OrderedDict
from typing import Any

from torch import nn

from agepred_train.archive import DataError


def resnet50() -> tuple[nn.Sequential, int]:
    """Return ResNet50 up to its last features, from random numbers, and how many channels these have."""
    network = _models().resnet50(weights=None)
    parts = list(network.named_children())
    # Average pool and linear layer come last; the names stay, so that checkpoints load.
    return nn.Sequential(OrderedDict(parts[:-2])), network.fc.in_features


def efficientnet_b0() -> tuple[nn.Sequential, int]:
    """Return EfficientNet-B0 up to its last features, from random numbers, and how many channels these have."""
    network = _models().efficientnet_b0(weights=None)
    return network.features, network.classifier[1].in_features


def _models() -> Any:
    """Import torchvision.models.

    Raises:
        DataError: torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision.models")
    except ModuleNotFoundError as error:
        raise DataError(
            "this backbone needs torchvision, which is not installed: pip install torchvision, or beside a CPU build "
            f"of torch without one of its own, pip install --no-deps torchvision ({error})"
        ) from error
