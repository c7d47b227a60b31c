"""A first convolution that halves, its pixels joined by fours: the same sums to the bit, and only where it may be."""

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from tiny_set import crops
from torch import nn

from agepred_train import quantize as quantizing
from agepred_train.graph import INPUT, GraphWriter, run_model
from agepred_train.quantize import Quantization, quantize_graph

RANGES = Quantization(crops=16)
HALVES = {"kernel": 3, "stride": 2, "padding": 1}


def plain_model(*, kernel, stride, padding, activation=nn.ReLU, outputs=12, width="W"):
    """Two convolutions, random but settled, as `export` would write them."""
    torch.manual_seed(7)
    first = nn.Conv2d(3, outputs, kernel, stride, padding)
    layers = nn.Sequential(first, activation(), nn.Conv2d(outputs, 5, 1))
    writer = GraphWriter()
    features = writer.sequence(layers[:2], writer.normalize(INPUT))
    answers = writer.conv(layers[2], features, output="answers")
    return writer.model(
        "halves",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", 3, "H", width])],
        [helper.make_tensor_value_info(answers, TensorProto.FLOAT, ["N", 5, "h", "w"])],
    )


def quantized(model, *, joined, side=64):
    with pytest.MonkeyPatch.context() as patch:
        if not joined:
            patch.setattr(quantizing, "_halves", lambda convolution: False)
        return quantize_graph(model, crops(16, side, 50), RANGES)


def first_convolution(model):
    node = next(node for node in model.graph.node if node.op_type == "Conv")
    return {attribute.name: list(attribute.ints) for attribute in node.attribute if attribute.ints}


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6, nn.Sequential])
@pytest.mark.parametrize("outputs", [8, 13])
def test_joined_graph_answers_as_the_other_one(activation, outputs):
    model = plain_model(**HALVES, activation=activation, outputs=outputs)
    one, other = (quantized(model, joined=joined) for joined in (False, True))
    assert first_convolution(one)["kernel_shape"] == [3, 3]
    assert first_convolution(other)["kernel_shape"] == [3, 2]
    rng = np.random.default_rng(1)
    for size in ((32, 32), (64, 96), (33, 4), (1, 8), (160, 320)):
        pictures = (rng.integers(0, 256, (2, 3, *size), np.uint8), np.full((1, 3, *size), 255, np.uint8))
        for pixels in pictures:
            expected, found = (run_model(each, {INPUT: pixels}) for each in (one, other))
            assert expected.shape == (len(pixels), 5, -(-size[0] // 2), size[1] // 2)
            assert found.tobytes() == expected.tobytes(), size
        assert expected.any()


def test_every_pixel_has_its_own_weight():
    """A bright pixel, at each place around a cell and in each color, moves the answers by what the float graph says."""
    model = plain_model(**HALVES)
    joined = quantized(model, joined=True)
    sessions = [
        onnxruntime.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"])
        for each in (model, joined)
    ]
    gray = np.full((1, 3, 8, 8), 128, np.uint8)
    moved = []
    for channel, row, column in np.ndindex(3, 4, 4):
        pixels = gray.copy()
        pixels[0, channel, 2 + row, 2 + column] = 255
        moved.append(
            [session.run(None, {INPUT: pixels})[0] - session.run(None, {INPUT: gray})[0] for session in sessions]
        )
    expected, found = np.array(moved).swapaxes(0, 1)
    np.testing.assert_array_equal(found[expected == 0], 0)
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.98


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [((3, 3), (1, 1), 1), ((4, 4), (4, 4), 0), ((3, 3), (2, 2), 0), ((5, 5), (2, 2), 2)],
)
def test_other_convolutions_stay(kernel, stride, padding):
    model = quantized(plain_model(kernel=kernel, stride=stride, padding=padding), joined=True)
    attributes = first_convolution(model)
    assert (attributes["kernel_shape"], attributes["strides"]) == (list(kernel), list(stride))
    assert not {"Reshape", "Transpose"} & {node.op_type for node in model.graph.node}


@pytest.mark.parametrize(("width", "columns"), [(48, 2), (50, 3)])
def test_a_fixed_width_must_hold_whole_fours(width, columns):
    model = quantized(plain_model(**HALVES, width=width), joined=True, side=width)
    assert first_convolution(model)["kernel_shape"] == [3, columns]
    answers = run_model(model, {INPUT: crops(1, width, 9)})
    assert answers.shape[-1] == width // 2
