"""Make an ONNX file smaller without changing what it computes: equal constants once, short names, no shapes."""

from collections.abc import Iterator

import onnx
from onnx import numpy_helper


def compact(model: onnx.ModelProto) -> None:
    """Shrink a model in place. Names of inputs, outputs and layers stay; those of tensors and quantizers do not.

    The constants are numbers in the file itself, and no node holds a graph of its own: none of ours does.

    A quantizer writes a zero point and two scales for every constant, under names that repeat the constant's: in a
    small network they were a good part of the file.
    """
    graph = model.graph
    fixed = {value.name for value in [*graph.input, *graph.output]} | {""}
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    replaced: dict[str, str] = {}
    for constant in list(graph.initializer):
        if constant.name in fixed:
            continue  # a default that callers may overrule, or an answer
        # By value: the same number may be written in two ways.
        content = (constant.data_type, tuple(constant.dims), numpy_helper.to_array(constant).tobytes())
        kept = first.setdefault(content, constant.name)
        if kept != constant.name:
            replaced[constant.name] = kept
            graph.initializer.remove(constant)
    short: dict[str, str] = {}
    names = _short_names(fixed)
    for name in _tensors(graph):
        kept = replaced.get(name, name)
        if kept not in fixed and kept not in short:
            short[kept] = next(names)
    for constant in graph.initializer:
        constant.name = short.get(constant.name, constant.name)
    for node in graph.node:
        for tensors in (node.input, node.output):
            for position, name in enumerate(tensors):
                kept = replaced.get(name, name)
                tensors[position] = short.get(kept, kept)
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.ClearField("name")
        node.ClearField("doc_string")
    del graph.value_info[:]


def _tensors(graph: onnx.GraphProto) -> Iterator[str]:
    for constant in graph.initializer:
        yield constant.name
    for node in graph.node:
        yield from node.input
        yield from node.output


def _short_names(taken: set[str]) -> Iterator[str]:
    """Yield a, b, ... z, aa, ab, ... without those taken."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    number = 0
    while True:
        name, rest = "", number
        while rest >= 0:
            name = letters[rest % 26] + name
            rest = rest // 26 - 1
        number += 1
        if name not in taken:
            yield name
