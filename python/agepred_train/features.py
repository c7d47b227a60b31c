"""The output `features` of an age model's file: the map before pooling, with which a device can explain an answer.

The map is there already; a file that names it as an output computes nothing more in fp32, and in int8 turns its
integers into floats. docs/model_contract.md says what the output is.
"""

import onnx
from onnx import TensorProto, helper

from agepred_train.archive import DataError
from agepred_train.cells import CellGrid

FEATURES = "features"

_REDUCTION = 32
"""By how much the map is smaller than the crop, rounded up."""


def feature_keys(grid: CellGrid) -> dict[str, str]:
    """Return the metadata that a file with the output must have."""
    return {"agepred.features.first": f"{grid.first:g}", "agepred.features.step": f"{grid.step:g}"}


def has_features(model: onnx.ModelProto) -> bool:
    """Tell whether a model has the output."""
    return any(output.name == FEATURES for output in model.graph.output)


def add_features(model: onnx.ModelProto, side: int) -> None:
    """Give a model of `build_graph` the output, or one that was quantized from it.

    Args:
        model: changed in place.
        side: of the crops that it takes, in pixels.

    Raises:
        DataError: the graph does not end with one global pooling.
    """
    graph = model.graph
    pools = [node for node in graph.node if node.op_type == "GlobalAveragePool"]
    makers = {value: node for node in graph.node for value in node.output}
    if len(pools) != 1 or has_features(model):
        raise DataError(
            "a graph gets the output `features` once, and must have one global pooling: use one of `export`"
        )
    (pool,) = pools
    maker = makers[pool.input[0]]
    if maker.op_type == "DequantizeLinear":
        # A reader of its own: what the runtime fuses with the pooling must not be an output.
        place = list(graph.node).index(maker) + 1
        reader = helper.make_node("DequantizeLinear", list(maker.input), [FEATURES], name=FEATURES)
        graph.node.insert(place, reader)
    else:
        _rename(graph, pool.input[0], FEATURES)
    cells = -(-side // _REDUCTION)
    graph.output.append(
        helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", _channels(graph), cells, cells])
    )


def without_features(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a float model that does not answer its features and has no such name; its metadata stays."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    kept = [output for output in model.graph.output if output.name != FEATURES]
    del result.graph.output[:]
    result.graph.output.extend(kept)
    _rename(result.graph, FEATURES, "last_map")
    return result


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == old:
                    names[position] = new


def _channels(graph: onnx.GraphProto) -> int:
    """Return how many channels the linear layer takes."""
    makers = {value: node for node in graph.node for value in node.output}
    constants = {constant.name: constant for constant in graph.initializer}
    weights = next(node for node in graph.node if node.op_type == "Gemm").input[1]
    if weights not in constants:
        weights = makers[weights].input[0]
    return int(constants[weights].dims[1])
