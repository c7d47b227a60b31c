"""Face and points models of a few nodes, whose answers a test can tell in advance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

COMMON_KEYS = {"agepred.format": "1", "agepred.version": "0.0.1", "agepred.exact": "1", "agepred.record": "00"}
FACE_KEYS = COMMON_KEYS | {
    "agepred.task": "face",
    "agepred.face.min_score": "0.5",
    "agepred.face.smallest": "10",
    "agepred.face.largest": "256",
}
STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class PixelAt:
    """A pixel of each cell as a number, 0 to 1: its channel and its place within the cell."""

    channel: int
    row: int = 0
    column: int = 0


@dataclass(frozen=True)
class WiderThan:
    """1 for an input of more columns than that, else 0."""

    columns: int


Plane = float | PixelAt | WiderThan


class _Graph:
    """Nodes and constants that grow call by call."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        name = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, value: ArrayLike, kind: type = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def save(self, path: Path, image: list[object], outputs: Mapping[str, list[object]], keys: Mapping[str, str]):
        graph = helper.make_graph(
            self.nodes,
            "tiny",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, image)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, dict(keys))
        onnx.save(model, path)
        return path


def face_model(
    path: Path,
    *,
    score: Plane,
    box: Sequence[Plane] = (0.5, 0.5, 0.0, 0.0),
    points: Sequence[Plane] = (0.3, 0.3, 0.7, 0.3, 0.5, 0.5, 0.35, 0.7, 0.65, 0.7),
    stride: int = 8,
    keys: Mapping[str, str] = FACE_KEYS,
) -> Path:
    """A model that says the same of each cell of one stride, up to pixels; the other strides see nothing."""
    graph = _Graph()
    pixels = graph.node("Cast", "image", to=TensorProto.FLOAT)
    axes = graph.constant([1, 2, 3], np.int64)
    ends = graph.constant([2**31] * 3, np.int64)

    def sampled(pixel: PixelAt, step: int) -> str:
        starts = graph.constant([pixel.channel, pixel.row, pixel.column], np.int64)
        steps = graph.constant([3, step, step], np.int64)  # the third channel after this one is none
        picked = graph.node("Slice", pixels, starts, ends, axes, steps)
        return graph.node("Div", picked, graph.constant(255.0))

    def plane(what: Plane, step: int) -> str:
        if isinstance(what, PixelAt):
            return sampled(what, step)
        zeros = graph.node("Mul", sampled(PixelAt(0), step), graph.constant(0.0))
        if isinstance(what, WiderThan):
            shape = graph.node("Cast", graph.node("Shape", "image", start=3, end=4), to=TensorProto.FLOAT)
            beyond = graph.node("Sub", shape, graph.constant(float(what.columns)))
            return graph.node("Add", zeros, graph.node("Clip", beyond, graph.constant(0.0), graph.constant(1.0)))
        return graph.node("Add", zeros, graph.constant(what))

    outputs: dict[str, list[object]] = {}
    for step in STRIDES:
        for kind, planes in (("score", [score if step == stride else 0.0]), ("box", box), ("points", points)):
            name = f"{kind}_{step}"
            graph.node("Concat", *[plane(what, step) for what in planes], output=name, axis=1)
            outputs[name] = [1, len(planes), f"h_{step}", f"w_{step}"]
    return graph.save(path, [1, 3, "h", "w"], outputs, keys)


def points_keys(targets: ArrayLike) -> dict[str, str]:
    pairs = np.asarray(targets, float).reshape(5, 2)
    return COMMON_KEYS | {
        "agepred.task": "points",
        "agepred.crop.points": ";".join(f"{x:.5f},{y:.5f}" for x, y in pairs),
        "agepred.crop.detector": "a test's",
    }


def points_model(
    path: Path,
    answer: ArrayLike,
    *,
    targets: ArrayLike | None = None,
    side: int = 32,
    probes: Sequence[tuple[int, int, int]] = (),
    gain: float = 0.0,
    keys: Mapping[str, str] | None = None,
) -> Path:
    """A refiner that answers the same for each crop, plus gain times pixels (channel, row, column; 0 to 1), if any."""
    graph = _Graph()
    pixels = graph.node("Div", graph.node("Cast", "image", to=TensorProto.FLOAT), graph.constant(255.0))
    places = [(channel * side + row) * side + column for channel, row, column in (probes or [(0, 0, 0)] * 10)]
    seen = graph.node("Gather", graph.node("Flatten", pixels), graph.constant(places, np.int64), axis=1)
    shift = graph.node("Mul", seen, graph.constant(gain))
    graph.node("Add", shift, graph.constant(np.asarray(answer).reshape(1, 10)), output="points")
    keys = points_keys(answer if targets is None else targets) if keys is None else keys
    return graph.save(path, ["n", 3, side, side], {"points": ["n", 10]}, keys)
