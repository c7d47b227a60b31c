"""Rebuilds the network of an exported fp32 age model in PyTorch, from the file's own weights.

The result is a torch.fx module whose forward is straight-line code over nn.Conv2d, nn.ReLU6, nn.Linear
and tensor operations, as a hand-written module would run it: a peer to measure libagepred against. It
covers what agepred's exported models contain and refuses anything else. Needs torch and onnx.
"""

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import fx, nn

from agepred_edge.errors import ModelError

_DTYPES = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.UINT8: torch.uint8,
    onnx.TensorProto.INT64: torch.int64,
}
_ELEMENTWISE: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": operator.truediv,
}


class PeerError(ModelError):
    """A model file that cannot be rebuilt in PyTorch; the message names file and cause."""


def load_peer(path: Path, *, channels_last: bool = False) -> fx.GraphModule:
    """Rebuilds the network of an ONNX file, in evaluation mode.

    The module takes uint8 [N, 3, S, S] and returns float32 logits [N, K]. channels_last stores the
    weights of convolutions in that memory layout; the input should then have it too.
    Raises OSError if the file cannot be read and PeerError if it cannot be rebuilt.
    """
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError:
        raise
    except Exception as error:  # protobuf's own exception, not public under a stable name
        raise PeerError(f"{path}: not an ONNX file: {error}") from error
    try:
        module = _Rebuild(model.graph).finish("logits")
    except PeerError as error:
        raise PeerError(f"{path}: cannot be rebuilt in PyTorch: {error}") from error
    if channels_last:
        # torch annotates Module.to's overload for memory_format as returning Any.
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module.eval()


