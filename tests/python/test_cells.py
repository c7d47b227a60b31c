"""Where a network's cells lie in the crop, against where its gradients say that they look."""

import dataclasses
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from agepred_train import recipes
from agepred_train.cells import cell_grid
from agepred_train.network import make_network

needs_torchvision = pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
BACKBONES = [
    "mobilenet_v2",
    "efficientnet_lite0",
    "efficientnet_lite2",
    pytest.param("resnet50", marks=needs_torchvision),
]


def network_of(backbone):
    changes = {"head": "regression", "loss": "mse"} if backbone != "mobilenet_v2" else {}
    return make_network(dataclasses.replace(recipes.smoke(), backbone=backbone, **changes)).eval()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_cell_looks_at_its_center(backbone):
    """With equal weights everywhere the gradient of a cell by the pixels has its center of mass where the cell lies."""
    network, side = network_of(backbone), 256
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                # Small enough for no ReLU6 to cut anything off.
                module.weight.fill_(0.5 / module.weight[0].numel())
    grid = cell_grid(network, side)
    pixels = torch.ones(1, 3, side, side, requires_grad=True)
    features = network.features(pixels)
    assert features.shape[2:] == (grid.count, grid.count)
    row, column = grid.count // 2 - 1, grid.count // 2
    features[0, :, row, column].sum().backward()
    weight = pixels.grad[0].sum(0).double().numpy()
    centers = np.arange(side) + 0.5
    # Seen through the crop's border, a cell's view is not quite symmetric.
    expected = [grid.first + cell * grid.step for cell in (row, column)]
    found = [(weight.sum(axis=1 - axis) * centers).sum() / weight.sum() for axis in (0, 1)]
    assert found == pytest.approx(expected, abs=6)


@pytest.mark.parametrize("side", [64, 80, 96, 112, 224])
def test_count_is_that_of_the_map(side):
    for backbone in ("mobilenet_v2", "efficientnet_lite0"):
        network = network_of(backbone)
        with torch.inference_mode():
            assert network.features(torch.zeros(1, 3, side, side)).shape[2] == cell_grid(network, side).count


def test_padding_of_tensorflow_depends_on_the_parity():
    lite = network_of("efficientnet_lite0")
    assert (cell_grid(lite, 224).first, cell_grid(lite, 224).step) == (31.5, 32)
    # 112, 56, 28, 14 are even, 7 is not.
    assert cell_grid(lite, 112).first == 15.5
    assert cell_grid(network_of("mobilenet_v2"), 112).first == 0.5
