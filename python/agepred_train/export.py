"""Write a trained network as fp32.onnx: one file that keeps the contract of docs/model_contract.md.

The graph is written node by node in place of tracing: the result has the few operators that ONNX Runtime
fuses and quantizes well, stable names, and nothing else. Batch normalization is folded into the
convolutions. The file is compared with the network before it gets its name.
"""

import hashlib
import json
from collections.abc import Mapping
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

from agepred_edge import DEFAULT_POINTS
from agepred_train import recipes
from agepred_train.data import AGES, DataError
from agepred_train.model import PIXEL_SCALE, PIXEL_ZERO, AgeNetwork, InvertedResidual, read_checkpoint
from agepred_train.recipes import Recipe
from agepred_train.storage import replacing
from agepred_train.train import BEST_CHECKPOINT, RECORD

INPUT = "image"
OUTPUT = "logits"
GROUPS = ((0, 25), (26, 50), (51, 75), (76, 116))
INTERVAL_LEVEL = 0.8

# ONNX Runtime 1.17 and 1.18 read operator sets up to 20 and IR versions up to 9; 17 and 8 are of the
# same ONNX release and have all that is needed.
_OPSET = 17
_IR_VERSION = 8

# The largest difference of any logit that rounding in another order explains, with room to spare.
_LOGIT_TOLERANCE = 1e-3


class ExportError(RuntimeError):
    """The written graph does not compute what the network computes."""


def export(run: Path, out: Path, *, version: str) -> Path:
    """Write the best network of a training run.

    Args:
        run: folder that `train` filled; its record is named in the file by hash.
        out: the ONNX file; an old one is replaced only by a checked new one.
        version: of the model, such as "0.1.0".

    Returns:
        `out`.

    Raises:
        FileNotFoundError: the run lacks its checkpoint or its record: it is not finished.
        DataError: checkpoint or record are not what `train` writes.
        ExportError: file and network disagree by more than 1e-3 in some logit.
    """
    record = (run / RECORD).read_bytes()
    network, recipe = load_trained(run)
    model = build_graph(network, recipe.crop_side)
    helper.set_model_props(model, contract_keys(record, version))
    onnx.checker.check_model(model, full_check=True)
    difference = _largest_difference(model, network, recipe.crop_side)
    if not difference <= _LOGIT_TOLERANCE:
        raise ExportError(f"{out}: logits differ from the network's by {difference}; nothing was written")
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        temporary.write_bytes(model.SerializeToString())
    return out


def load_trained(run: Path) -> tuple[AgeNetwork, Recipe]:
    """Return the network with the averaged weights of a run's best epoch, in evaluation mode.

    Raises:
        FileNotFoundError: the run has no checkpoint.
        DataError: the checkpoint is not one that `train` writes.
    """
    path = run / BEST_CHECKPOINT
    checkpoint = read_checkpoint(path)
    try:
        recipe = recipes.from_dict(checkpoint["hyper_parameters"]["recipe"])
        network = AgeNetwork(width=recipe.width, dropout=recipe.dropout)
        state = checkpoint["state_dict"]
        network.load_state_dict({name.removeprefix("network."): value for name, value in state.items()})
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise DataError(f"{path}: not a checkpoint of `train` ({error!r}); train again") from error
    return network.eval(), recipe


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


def contract_keys(record: bytes, version: str) -> dict[str, str]:
    """Return the metadata of an age model from the bytes of its training record.

    Raises:
        DataError: the record is not one that `train` writes.
    """
    try:
        detector = json.loads(record)["detector"]
        crop_detector = f"{detector['name']} sha256:{detector['sha256']}"
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{RECORD}: not a record of `train` ({error!r}); train again") from error
    return {
        "agepred.format": "1",
        "agepred.task": "age",
        "agepred.version": version,
        # Nothing in a float file is an integer sum, so nothing can saturate.
        "agepred.exact": "1",
        "agepred.record": hashlib.sha256(record).hexdigest(),
        "agepred.crop.points": ";".join(f"{x:.5f},{y:.5f}" for x, y in DEFAULT_POINTS),
        "agepred.crop.detector": crop_detector,
        "agepred.age.first": str(AGES.start),
        "agepred.temperature": "1.0",
        "agepred.interval.level": str(INTERVAL_LEVEL),
        "agepred.groups": ",".join(f"{low}-{high}" for low, high in GROUPS),
    }


