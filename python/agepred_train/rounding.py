"""Round weights together: what one takes too much, those after it take less.

Rounded each for itself, the weights of a filter err as if their inputs had nothing to do with each other. They do:
where two channels rise together, one weight can take back the error of the other. Column by column, what a weight lost
by rounding is spread over those not yet rounded, so that the filter's answers on real inputs change least (Frantar et
al. 2023, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", after Hassibi and Stork
1993, "Optimal Brain Surgeon"). What shifts the mean of the answers does not count: biases absorb that
(`bias_correction`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from agepred_train.bias_correction import batch_size
from agepred_train.graph import Pictures

# Places of each map that are looked at: neighbors say nearly the same.
_PLACES = 64

# Share of the mean variance that every input is taken to have besides: without it, inputs that never vary would take
# all errors at no cost.
_DAMPING = 0.01


def round_weights(quantized: onnx.ModelProto, plain: onnx.ModelProto, crops: Pictures, *, largest: int) -> None:
    """Round the weights of all convolutions of `quantized` anew, in place; their scales stay.

    Args:
        quantized: QDQ model whose convolutions are named as those of `plain`.
        plain: the float model that it was made from, with an input of pictures.
        crops: pictures whose features the weights meet, each uint8 [3, H, W].
        largest: the largest absolute value of a rounded weight.
    """
    constants = {constant.name: constant for constant in quantized.graph.initializer}
    makers = {node.output[0]: node for node in quantized.graph.node}
    floats = {constant.name: numpy_helper.to_array(constant) for constant in plain.graph.initializer}
    layers = {node.name: _Layer.of(node, floats) for node in plain.graph.node if node.op_type == "Conv"}
    _measure(list(layers.values()), plain, crops)
    for node in quantized.graph.node:
        if node.op_type != "Conv" or node.input[1] not in makers:
            continue  # a convolution whose weights are no answer of a dequantizer computes in float
        layer = layers[node.name]
        name, scale = makers[node.input[1]].input[:2]
        scales = numpy_helper.to_array(constants[scale]).astype(np.float64)
        rounded = rounded_together(layer.rows(), layer.covariance(), layer.per_group(scales), largest)
        values = rounded.reshape(layer.weight.shape).astype(np.int8)
        constants[name].CopyFrom(numpy_helper.from_array(values, name))


def rounded_together(
    rows: NDArray[np.float64], covariance: NDArray[np.float64], scales: NDArray[np.float64], largest: int
) -> NDArray[np.int64]:
    """Return whole numbers that times the scales answer as the rows do, on inputs of a covariance.

    Args:
        rows: weights, [groups, outputs, inputs].
        covariance: of a group's inputs, [groups, inputs, inputs].
        scales: of each output, above 0, [groups, outputs].
        largest: the largest absolute value of a number.

    Returns:
        Numbers, [groups, outputs, inputs].
    """
    groups, _, inputs = rows.shape
    variances = np.einsum("gii->gi", covariance)
    damping = _DAMPING * variances.mean(axis=1) + np.finfo(np.float64).tiny ** 0.5
    damped = covariance + damping[:, None, None] * np.eye(inputs)
    # Inputs that vary most are rounded first, while there is much that can take back their errors.
    order = np.argsort(-variances, axis=1, kind="stable")
    group = np.arange(groups)[:, None]
    damped = damped[group[..., None], order[:, :, None], order[:, None, :]]
    left = rows[group[..., None], np.arange(rows.shape[1])[None, :, None], order[:, None, :]].copy()
    # The rows of this triangle say how the inputs that are left take back what the first of them lost.
    spread = np.linalg.cholesky(np.linalg.inv(damped)).swapaxes(1, 2)
    numbers = np.empty(left.shape, np.int64)
    for place in range(inputs):
        numbers[:, :, place] = np.clip(np.rint(left[:, :, place] / scales), -largest, largest)
        lost = (left[:, :, place] - numbers[:, :, place] * scales) / spread[:, None, place, place]
        left[:, :, place:] -= lost[:, :, None] * spread[:, None, place, place:]
    back = np.argsort(order, axis=1)
    return numbers[group[..., None], np.arange(rows.shape[1])[None, :, None], back[:, None, :]]


@dataclass(slots=True, eq=False)
class _Layer:
    """A convolution and the sums over its inputs' windows."""

    inputs: str
    weight: NDArray[np.float32]
    groups: int
    strides: Sequence[int]
    pads: Sequence[int]
    count: int
    sums: NDArray[np.float64]
    products: NDArray[np.float64]

    @staticmethod
    def of(node: onnx.NodeProto, floats: dict[str, NDArray[np.float32]]) -> "_Layer":
        attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        weight = floats[node.input[1]]
        groups, size = int(attributes.get("group", 1)), int(np.prod(weight.shape[1:]))
        return _Layer(
            inputs=node.input[0],
            weight=weight,
            groups=groups,
            strides=attributes["strides"],
            pads=attributes["pads"],
            count=0,
            sums=np.zeros((groups, size)),
            products=np.zeros((groups, size, size)),
        )

    def add(self, maps: NDArray[np.float32]) -> None:
        """Add the windows of maps [N, C, H, W] at some of their places."""
        top, left, bottom, right = self.pads
        padded = np.pad(maps, ((0, 0), (0, 0), (top, bottom), (left, right)))
        kernel = self.weight.shape[2:]
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))
        windows = windows[:, :, :: self.strides[0], :: self.strides[1]]
        rows, columns = windows.shape[2:4]
        places = np.linspace(0, rows * columns - 1, min(_PLACES, rows * columns)).astype(int)
        picked = windows[:, :, places // columns, places % columns]  # [N, C, places, kernel rows, kernel columns]
        count, channels = picked.shape[0] * picked.shape[2], picked.shape[1]
        flat = picked.transpose(1, 0, 2, 3, 4).reshape(self.groups, channels // self.groups, count, -1)
        seen = flat.transpose(0, 2, 1, 3).reshape(self.groups, count, -1).astype(np.float64)
        self.count += count
        self.sums += seen.sum(axis=1)
        self.products += seen.swapaxes(1, 2) @ seen

    def covariance(self) -> NDArray[np.float64]:
        """Return the covariance of the windows, [groups, inputs, inputs]."""
        mean = self.sums / self.count
        return self.products / self.count - mean[:, :, None] * mean[:, None, :]

    def rows(self) -> NDArray[np.float64]:
        """Return the weights, [groups, outputs, inputs]."""
        return self.weight.reshape(self.groups, -1, self.sums.shape[1]).astype(np.float64)

    def per_group(self, scales: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return one scale an output, or a single one for all, as [groups, outputs]."""
        return np.broadcast_to(scales, len(self.weight)).reshape(self.groups, -1)


def _measure(layers: Sequence[_Layer], model: onnx.ModelProto, crops: Pictures) -> None:
    """Show a float model all crops and each layer what it then meets."""
    tapped = onnx.ModelProto()
    tapped.CopyFrom(model)
    del tapped.graph.output[:]
    names = list(dict.fromkeys(layer.inputs for layer in layers))
    tapped.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(tapped.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in _batches(crops, batch_size(model)):
        maps = dict(zip(names, session.run(None, {model.graph.input[0].name: batch}), strict=True))
        for layer in layers:
            layer.add(maps[layer.inputs])


def _batches(crops: Pictures, count: int) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(crops), count):
        yield np.stack(list(crops[start : start + count]))
