"""Bias correction: a quantized convolution's mean output comes back to the float one's."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from agepred_train.bias_correction import correct_biases
from agepred_train.graph import run_model

CROPS = np.random.default_rng(0).integers(0, 256, (24, 3, 16, 16), dtype=np.uint8)


def graph(nodes, constants):
    values = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 3, 16, 16])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    body = helper.make_graph(nodes, "g", [image], [out], values)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def models(weight, bias, groups):
    """A float convolution without borders, and its twin with weights rounded coarsely down."""
    convolution = {"name": "conv", "group": groups}
    cast = helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT)
    plain = graph([cast, helper.make_node("Conv", ["x", "w", "b"], ["out"], **convolution)], {"w": weight, "b": bias})
    scale = np.full(len(weight), 0.05, np.float32)
    constants = {
        "wq": np.floor(weight / 0.05).astype(np.int8),
        "ws": scale,
        "wz": np.zeros(len(weight), np.int8),
        "bq": np.round(bias / 0.001).astype(np.int32),
        "bs": np.full(len(weight), 0.001, np.float32),
        "bz": np.zeros(len(weight), np.int32),
    }
    nodes = [
        cast,
        helper.make_node("DequantizeLinear", ["wq", "ws", "wz"], ["w"], axis=0),
        helper.make_node("DequantizeLinear", ["bq", "bs", "bz"], ["b"], axis=0),
        helper.make_node("Conv", ["x", "w", "b"], ["out"], **convolution),
    ]
    return plain, graph(nodes, constants)


@pytest.mark.parametrize(("outputs", "groups"), [(4, 1), (3, 3), (6, 3)])
def test_means_of_the_outputs_agree_afterwards(outputs, groups):
    rng = np.random.default_rng(1)
    weight = rng.normal(0, 0.3, (outputs, 3 // groups, 1, 1)).astype(np.float32)
    bias = rng.normal(0, 1, outputs).astype(np.float32)
    plain, quantized = models(weight, bias, groups)
    expected = run_model(plain, {"image": CROPS}).mean(axis=(0, 2, 3), dtype=np.float64)
    before = run_model(quantized, {"image": CROPS}).mean(axis=(0, 2, 3), dtype=np.float64)
    correct_biases(quantized, plain, CROPS)
    after = run_model(quantized, {"image": CROPS}).mean(axis=(0, 2, 3), dtype=np.float64)
    assert np.abs(before - expected).max() > 1
    # A step of the bias: its rounding leaves half of one, sums of float32 the rest.
    np.testing.assert_allclose(after, expected, atol=0.001)


def test_exact_weights_leave_the_biases_alone():
    weight = np.array([-0.5, 0.25, 1.0], np.float32).reshape(3, 1, 1, 1)
    plain, quantized = models(weight, np.array([0.5, 0.0, -2.0], np.float32), 3)
    untouched = onnx.ModelProto()
    untouched.CopyFrom(quantized)
    for each in (quantized, untouched):
        index = [value.name for value in each.graph.initializer].index("wq")
        exact = np.round(weight / 0.05).astype(np.int8)
        each.graph.initializer[index].CopyFrom(numpy_helper.from_array(exact, "wq"))
    correct_biases(quantized, plain, CROPS)
    biases = [
        numpy_helper.to_array(next(value for value in each.graph.initializer if value.name == "bq"))
        for each in (quantized, untouched)
    ]
    np.testing.assert_array_equal(*biases)
