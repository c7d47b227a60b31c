"""Take the mean error that rounded weights cause out of a quantized network's biases.

Rounding a filter's weights shifts the mean of its output by the rounding error times the mean of its
input, always to the same side. A bias can absorb that shift (Nagel et al. 2019, "Data-Free Quantization
Through Weight Equalization and Bias Correction", section 4.2; here the means are measured). Coarsely
rounded weights shift much, and the shifts of the layers add up: without the correction the ages of the
quantized network drift from the float one's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from agepred_train.graph import Pictures

# Crops in one run of the float network: all its activations are in memory at once, 20 MB a crop.
_BATCH = 16


def batch_size(model: onnx.ModelProto) -> int:
    """Return how many pictures a model is run on at once: what its input declares, else 16."""
    declared: int = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    return declared or _BATCH


def correct_biases(quantized: onnx.ModelProto, plain: onnx.ModelProto, crops: Pictures) -> None:
    """Change the int32 biases of all convolutions of `quantized` in place.

    Args:
        quantized: QDQ model whose convolutions are named as those of `plain`.
        plain: the float model that it was made from, with the input `image`.
        crops: pictures to measure means on, each uint8 [3, H, W].
    """
    constants = {constant.name: constant for constant in quantized.graph.initializer}
    makers = {node.output[0]: node for node in quantized.graph.node}
    floats = {constant.name: numpy_helper.to_array(constant) for constant in plain.graph.initializer}
    originals = {node.name: node for node in plain.graph.node if node.op_type == "Conv"}
    means = _channel_means(plain, [node.input[0] for node in originals.values()], crops)
    for node in quantized.graph.node:
        if node.op_type != "Conv" or node.input[1] not in makers:
            continue  # a convolution whose weights are no answer of a dequantizer computes in float
        original = originals[node.name]
        weight = _Quantized.read(makers[node.input[1]], constants)
        bias = _Quantized.read(makers[node.input[2]], constants)
        error = floats[original.input[1]] - weight.values * weight.scale.reshape(-1, 1, 1, 1)
        shift = _mean_shift(error, means[original.input[0]])
        corrected = np.round(bias.values + shift / bias.scale).astype(np.int32)
        constants[bias.name].CopyFrom(numpy_helper.from_array(corrected, bias.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quantized:
    """A constant behind a DequantizeLinear without zero point."""

    name: str
    values: NDArray[np.float64]
    scale: NDArray[np.float64]

    @staticmethod
    def read(dequantizer: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> "_Quantized":
        values, scale = (numpy_helper.to_array(constants[name]) for name in dequantizer.input[:2])
        return _Quantized(name=dequantizer.input[0], values=values.astype(np.float64), scale=scale.astype(np.float64))


def _mean_shift(error: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far a weight error [out, in / groups, h, w] moves each output's mean, borders ignored."""
    taps: NDArray[np.float64] = error.sum(axis=(2, 3))
    groups = len(means) // taps.shape[1]
    per_output = np.repeat(means.reshape(groups, -1), len(taps) // groups, axis=0)
    shift: NDArray[np.float64] = (taps * per_output).sum(axis=1)
    return shift


def _channel_means(model: onnx.ModelProto, names: Sequence[str], crops: Pictures) -> dict[str, NDArray[np.float64]]:
    """Return the mean of each channel of some tensors [N, C, h, w] over all crops."""
    tapped = onnx.ModelProto()
    tapped.CopyFrom(model)
    del tapped.graph.output[:]
    distinct = list(dict.fromkeys(names))
    tapped.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in distinct)
    session = onnxruntime.InferenceSession(tapped.SerializeToString(), providers=["CPUExecutionProvider"])
    sums: dict[str, NDArray[np.float64]] = {}
    count = batch_size(model)
    for start in range(0, len(crops), count):
        batch = np.stack(list(crops[start : start + count]))
        for name, values in zip(distinct, session.run(None, {model.graph.input[0].name: batch}), strict=True):
            total = values.mean(axis=(2, 3), dtype=np.float64).sum(axis=0)
            sums[name] = sums.get(name, 0.0) + total
    return {name: total / len(crops) for name, total in sums.items()}
