"""Folded normalization: the same answers from every backbone, and a word where it cannot be folded."""

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
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        before = torch.log_softmax(network.eval()(pixels), dim=1)
        fold_normalization(network.train())
        after = torch.log_softmax(network(pixels), dim=1)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    assert before.std() > 1e-3
    torch.testing.assert_close(after, before, atol=1e-3, rtol=1e-3)


def test_what_cannot_be_folded_is_refused():
    with pytest.raises(ValueError, match="follows no convolution"):
        fold_normalization(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)))
