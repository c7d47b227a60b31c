"""Let all channels between two convolutions use all of the eight bits.

A tensor has one step size in 8 bits, its channels have ranges that differ by factors of ten. Where a convolution feeds
another one directly, a channel may be scaled in the first and scaled back in the second, and nothing else changes
(Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.1). Here the
ranges are measured, and the second convolution is depthwise: its weights have a step a channel and lose nothing by it.
"""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from agepred_train.graph import Pictures

# Of the widest channel's range: below it a channel says next to nothing.
_NARROWEST = 1e-3


def equalize(model: onnx.ModelProto, pictures: Pictures) -> None:
    """Scale the channels between pointwise and depthwise convolutions to the same range, in place.

    Args:
        model: float network with the input `image`.
        pictures: to measure the ranges on, each uint8 [3, H, W].
    """
    constants = {constant.name: constant for constant in model.graph.initializer}
    pairs = list(_pairs(model))
    ranges = _ranges(model, [first.output[0] for first, _ in pairs], pictures)
    for first, second in pairs:
        widest = ranges[first.output[0]]
        scale = np.maximum(widest, _NARROWEST * max(widest.max(), 1e-30))
        for name, factor in ((first.input[1], 1 / scale), (first.input[2], 1 / scale), (second.input[1], scale)):
            values = numpy_helper.to_array(constants[name])
            scaled = values * factor.reshape(-1, *[1] * (values.ndim - 1))
            constants[name].CopyFrom(numpy_helper.from_array(scaled.astype(np.float32), name))


def _pairs(model: onnx.ModelProto) -> Sequence[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """Return each convolution whose answers a depthwise one reads, and nothing else."""
    outputs = {output.name for output in model.graph.output}
    pairs = []
    for first in (node for node in model.graph.node if node.op_type == "Conv" and node.output[0] not in outputs):
        readers = [node for node in model.graph.node if first.output[0] in node.input]
        if len(readers) == 1 and readers[0].op_type == "Conv" and _groups(readers[0]) > 1:
            pairs.append((first, readers[0]))
    return pairs


def _groups(convolution: onnx.NodeProto) -> int:
    return next((int(attribute.i) for attribute in convolution.attribute if attribute.name == "group"), 1)


def _ranges(model: onnx.ModelProto, names: Sequence[str], pictures: Pictures) -> dict[str, NDArray[np.float64]]:
    """Return the largest absolute value of each channel of some tensors [1, C, h, w]."""
    if not names:
        return {}
    tapped = onnx.ModelProto()
    tapped.CopyFrom(model)
    del tapped.graph.output[:]
    tapped.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(tapped.SerializeToString(), providers=["CPUExecutionProvider"])
    largest: dict[str, NDArray[np.float64]] = {}
    for picture in pictures:
        answers = session.run(None, {model.graph.input[0].name: picture[None]})
        for name, values in zip(names, answers, strict=True):
            channels = np.abs(values).max(axis=(0, 2, 3)).astype(np.float64)
            largest[name] = np.maximum(largest.get(name, channels), channels)
    return largest
