"""Equalized channels: the network computes what it computed, and every channel between two convolutions is as wide."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from tiny_set import crops
from torch import nn

from agepred_train.equalization import equalize
from agepred_train.graph import INPUT, GraphWriter, run_model


def network(*, between=False, dead=False):
    """Pointwise and depthwise convolutions whose channels differ a thousandfold."""
    torch.manual_seed(3)
    layers = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 3, 1, 1, groups=6), nn.ReLU(), nn.Conv2d(6, 2, 1))
    with torch.no_grad():
        gains = torch.logspace(-2, 1, 6)
        if dead:
            gains[0] = 0
        layers[0].weight.mul_(gains[:, None, None, None])
        layers[0].bias.mul_(gains)
        layers[1].weight.div_(gains.clamp(min=1e-6)[:, None, None, None])
    writer = GraphWriter()
    wide = writer.conv(layers[0], writer.normalize(INPUT))
    answers = writer.conv(layers[3], writer.sequence(layers[1:3], wide), output="answers")
    outputs = [helper.make_tensor_value_info(answers, TensorProto.FLOAT, ["N", 2, "H", "W"])]
    if between:
        outputs.append(helper.make_tensor_value_info(wide, TensorProto.FLOAT, ["N", 6, "H", "W"]))
    return writer.model("tiny", [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", 3, "H", "W"])], outputs)


def ranges(model):
    tapped = onnx.ModelProto()
    tapped.CopyFrom(model)
    first = next(node for node in tapped.graph.node if node.op_type == "Conv")
    del tapped.graph.output[:]
    tapped.graph.output.append(helper.make_tensor_value_info(first.output[0], TensorProto.FLOAT, None))
    return np.abs(run_model(tapped, {INPUT: crops(8, 32)})).max(axis=(0, 2, 3))


@pytest.mark.parametrize("dead", [False, True])
def test_answers_stay_and_channels_become_as_wide(dead):
    model = network(dead=dead)
    before = ranges(model)
    pixels = crops(4, 40, 77)
    expected = run_model(model, {INPUT: pixels})
    equalize(model, crops(8, 32))
    np.testing.assert_allclose(run_model(model, {INPUT: pixels}), expected, rtol=1e-4, atol=1e-4)
    assert before.max() > 100 * before[before > 0].min()
    np.testing.assert_allclose(ranges(model)[int(dead) :], 1, rtol=1e-4)


def test_what_others_read_is_left_alone():
    """An output of the graph is what it was, to the bit."""
    model = network(between=True)
    before = model.SerializeToString()
    equalize(model, crops(8, 32))
    assert model.SerializeToString() == before


def test_pictures_may_differ_in_size():
    model = network()
    equalize(model, [crops(1, 32)[0], crops(1, 64)[0]])
    assert ranges(model).max() <= 1.5
