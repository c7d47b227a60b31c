"""Weights rounded together: never worse on the inputs that they meet, and alone where nothing binds them."""

import itertools

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper
from tiny_set import crops
from torch import nn

from agepred_train import quantize as quantizing
from agepred_train.graph import INPUT, GraphWriter, run_model
from agepred_train.quantize import Quantization, quantize_graph, weights_are_exact
from agepred_train.rounding import rounded_together

LARGEST = 64


def problem(seed, *, groups=2, outputs=3, inputs=4, shared=0.9):
    """Weights, inputs that rise together, and scales: [g, o, i], [g, n, i], [g, o]."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((groups, 200, 1)) * shared
    seen = common + rng.standard_normal((groups, 200, inputs)) * (1 - shared)
    rows = rng.standard_normal((groups, outputs, inputs))
    return rows, seen - seen.mean(axis=1, keepdims=True), np.abs(rows).max(axis=2) / 4


def covariance(seen):
    return seen.swapaxes(1, 2) @ seen / seen.shape[1]


def error(rows, numbers, scales, seen):
    """Mean square change of the answers, [g, o]."""
    lost = rows - numbers * scales[..., None]
    return np.square(seen @ lost.swapaxes(1, 2)).mean(axis=1)


def test_rounding_together_is_between_the_best_and_rounding_alone():
    sums = np.zeros(2)
    for seed in range(20):
        rows, seen, scales = problem(seed)
        together = rounded_together(rows, covariance(seen), scales, LARGEST)
        alone = np.rint(rows / scales[..., None])
        found, plain = (error(rows, numbers, scales, seen) for numbers in (together, alone))
        sums += found.sum(), plain.sum()
        near = np.array(list(itertools.product((-1, 0, 1), repeat=rows.shape[2])))
        best = np.min([error(rows, alone + steps, scales, seen) for steps in near], axis=0)
        assert (found >= best - 1e-12).all()
    assert sums[0] < 0.6 * sums[1]


def test_independent_inputs_are_rounded_each_for_itself():
    rows, _, scales = problem(1)
    variances = np.array([[1.0, 3.0, 0.2, 5.0], [2.0, 2.0, 2.0, 2.0]])
    numbers = rounded_together(rows, variances[:, None] * np.eye(4), scales, LARGEST)
    np.testing.assert_array_equal(numbers, np.rint(rows / scales[..., None]))


def test_order_of_inputs_and_their_unit_do_not_matter():
    rows, seen, scales = problem(2)
    numbers = rounded_together(rows, covariance(seen), scales, LARGEST)
    turned = rounded_together(rows[:, :, ::-1], covariance(seen[:, :, ::-1]), scales, LARGEST)
    np.testing.assert_array_equal(turned[:, :, ::-1], numbers)
    louder = rounded_together(rows, covariance(seen * 1000), scales, LARGEST)
    np.testing.assert_array_equal(louder, numbers)


def test_numbers_stay_within_their_limit():
    rows, seen, scales = problem(3)
    numbers = rounded_together(rows, covariance(seen), scales / 4, 3)
    assert np.abs(numbers).max() == 3


def test_inputs_that_are_always_the_same_do_no_harm():
    rows, seen, scales = problem(4)
    alone = np.rint(rows / scales[..., None])
    np.testing.assert_array_equal(rounded_together(rows, covariance(seen * 0), scales, LARGEST), alone)
    still = seen * [1, 1, 0, 1]
    numbers = rounded_together(rows, covariance(still), scales, LARGEST)
    np.testing.assert_array_equal(numbers[..., 2], alone[..., 2])
    assert error(rows, numbers, scales, still).mean() <= error(rows, alone, scales, still).mean()


def network():
    """A first convolution, a depthwise one and a pointwise one, as `export` would write them."""
    torch.manual_seed(3)
    layers = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 1, 1, groups=16), nn.ReLU(), nn.Conv2d(16, 6, 1)
    )
    writer = GraphWriter()
    features = writer.sequence(layers[:4], writer.normalize(INPUT))
    answers = writer.conv(layers[4], features, output="answers")
    return writer.model(
        "net",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info(answers, TensorProto.FLOAT, ["N", 6, "h", "w"])],
    )


def test_a_quantized_network_answers_nearer_to_the_float_one(monkeypatch):
    model, seen, others = network(), crops(32, 64, 10), crops(8, 64, 500)
    together = quantize_graph(model, seen, Quantization(crops=32))
    monkeypatch.setattr(quantizing, "round_weights", lambda *arguments, **named: None)
    alone = quantize_graph(model, seen, Quantization(crops=32))
    expected, *found = (run_model(each, {INPUT: others}) for each in (model, together, alone))
    errors = [np.square(answers - expected).mean() for answers in found]
    assert errors[0] < 0.9 * errors[1]
    assert weights_are_exact(together)
    scales = [
        {c.name: numpy_helper.to_array(c).tobytes() for c in each.graph.initializer if c.data_type == TensorProto.FLOAT}
        for each in (together, alone)
    ]
    assert scales[0] == scales[1]