class _Rebuild:
    """One walk over an ONNX graph, operator by operator, that grows an fx graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._modules = nn.Module()
        self._graph = fx.Graph()
        self._constants = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
        self._values: dict[str, fx.Node] = {}
        for value in graph.input:
            if value.name not in self._constants:
                self._values[value.name] = self._graph.placeholder(value.name)
        for node in graph.node:
            self._add(node)

    def finish(self, output: str) -> fx.GraphModule:
        if output not in self._values:
            raise PeerError(f"it has no output '{output}'")
        self._graph.output(self._values[output])
        module = fx.GraphModule(self._modules, self._graph)
        module.graph.eliminate_dead_code()
        _work_in_place(module)
        module.recompile()
        return module

    def _add(self, node: onnx.NodeProto) -> None:
        build = getattr(self, f"_add_{node.op_type.lower()}", None)
        if node.op_type == "Constant":
            self._constants[node.output[0]] = _only_tensor(node)
        elif node.op_type in _ELEMENTWISE:
            operands = (self._operand(node.input[0]), self._operand(node.input[1]))
            self._function(node, _ELEMENTWISE[node.op_type], *operands)
        elif node.domain in ("", "ai.onnx") and build is not None:
            build(node, _attributes(node))
        else:
            raise PeerError(f"unknown operator {node.op_type} (node '{node.name}')")

    def _function(self, node: onnx.NodeProto, function: Callable[..., Any], *operands: Any, **named: Any) -> None:
        self._values[node.output[0]] = self._graph.call_function(function, operands, named)

    def _module(self, node: onnx.NodeProto, module: nn.Module) -> None:
        name = f"{node.op_type.lower()}_{len(self._values)}"
        self._modules.add_module(name, module)
        self._values[node.output[0]] = self._graph.call_module(name, (self._value(node.input[0]),))

    def _value(self, name: str) -> fx.Node:
        if name not in self._values:
            raise PeerError(f"'{name}' is a constant where the output of another operator is expected")
        return self._values[name]

    def _constant(self, node: onnx.NodeProto, index: int) -> NDArray[Any] | None:
        """The constant that is an operator's input at index, None where the input is left out."""
        if index >= len(node.input) or not node.input[index]:
            return None
        if node.input[index] not in self._constants:
            raise PeerError(f"input {index} of {node.op_type} (node '{node.name}') is not a constant")
        return self._constants[node.input[index]]

    def _weight(self, node: onnx.NodeProto) -> NDArray[Any]:
        weight = self._constant(node, 1)
        if weight is None:
            raise PeerError(f"{node.op_type} (node '{node.name}') has no weights")
        return weight

    def _operand(self, name: str) -> fx.Node | float:
        if name not in self._constants:
            return self._value(name)
        constant = self._constants[name]
        if constant.size == 1:
            return float(constant.item())
        buffer = f"constant_{len(self._values)}_{len(self._graph.nodes)}"
        self._modules.register_buffer(buffer, torch.from_numpy(constant.copy()))
        return self._graph.get_attr(buffer)

    def _add_cast(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        if attributes["to"] not in _DTYPES:
            raise PeerError(f"Cast to {onnx.TensorProto.DataType.Name(attributes['to'])}")
        self._values[node.output[0]] = self._graph.call_method(
            "to", (self._value(node.input[0]), _DTYPES[attributes["to"]])
        )

    def _add_identity(self, node: onnx.NodeProto, _: dict[str, Any]) -> None:
        if node.input[0] in self._constants:
            self._constants[node.output[0]] = self._constants[node.input[0]]
        else:
            self._values[node.output[0]] = self._value(node.input[0])

    def _add_conv(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        weight, bias = self._weight(node), self._constant(node, 2)
        pads = attributes.get("pads", [0] * 4)
        if weight.ndim != 4 or pads[:2] != pads[2:] or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
            raise PeerError(f"Conv (node '{node.name}') is not 2-D with symmetric padding")
        groups = attributes.get("group", 1)
        conv = nn.Conv2d(
            weight.shape[1] * groups,
            weight.shape[0],
            (weight.shape[2], weight.shape[3]),
            stride=tuple(attributes.get("strides", [1, 1])),
            padding=tuple(pads[:2]),
            dilation=tuple(attributes.get("dilations", [1, 1])),
            groups=groups,
            bias=bias is not None,
        )
        self._module(node, _with_weights(conv, weight, bias))

    def _add_gemm(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        plain = attributes.get("alpha", 1.0) == 1.0 and attributes.get("beta", 1.0) == 1.0
        if not plain or attributes.get("transA", 0):
            raise PeerError(f"Gemm (node '{node.name}') scales or transposes its input")
        weight, bias = self._weight(node), self._constant(node, 2)
        weight = weight if attributes.get("transB", 0) else weight.T
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
        self._module(node, _with_weights(linear, weight, bias))

    def _add_matmul(self, node: onnx.NodeProto, _: dict[str, Any]) -> None:
        weight = self._weight(node).T
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        self._module(node, _with_weights(linear, weight, None))

    def _add_clip(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        low = _scalar(self._constant(node, 1), attributes.get("min", -float("inf")))
        high = _scalar(self._constant(node, 2), attributes.get("max", float("inf")))
        self._module(node, nn.ReLU6() if (low, high) == (0.0, 6.0) else nn.Hardtanh(low, high))

    def _add_relu(self, node: onnx.NodeProto, _: dict[str, Any]) -> None:
        self._module(node, nn.ReLU())

    def _add_globalaveragepool(self, node: onnx.NodeProto, _: dict[str, Any]) -> None:
        self._function(node, torch.mean, self._value(node.input[0]), [2, 3], keepdim=True)

    def _add_reducemean(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        constant = self._constant(node, 1)
        axes = attributes.get("axes") if constant is None else constant.tolist()
        if not axes:
            raise PeerError(f"ReduceMean (node '{node.name}') names no axes")
        keepdim = bool(attributes.get("keepdims", 1))
        self._function(node, torch.mean, self._value(node.input[0]), axes, keepdim=keepdim)

    def _add_flatten(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        if attributes.get("axis", 1) != 1:
            raise PeerError(f"Flatten (node '{node.name}') keeps more than the first axis")
        self._function(node, torch.flatten, self._value(node.input[0]), 1)

    def _add_reshape(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        shape = self._constant(node, 1)
        if shape is None or attributes.get("allowzero", 0) or shape.size != 2 or shape[0] not in (0, -1):
            raise PeerError(f"Reshape (node '{node.name}') does more than flatten")
        self._function(node, torch.flatten, self._value(node.input[0]), 1)


def _work_in_place(module: fx.GraphModule) -> None:
    """Lets activations overwrite what nobody else reads, as torchvision's networks do."""
    for node in module.graph.nodes:
        if node.op == "call_module":
            activation, source = module.get_submodule(str(node.target)), node.args[0]
            if isinstance(activation, nn.Hardtanh | nn.ReLU):
                activation.inplace = source.op == "call_module" and len(source.users) == 1


def _with_weights(module: nn.Module, weight: NDArray[Any], bias: NDArray[Any] | None) -> nn.Module:
    arrays = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    # Copied, since arrays read from the file are views of its bytes and may not be written.
    module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
    return module.requires_grad_(False)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _only_tensor(node: onnx.NodeProto) -> NDArray[Any]:
    value = _attributes(node).get("value")
    if not isinstance(value, onnx.TensorProto):
        raise PeerError(f"Constant (node '{node.name}') is not a tensor")
    return numpy_helper.to_array(value)


def _scalar(value: NDArray[Any] | None, default: float) -> float:
    return default if value is None else float(value.item())


def read_temperature(path: Path) -> float:
    """By what the file says to divide its logits before the softmax; 1.0 where it says nothing."""
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return float(entries.get("agepred.temperature", "1.0"))
