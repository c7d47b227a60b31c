"""ONNX graphs: written node by node, read from files, run.

Written by hand in place of traced, a graph has the few operators that ONNX Runtime fuses and quantizes well, stable
names, and nothing else.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from agepred_train.archive import DataError
from agepred_train.model import PIXEL_SCALE, PIXEL_ZERO
from agepred_train.storage import replacing

Pictures = NDArray[np.uint8] | Sequence[NDArray[np.uint8]]
"""Pictures [3, H, W], maybe of several sizes."""

INPUT = "image"
"""Name of every model's input."""

# ONNX Runtime 1.17 and 1.18 read operator sets up to 20 and IR versions up to 9; 17 and 8 are of the
# same ONNX release and have all that is needed.
_OPSET = 17
_IR_VERSION = 8


class GraphWriter:
    """Grows a graph layer by layer; each method takes and returns the name of a tensor."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def normalize(self, image: str) -> str:
        """Turn pixels 0..255 into (x - 128) / 128."""
        pixels = self.node("Cast", [image], to=TensorProto.FLOAT)
        centered = self.node("Sub", [pixels, self.constant("pixel_zero", PIXEL_ZERO)])
        return self.node("Mul", [centered, self.constant("pixel_scale", PIXEL_SCALE)])

    def sequence(self, module: nn.Module, value: str) -> str:
        """Write the leaves of nested sequences in the order of their use; batch normalization is folded.

        Pools are of 2 x 2 cells.
        """
        layers = [leaf for leaf in module.modules() if not isinstance(leaf, nn.Sequential)]
        for layer, following in zip_longest(layers, layers[1:]):
            if isinstance(layer, nn.Conv2d):
                folded = fuse_conv_bn_eval(layer, following) if isinstance(following, nn.BatchNorm2d) else layer
                value = self.conv(folded, value)
            elif isinstance(layer, nn.ReLU):
                value = self.node("Relu", [value])
            elif isinstance(layer, nn.MaxPool2d):
                value = self.node("MaxPool", [value], kernel_shape=[2, 2], strides=[2, 2])
            elif isinstance(layer, nn.ReLU6):
                limits = [self.constant("relu6.min", 0.0), self.constant("relu6.max", 6.0)]
                value = self.node("Clip", [value, *limits])
        return value

    def conv(self, conv: nn.Conv2d, inputs: str, output: str | None = None) -> str:
        """Write a convolution with a bias."""
        assert conv.bias is not None
        name = f"conv{sum(node.op_type == 'Conv' for node in self.nodes)}"
        weight = self.constant(f"{name}.weight", conv.weight)
        bias = self.constant(f"{name}.bias", conv.bias)
        padding = [int(amount) for amount in conv.padding]
        return self.node(
            "Conv",
            [inputs, weight, bias],
            kernel_shape=list(conv.kernel_size),
            strides=list(conv.stride),
            pads=padding * 2,
            group=conv.groups,
            output=output,
        )

    def node(self, kind: str, inputs: list[str], *, output: str | None = None, **attributes: Any) -> str:
        """Write any operator; its output is named as asked, else as the node itself."""
        name = f"{kind.lower()}{sum(node.op_type == kind for node in self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output or name], name=name, **attributes))
        return output or name

    def constant(self, name: str, value: torch.Tensor | float) -> str:
        """Keep a float32 constant under a name; the first value of a name stays."""
        array = torch.as_tensor(value, dtype=torch.float32).detach().cpu().contiguous().numpy()
        if all(constant.name != name for constant in self.constants):
            self.constants.append(numpy_helper.from_array(array, name))
        return name

    def pooled_linear(self, linear: nn.Linear, features: str, output: str) -> None:
        """Write a linear layer on the mean of each channel."""
        pooled = self.node("Flatten", [self.node("GlobalAveragePool", [features])], axis=1)
        weights = [self.constant("head.weight", linear.weight), self.constant("head.bias", linear.bias)]
        self.nodes.append(helper.make_node("Gemm", [pooled, *weights], [output], name="head", transB=1))

    def enlarge(self, features: str) -> str:
        """Repeat each cell of a map twice in both directions."""
        scales = "enlargement"
        if all(constant.name != scales for constant in self.constants):
            self.constants.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), scales))
        return self.node(
            "Resize",
            [features, "", scales],
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )

    def add_enlarged(self, fine: str, coarse: str, channels: int) -> str:
        """Add to a map [1, channels, H, W] one of half the size, each of whose cells counts for 2 x 2.

        With the channels innermost, as ONNX Runtime computes, a row of the coarse map beside itself is a row of pairs,
        which the sum then repeats for two rows of the fine one: in 8 bits long runs, where the operator that enlarges
        takes several times as long. The transposes and those that the runtime adds itself cancel out.
        """
        pairs = self._view(self.node("Transpose", [fine], perm=[0, 2, 3, 1]), [-1, 2, 0, channels])
        cells = self.node("Transpose", [coarse], perm=[0, 2, 3, 1])
        beside = self._view(self.node("Concat", [cells, cells], axis=3), [0, 0, -1, channels])
        rows = self._view(beside, [-1, 1, 0, channels])
        joined = self.node("Add", [pairs, rows])
        return self.node("Transpose", [self._view(joined, [1, -1, 0, channels])], perm=[0, 3, 1, 2])

    def _view(self, value: str, shape: list[int]) -> str:
        """Read the same numbers as another shape; 0 keeps the side at that place, -1 is what is left."""
        name = "shape" + "_".join(str(side) for side in shape)
        if all(constant.name != name for constant in self.constants):
            self.constants.append(numpy_helper.from_array(np.array(shape, np.int64), name))
        return self.node("Reshape", [value, name])

    def model(
        self, name: str, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
    ) -> onnx.ModelProto:
        """Return what was written as a model."""
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.constants)
        opset = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION, producer_name="agepred")


def read_model(path: Path) -> onnx.ModelProto:
    """Return a model file's content.

    Raises:
        FileNotFoundError: the file is not there.
        DataError: it is no ONNX file.
    """
    try:
        # By the name alone onnx would take some files for text.
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except DecodeError as error:
        raise DataError(f"{path}: not an ONNX file ({error}); give one that `export` or `quantize` wrote") from error
    # Some foreign bytes, none at all among them, do decode, to a message without content.
    if not model.graph.input or not model.graph.node:
        raise DataError(f"{path}: not an ONNX file (no graph); give one that `export` or `quantize` wrote")
    return model


def write_model(model: onnx.ModelProto, out: Path) -> Path:
    """Write a model file and return its path; an old file is replaced only by a whole new one."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        temporary.write_bytes(model.SerializeToString())
    return out


def common_keys(task: str, version: str, record: bytes) -> dict[str, str]:
    """Return the metadata that every float file has: docs/model_contract.md, from the bytes of its training record."""
    return {
        "agepred.format": "1",
        "agepred.task": task,
        "agepred.version": version,
        # Nothing in a float file is an integer sum, so nothing can saturate.
        "agepred.exact": "1",
        "agepred.record": hashlib.sha256(record).hexdigest(),
    }


def read_keys(model: onnx.ModelProto) -> dict[str, str]:
    """Return the metadata of a model."""
    return {entry.key: entry.value for entry in model.metadata_props}


def run_model(model: onnx.ModelProto, inputs: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    """Return a model's first output, computed by ONNX Runtime on the processor."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs: NDArray[np.float32] = session.run(None, dict(inputs))[0]
    return outputs
