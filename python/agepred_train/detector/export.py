"""Write a trained detector as fp32.onnx, and fp32.onnx as int8.onnx, after docs/model_contract.md."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from agepred_train.archive import DataError
from agepred_train.detector.network import STRIDES, FaceNetwork
from agepred_train.detector.train import load_trained_detector
from agepred_train.equalization import equalize
from agepred_train.export import ExportError
from agepred_train.fit import RECORD
from agepred_train.graph import INPUT, GraphWriter, Pictures, common_keys, read_model, write_model
from agepred_train.quantize import Quantization, quantize_graph

# Of a score. What lies below is no face, whatever its box says.
_POSSIBLE = 0.02

_WIDTH = 16
"""Channels of a prediction in the file: the 15 that mean something, and a spare one."""

KINDS = (("score", 1), ("box", 4), ("points", 10))
"""Outputs of each stride and their channels."""
SMALLEST, LARGEST = 12, 160
"""Sides in pixels of the input between which a face is found well; a larger one is looked at from further away."""

_TOLERANCE = 2e-3


def export_detector(run: Path, out: Path, *, version: str, min_score: float) -> Path:
    """Write the best network of a training run.

    Args:
        run: folder that `train_detector` filled.
        out: the ONNX file; an old one is replaced only by a checked new one.
        version: of the model.
        min_score: score from which a box is called a face, fixed on validation data.

    Returns:
        `out`.

    Raises:
        FileNotFoundError: the run lacks its checkpoint or its record: it is not finished.
        DataError: checkpoint or record are not what `train_detector` writes.
        ExportError: file and network disagree.
    """
    record = (run / RECORD).read_bytes()
    network, _ = load_trained_detector(run)
    model = build_detector_graph(network)
    helper.set_model_props(model, detector_keys(record, version, min_score))
    onnx.checker.check_model(model, full_check=True)
    difference = largest_difference(model, network)
    if not difference <= _TOLERANCE:
        raise ExportError(f"{out}: answers differ from the network's by {difference}; nothing was written")
    return write_model(model, out)


def detector_keys(record: bytes, version: str, min_score: float) -> dict[str, str]:
    """Return the metadata of a face model from the bytes of its training record.

    Raises:
        DataError: the record is not one that `train_detector` writes.
    """
    try:
        json.loads(record)["recipe"]["body"]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{RECORD}: not a record of `train-detector` ({error!r}); train again") from error
    return {
        **common_keys("face", version, record),
        "agepred.face.min_score": f"{min_score:.3f}",
        "agepred.face.smallest": str(SMALLEST),
        "agepred.face.largest": str(LARGEST),
    }


def build_detector_graph(network: FaceNetwork) -> onnx.ModelProto:
    """Return the network as ONNX: uint8 `image` [1, 3, H, W] in; `score_s`, `box_s`, `points_s` out, s = 8, 16, 32."""
    writer = GraphWriter()
    features = writer.sequence(network.stem, writer.normalize(INPUT))
    trunk, body = network.trunk, network.widths.body
    maps = []
    for stage in trunk.stages:
        features = writer.sequence(stage, features)
        maps.append(features)
    maps[-1] = writer.sequence(trunk.merges[-1], maps[-1])
    for finer in (1, 0):
        merged = writer.add_enlarged(maps[finer], maps[finer + 1], body)
        maps[finer] = writer.sequence(trunk.merges[finer], merged)
    counts = [count for _, count in KINDS]
    parts = numpy_helper.from_array(np.array([*counts, _WIDTH - sum(counts)], np.int64), "parts")
    writer.constants.append(parts)
    outputs = []
    for stride, branch, head, merged in zip(STRIDES, trunk.branches, network.heads, maps, strict=True):
        prediction = writer.sequence(_widened(head), writer.sequence(branch, merged))
        names = [f"score_{stride}", f"box_{stride}", f"points_{stride}"]
        logit = f"logit_{stride}"
        writer.nodes.append(
            helper.make_node(
                "Split",
                [prediction, parts.name],
                [logit, *names[1:], f"spare_{stride}"],
                name=f"split_{stride}",
                axis=1,
            )
        )
        writer.node("Sigmoid", [logit], output=names[0])
        outputs += [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count, f"H/{stride}", f"W/{stride}"])
            for name, (_, count) in zip(names, KINDS, strict=True)
        ]
    return writer.model("face", [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [1, 3, "H", "W"])], outputs)


def _widened(head: nn.Module) -> nn.Sequential:
    """Return a head with a spare channel of zeros: sixteen go through a depthwise convolution sooner than fifteen."""
    pointwise, depthwise = head.children()
    assert isinstance(pointwise, nn.Conv2d)
    assert isinstance(depthwise, nn.Conv2d)
    wide = nn.Sequential(nn.Conv2d(pointwise.in_channels, _WIDTH, 1), nn.Conv2d(_WIDTH, _WIDTH, 3, 1, 1, groups=_WIDTH))
    with torch.no_grad():
        for name, values in wide.state_dict().items():
            known = head.state_dict()[name]
            values.zero_()
            values[: len(known)] = known
    return wide


def quantize_detector(fp32: Path, out: Path, scenes: Pictures, config: Quantization) -> Path:
    """Quantize a detector with ranges from training scenes, each uint8 [3, H, W].

    The last layers are integers too: what follows them is arithmetic on single numbers, the same on every processor.
    """
    model = read_model(fp32)
    equalize(model, scenes)
    floats = [node.name for node in model.graph.node if node.op_type in ("Split", "Sigmoid")]
    bounds = _reaches_at_faces(model, scenes)
    return write_model(quantize_graph(model, scenes, config, floats=floats, bounds=bounds), out)


def _reaches_at_faces(model: onnx.ModelProto, scenes: Pictures) -> dict[str, float]:
    """Return for each stride's prediction, by its tensor, how far from 0 any channel goes where a face may be.

    What a cell says where no face is does not matter: it may be cut off.
    """
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    tensors = [node.input[0] for node in model.graph.node if node.op_type == "Split"]
    at_faces, anywhere = dict.fromkeys(tensors, 0.0), dict.fromkeys(tensors, 0.0)
    for scene in scenes:
        answers = iter(session.run(None, {INPUT: scene[None]}))
        for tensor in tensors:
            cells = np.concatenate([next(answers) for _ in KINDS], axis=1)[0].reshape(
                sum(count for _, count in KINDS), -1
            )
            possible = cells[0] >= _POSSIBLE
            score = np.clip(cells[0], 1e-6, 1 - 1e-6)  # a very sure sigmoid is 1 to the last bit
            cells[0] = np.log(score / (1 - score))
            at_faces[tensor] = max(at_faces[tensor], float(np.abs(cells[:, possible]).max(initial=0.0)))
            anywhere[tensor] = max(anywhere[tensor], float(np.abs(cells).max()))
    return {tensor: reach or anywhere[tensor] for tensor, reach in at_faces.items()}


def largest_difference(model: onnx.ModelProto, network: FaceNetwork) -> float:
    """Return the largest difference of any number between file and network on noise of two sizes."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    worst = 0.0
    for height, width in ((96, 160), (64, 64)):
        pixels = np.random.default_rng(height).integers(0, 256, (1, 3, height, width), np.uint8)
        with torch.inference_mode():
            expected = [output.numpy().copy() for output in network(torch.from_numpy(pixels))]
        answers = session.run(None, {INPUT: pixels})
        for prediction, stride_answers in zip(expected, zip(*[iter(answers)] * 3, strict=True), strict=True):
            prediction[:, :1] = 1 / (1 + np.exp(-prediction[:, :1]))
            worst = max(worst, float(np.abs(np.concatenate(stride_answers, axis=1) - prediction).max()))
    return worst
