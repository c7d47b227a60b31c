"""The detector's network: sizes in and out, what it costs, and what its numbers mean."""

import math

import pytest
import torch
from torch import nn

from agepred_train.detector.network import STRIDES, Cells, FaceNetwork, Predictions, Widths


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 160), (96, 32)])
def test_each_stride_has_its_grid(height, width):
    network = FaceNetwork(Widths(stem=8, body=16)).eval()
    outputs = network(torch.zeros(2, 3, height, width, dtype=torch.uint8))
    assert [tuple(output.shape) for output in outputs] == [(2, 15, height // s, width // s) for s in STRIDES]
    cells = Cells.of(height, width)
    assert len(cells.strides) == sum((height // s) * (width // s) for s in STRIDES)
    predictions = Predictions.of(outputs, cells)
    assert predictions.points.shape == (2, len(cells.strides), 5, 2)


def test_network_is_small_and_of_plain_operators():
    network = FaceNetwork()
    assert sum(weight.numel() for weight in network.parameters()) <= 100_000
    leaves = {type(leaf) for leaf in network.modules() if not list(leaf.children())}
    assert leaves == {nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d}


def test_pixels_may_be_bytes_or_floats():
    torch.manual_seed(0)
    network = FaceNetwork(Widths(stem=8, body=16)).eval()
    pixels = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    for one, other in zip(network(pixels), network(pixels.float()), strict=True):
        assert torch.equal(one, other)


def test_an_untrained_network_is_unsure_everywhere():
    torch.manual_seed(0)
    scores = [output[:, 0].sigmoid() for output in FaceNetwork().eval()(torch.zeros(1, 3, 64, 64))]
    assert max(score.max().item() for score in scores) < 0.1


def test_numbers_mean_what_the_contract_says():
    """docs/model_contract.md, cell by cell, in plain arithmetic."""
    torch.manual_seed(1)
    height, width = 64, 96
    outputs = [torch.randn(2, 15, height // s, width // s) for s in STRIDES]
    predictions = Predictions.of(outputs, Cells.of(height, width))
    at = 0
    for stride, output in zip(STRIDES, outputs, strict=True):
        for r in range(height // stride):
            for c in range(width // stride):
                n = output[1, :, r, c].tolist()
                x, y = (c + n[1]) * stride, (r + n[2]) * stride
                w, h = math.exp(n[3]) * stride, math.exp(n[4]) * stride
                expected = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
                assert predictions.boxes[1, at].tolist() == pytest.approx(expected, rel=1e-5, abs=1e-3)
                for i in range(5):
                    point = [(c + n[5 + 2 * i]) * stride, (r + n[6 + 2 * i]) * stride]
                    assert predictions.points[1, at, i].tolist() == pytest.approx(point, rel=1e-5, abs=1e-3)
                assert predictions.scores[1, at].item() == n[0]
                at += 1
    assert at == predictions.scores.shape[1]


def test_absurd_sizes_stay_finite():
    outputs = [torch.full((1, 15, 32 // s, 32 // s), 1e4) for s in STRIDES]
    assert Predictions.of(outputs, Cells.of(32, 32)).boxes.isfinite().all()
