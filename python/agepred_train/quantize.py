"""Turn fp32.onnx into int8.onnx: 8-bit activations, 7-bit weights, ranges from training crops.

The pixels themselves are the first convolution's quantized input: (x - 128) / 128 is what a dequantizer
with scale 1/128 and zero point 128 computes, so normalization costs nothing and loses nothing.
"""

import io
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (  # type: ignore[import-untyped]
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]

from agepred_train.bias_correction import batch_size, correct_biases
from agepred_train.compact import compact
from agepred_train.data import Collection
from agepred_train.dataset import FaceCrops
from agepred_train.features import add_features, has_features, without_features
from agepred_train.graph import INPUT, Pictures, read_keys, read_model, write_model
from agepred_train.model import PIXEL_SCALE, PIXEL_ZERO
from agepred_train.prepare import MIN_FACE_SIDE, Faces, clean
from agepred_train.rounding import round_weights

Method = Literal["minmax", "percentile", "entropy"]

_METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}

# Crops in one step of the calibration: every activation of a step is in memory at once, 20 MB a crop.
_BATCH = 16

# Two products of an 8-bit unsigned and such a weight add up to 32640 at most, within 16 bits.
_LARGEST_EXACT_WEIGHT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """How the ranges of the activations are found."""

    method: Method = "minmax"
    """Rule that turns the observed values of an activation into its range."""
    percentile: float = 99.99
    """Share of the values inside the range in percent, above 50 to 100; for `percentile` only."""
    crops: int = 512
    """Training crops that are run; a multiple of 16."""
    min_face_side: float = MIN_FACE_SIDE
    """Pictures with a smaller face are not used, in pixels; as in training, where no table has judged them."""
    seed: int = 1
    """Seed of the choice of crops, at least 0."""

    def __post_init__(self) -> None:
        """Check every limit that the fields' descriptions state."""
        if self.method not in get_args(Method):
            raise ValueError(f"method {self.method!r} is none of {', '.join(get_args(Method))}")
        if self.crops < _BATCH or self.crops % _BATCH:
            raise ValueError(f"crops is {self.crops}, it must be a multiple of {_BATCH}")
        if not 50 < self.percentile <= 100:
            raise ValueError(f"percentile is {self.percentile}, it must lie above 50 and up to 100")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, it must be at least 0")


class QuantizeError(RuntimeError):
    """The quantized graph is not what it must be."""


def quantize(fp32: Path, out: Path, collection: Collection, faces: Faces, config: Quantization) -> Path:
    """Quantize a model with ranges from crops of the collection's training samples.

    Args:
        fp32: a file that `export` wrote.
        out: the quantized file; an old one is replaced only by a complete new one.
        collection: labeled pictures; only the split `train` is read.
        faces: their faces, from `prepare`.
        config: how the ranges are found.

    Returns:
        `out`.

    Raises:
        QuantizeError: a weight has more than 7 bits, or the graph is not one that `export` writes.
        DataError: `fp32` is no ONNX file.
        ValueError: there are fewer training crops than asked for.
    """
    model = read_model(fp32)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    if len(shape) != 4 or shape[1] != 3 or shape[2] < 1 or shape[2] != shape[3]:
        raise QuantizeError(f"{fp32}: the input is not N x 3 x S x S: it is no file of `export`")
    _check_head(model.graph)
    side = shape[2]
    crops = calibration_crops(collection, faces, side, config)
    quantized = quantize_graph(model, crops, config)
    return write_model(quantized, out)


def calibration_crops(collection: Collection, faces: Faces, side: int, config: Quantization) -> NDArray[np.uint8]:
    """Return seeded training crops without augmentation, uint8 [n, 3, side, side]."""
    samples, _ = clean(collection, faces, config.min_face_side)
    if len(samples) < config.crops:
        raise ValueError(f"{config.crops} calibration crops are asked for, there are {len(samples)}")
    chosen = np.random.default_rng(config.seed).choice(len(samples), config.crops, replace=False)
    dataset = FaceCrops([samples[index] for index in chosen], faces, side=side)
    crops = np.stack([dataset.crop(index) for index in range(len(dataset))])
    return np.ascontiguousarray(crops.transpose(0, 3, 1, 2))