def read_keys(model: onnx.ModelProto) -> dict[str, str]:
    """Return the metadata of a model."""
    return {entry.key: entry.value for entry in model.metadata_props}


def build_graph(network: AgeNetwork, side: int) -> onnx.ModelProto:
    """Return the network as ONNX: uint8 `image` [N, 3, side, side] in, float32 `logits` [N, K] out."""
    writer = _GraphWriter()
    features = writer.normalize(INPUT)
    for block in network.features:
        features = writer.block(block, features)
    linear = network.classifier[1]
    assert isinstance(linear, nn.Linear)
    writer.head(linear, features)
    graph = helper.make_graph(
        writer.nodes,
        "age",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", 3, side, side])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", linear.out_features])],
        writer.constants,
    )
    opset = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION, producer_name="agepred")


class _GraphWriter:
    """Grows a graph layer by layer; each method takes and returns the name of a tensor."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def normalize(self, image: str) -> str:
        pixels = self._node("Cast", [image], to=TensorProto.FLOAT)
        centered = self._node("Sub", [pixels, self._constant("pixel_zero", PIXEL_ZERO)])
        return self._node("Mul", [centered, self._constant("pixel_scale", PIXEL_SCALE)])

    def block(self, block: nn.Module, inputs: str) -> str:
        if isinstance(block, InvertedResidual):
            outputs = self._sequence(_layers(block.conv), inputs)
            return self._node("Add", [inputs, outputs]) if block.adds_input else outputs
        return self._sequence(_layers(block), inputs)

    def head(self, linear: nn.Linear, features: str) -> None:
        pooled = self._node("Flatten", [self._node("GlobalAveragePool", [features])], axis=1)
        weights = [self._constant("head.weight", linear.weight), self._constant("head.bias", linear.bias)]
        self.nodes.append(helper.make_node("Gemm", [pooled, *weights], [OUTPUT], name="head", transB=1))

    def _sequence(self, layers: list[nn.Module], value: str) -> str:
        for layer, following in zip(layers, [*layers[1:], None], strict=True):
            if isinstance(layer, nn.Conv2d):
                assert isinstance(following, nn.BatchNorm2d)
                value = self._conv(fuse_conv_bn_eval(layer, following), value)
            elif isinstance(layer, nn.ReLU6):
                limits = [self._constant("relu6.min", 0.0), self._constant("relu6.max", 6.0)]
                value = self._node("Clip", [value, *limits])
        return value

    def _conv(self, conv: nn.Conv2d, inputs: str) -> str:
        assert conv.bias is not None
        name = f"conv{sum(node.op_type == 'Conv' for node in self.nodes)}"
        weight = self._constant(f"{name}.weight", conv.weight)
        bias = self._constant(f"{name}.bias", conv.bias)
        padding = [int(amount) for amount in conv.padding]
        return self._node(
            "Conv",
            [inputs, weight, bias],
            kernel_shape=list(conv.kernel_size),
            strides=list(conv.stride),
            pads=padding * 2,
            group=conv.groups,
        )

    def _node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{kind.lower()}{sum(node.op_type == kind for node in self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def _constant(self, name: str, value: torch.Tensor | float) -> str:
        array = torch.as_tensor(value, dtype=torch.float32).detach().cpu().contiguous().numpy()
        if all(constant.name != name for constant in self.constants):
            self.constants.append(numpy_helper.from_array(array, name))
        return name


def _layers(module: nn.Module) -> list[nn.Module]:
    """Return the leaves of nested sequences in the order of their use."""
    return [leaf for leaf in module.modules() if not isinstance(leaf, nn.Sequential)]


def _largest_difference(model: onnx.ModelProto, network: AgeNetwork, side: int) -> float:
    """Return the largest difference of any logit between file and network on noise and flat crops."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (4, 3, side, side), dtype=np.uint8)
    flat = np.repeat(np.array([0, 128, 255], np.uint8), 3 * side * side).reshape(3, 3, side, side)
    crops = np.concatenate([noise, flat])
    with torch.inference_mode():
        expected = network(torch.from_numpy(crops)).numpy()
    return float(np.abs(run_model(model, {INPUT: crops}) - expected).max())


def run_model(model: onnx.ModelProto, inputs: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    """Return a model's first output, computed by ONNX Runtime on the processor."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs: NDArray[np.float32] = session.run(None, dict(inputs))[0]
    return outputs
