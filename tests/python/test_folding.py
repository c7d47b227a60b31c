"""Folded normalization: the same answers from every backbone, in bfloat16 as exact as before."""

import dataclasses
from importlib.util import find_spec

import pytest
import torch
from torch import nn

from agepred_train import recipes
from agepred_train.folding import fold_normalization
from agepred_train.network import make_network

needs_torchvision = pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")


@pytest.mark.parametrize(
    "backbone",
    [
        "mobilenet_v2",
        "efficientnet_lite0",
        "efficientnet_lite2",
        pytest.param("resnet50", marks=needs_torchvision),
        pytest.param("efficientnet_b0", marks=needs_torchvision),
    ],
)
def test_a_folded_network_answers_as_before(backbone):
    torch.manual_seed(2)
    network = make_network(dataclasses.replace(recipes.smoke(), backbone=backbone, width=1.0))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.2)
    pixels = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    exact = answers(network.eval(), pixels, mixed=False)
    rounded = (answers(network, pixels, mixed=True) - exact).abs().mean()
    left = sum(isinstance(layer, nn.Conv2d) and layer.groups > 1 for layer in network.modules())
    fold_normalization(network.train())
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()) == left
    assert exact.std() > 1e-3
    torch.testing.assert_close(answers(network, pixels, mixed=False), exact, atol=1e-3, rtol=1e-3)
    # Teachers are asked in bfloat16: folded, they must not round more.
    assert (answers(network, pixels, mixed=True) - exact).abs().mean() <= 1.5 * rounded


def answers(network, pixels, *, mixed):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        return torch.log_softmax(network(pixels).float(), dim=1)