def quantize_graph(
    model: onnx.ModelProto,
    crops: Pictures,
    config: Quantization,
    *,
    floats: Sequence[str] = (),
    bounds: Mapping[str, float] | None = None,
) -> onnx.ModelProto:
    """Return the quantized model.

    Args:
        model: as `export` writes it.
        crops: pictures to find the ranges with, each uint8 [3, H, W]; of one size and a multiple of 16 where the model
            takes several at once.
        config: how they are found.
        floats: names of nodes that go on computing in float.
        bounds: tensors that are cut off beyond a number and its opposite, whatever is measured.
    """
    keys = read_keys(model)
    explains, model = has_features(model), without_features(model)
    with tempfile.TemporaryDirectory(prefix="agepred-") as folder, _library_notices_hidden():
        plain, prepared, result = (Path(folder, f"{stage}.onnx") for stage in ("plain", "prepared", "result"))
        onnx.save(_without_normalization(model), plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            result,
            _CropReader(crops, batch_size(model)),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=_METHODS[config.method],
            nodes_to_exclude=list(floats),
            extra_options=_options(config, bounds or {}),
        )
        quantized = onnx.load(result)
    _feed_pixels(quantized)
    round_weights(quantized, model, crops, largest=_LARGEST_EXACT_WEIGHT)
    correct_biases(quantized, model, crops)
    _add_zero_channel(quantized)
    if not weights_are_exact(quantized):
        raise QuantizeError("a weight lies outside -64 to 64: sums of pairs could saturate on x86 without VNNI")
    helper.set_model_props(quantized, keys | {"agepred.exact": "1"})
    quantized.producer_name = model.producer_name
    # ONNX Runtime's optimizer declares every domain that it knows; the graph uses one.
    del quantized.opset_import[:]
    quantized.opset_import.extend(model.opset_import)
    compact(quantized)
    if explains:
        add_features(quantized, model.graph.input[0].type.tensor_type.shape.dim[3].dim_value)
    onnx.checker.check_model(quantized, full_check=True)
    return quantized


def weights_are_exact(model: onnx.ModelProto) -> bool:
    """Tell whether every 8-bit constant tensor of weights lies within -64 to 64."""
    weights = [
        numpy_helper.to_array(constant).astype(np.int32)
        for constant in model.graph.initializer
        if constant.data_type == TensorProto.INT8 and len(constant.dims) > 1
    ]
    return bool(weights) and all(np.abs(weight).max() <= _LARGEST_EXACT_WEIGHT for weight in weights)


def count_operators(model: onnx.ModelProto) -> Counter[str]:
    """Return how often each operator occurs after ONNX Runtime's own graph optimization."""
    options = onnxruntime.SessionOptions()
    # The last level only changes memory layouts, for this machine alone.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    with tempfile.TemporaryDirectory(prefix="agepred-") as folder:
        options.optimized_model_filepath = str(Path(folder, "optimized.onnx"))
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        optimized = onnx.load(options.optimized_model_filepath)
    return Counter(node.op_type for node in optimized.graph.node)


class _CropReader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Serves normalized crops in batches, one batch per range."""

    def __init__(self, crops: Pictures, batch: int) -> None:
        self._crops = crops
        self._batch = batch
        self._batches = self._serve(0, len(self))

    def __len__(self) -> int:
        return len(self._crops) // self._batch

    def set_range(self, start_index: int, end_index: int) -> None:
        self._batches = self._serve(start_index, end_index)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._batches, None)

    def _serve(self, start: int, end: int) -> Iterator[dict[str, NDArray[np.float32]]]:
        for index in range(start, end):
            batch = np.stack(list(self._crops[index * self._batch : (index + 1) * self._batch])).astype(np.float32)
            yield {INPUT: (batch - np.float32(PIXEL_ZERO)) * np.float32(PIXEL_SCALE)}


def _options(config: Quantization, bounds: Mapping[str, float]) -> dict[str, Any]:
    pixels = {
        "quant_type": QuantType.QUInt8,
        "scale": np.array(PIXEL_SCALE, np.float32),
        "zero_point": np.array(int(PIXEL_ZERO), np.uint8),
    }
    bounded = {
        name: {
            "quant_type": QuantType.QUInt8,
            "scale": np.array(bound / 127, np.float32),
            "zero_point": np.array(128, np.uint8),
        }
        for name, bound in bounds.items()
    }
    return {
        "TensorQuantOverrides": {INPUT: [pixels], **{name: [entry] for name, entry in bounded.items()}},
        # Logits stay floats: 8 bits over their whole range would blur the distribution.
        "OpTypesToExcludeOutputQuantization": ["Gemm"],
        # Despite its name it bounds the memory of every method: batches are collected one by one.
        "CalibStridedMinMax": 1,
        "CalibPercentile": config.percentile,
    }


def _without_normalization(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that takes normalized float crops: Cast, Sub and Mul at the input are gone."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    _check_head(graph)
    head = [graph.node.pop(0) for _ in range(3)]
    _rename_inputs(graph, head[-1].output[0], INPUT)
    read = {name for node in graph.node for name in node.input}
    for constant in [constant for constant in graph.initializer if constant.name not in read]:
        graph.initializer.remove(constant)
    graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return result


def _check_head(graph: onnx.GraphProto) -> None:
    if [node.op_type for node in graph.node[:3]] != ["Cast", "Sub", "Mul"]:
        raise QuantizeError("the graph does not begin with Cast, Sub, Mul: it is no file of `export`")


def _feed_pixels(model: onnx.ModelProto) -> None:
    """Drop the quantizer at the input: `image` becomes uint8 and feeds the dequantizer itself."""
    graph = model.graph
    readers = [node for node in graph.node if INPUT in node.input]
    if [node.op_type for node in readers] != ["QuantizeLinear"]:
        raise QuantizeError(f"`{INPUT}` is read by {[node.op_type for node in readers]}, not by one quantizer")
    quantizer = readers[0]
    _rename_inputs(graph, quantizer.output[0], INPUT)
    graph.node.remove(quantizer)
    graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8


def _add_zero_channel(model: onnx.ModelProto) -> None:
    """Give the first convolution a fourth input channel whose weights are zero: the same answers, sooner.

    ONNX Runtime's direct int8 convolution on x86 takes input channels by fours; with three it falls back to copying
    every window into a matrix, which cost more than any other layer.
    """
    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    readers = [node for node in graph.node if INPUT in node.input]
    convolution = next(node for node in graph.node if node.op_type == "Conv")
    weight = constants[makers[convolution.input[1]].input[0]]
    values = numpy_helper.to_array(weight)
    padded = np.pad(values, ((0, 0), (0, 4 - values.shape[1]), (0, 0), (0, 0)))
    weight.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(padded), weight.name))
    widths = np.array([0, 0, 0, 0, 0, 4 - values.shape[1], 0, 0], np.int64)
    graph.initializer.extend(
        [
            numpy_helper.from_array(widths, "zero_channel.widths"),
            numpy_helper.from_array(np.array(int(PIXEL_ZERO), np.uint8), "zero_channel.value"),
        ]
    )
    graph.node.insert(
        0,
        helper.make_node(
            "Pad", [INPUT, "zero_channel.widths", "zero_channel.value"], ["zero_channel"], name="zero_channel"
        ),
    )
    pixels = "zero_channel"
    if _halves(convolution) and graph.input[0].type.tensor_type.shape.dim[3].dim_value % 4 == 0:
        pixels = _join_columns(graph, pixels, convolution)
    for node in readers:
        node.input[list(node.input).index(INPUT)] = pixels


def _halves(convolution: onnx.NodeProto) -> bool:
    """Tell whether a convolution looks at 3 x 3 pixels around every second one."""
    attributes = {attribute.name: list(attribute.ints) for attribute in convolution.attribute}
    return (attributes["kernel_shape"], attributes["strides"], attributes["pads"]) == ([3, 3], [2, 2], [1] * 4)


def _join_columns(graph: onnx.GraphProto, pixels: str, convolution: onnx.NodeProto) -> str:
    """Let a convolution that halves take four neighboring pixels as one and answer two neighboring cells at once.

    The same sums, from a third of the pieces, which are four times as long: with the channels innermost in memory, as
    ONNX Runtime computes, neighbors lie in one piece, before and after. The transposes here and those that the runtime
    adds itself cancel out. Widths must be multiples of 4, as those are that a model leaves open.
    """
    constants = {constant.name: constant for constant in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    weight, bias = (makers[name] for name in convolution.input[1:])
    values = numpy_helper.to_array(constants[weight.input[0]])  # [outputs, channels, rows, columns]
    outputs, channels, rows, columns = values.shape
    joined = np.zeros((2, outputs, 4, channels, rows, 2), values.dtype)
    for cell in range(2):
        for column in range(columns):
            place = 4 + 2 * cell + column - 1  # in the four pixels before and the four that hold both cells
            joined[cell, :, place % 4, :, :, place // 4] = values[:, :, :, column]
    replaced = {weight.input[0]: joined.reshape(2 * outputs, 4 * channels, rows, 2)}
    for name in {*weight.input[1:], *bias.input}:
        numbers = numpy_helper.to_array(constants[name])
        if numbers.ndim == 1:  # one an output; a single one counts for all
            replaced[name] = np.tile(numbers, 2)
    for name, numbers in replaced.items():
        constants[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(numbers), name))
    _set_attributes(convolution, kernel_shape=[rows, 2], strides=[2, 1], pads=[1, 1, 1, 0])
    del graph.value_info[:]  # the shapes that the tensors had
    quantizer = next(node for node in graph.node if convolution.output[0] in node.input)
    while quantizer.op_type != "QuantizeLinear":
        quantizer = next(node for node in graph.node if quantizer.output[0] in node.input)
    answers = quantizer.output[0]
    readers = [node for node in graph.node if answers in node.input]
    parted = _regroup(graph, answers, "cells", outputs, after=quantizer)
    for node in readers:
        node.input[list(node.input).index(answers)] = parted
    return _regroup(graph, pixels, "fours", 4 * channels, after=makers[pixels])


def _regroup(graph: onnx.GraphProto, value: str, name: str, channels: int, *, after: onnx.NodeProto) -> str:
    """Read the rows of a tensor [N, C, H, W], channels innermost, as so many channels; return the new tensor's name."""
    shape = np.array([0, 0, -1, channels], np.int64)
    graph.initializer.append(numpy_helper.from_array(shape, f"{name}.shape"))
    steps = [
        helper.make_node("Transpose", [value], [f"{name}.last"], name=f"{name}_last", perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", [f"{name}.last", f"{name}.shape"], [f"{name}.rows"], name=f"{name}_rows"),
        helper.make_node("Transpose", [f"{name}.rows"], [name], name=f"{name}_first", perm=[0, 3, 1, 2]),
    ]
    place = list(graph.node).index(after) + 1
    for offset, step in enumerate(steps):
        graph.node.insert(place + offset, step)
    return name


def _set_attributes(node: onnx.NodeProto, **values: list[int]) -> None:
    for attribute in node.attribute:
        if attribute.name in values:
            attribute.ints[:] = values[attribute.name]


def _rename_inputs(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name == old:
                node.input[position] = new


@contextmanager
def _library_notices_hidden() -> Iterator[None]:
    """Hide what the quantizer prints and logs to the root logger: a line per batch, general advice."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(previous)
