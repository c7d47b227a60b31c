"""Write a trained detector as fp32.onnx, and fp32.onnx as int8.onnx, after docs/model_contract.md."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import nn

from agepred_train.archive import DataError
from agepred_train.detector.network import BOX, POINTS, SCORE, STRIDES, FaceNetwork
from agepred_train.detector.train import load_trained_detector
from agepred_train.export import ExportError
from agepred_train.fit import RECORD
from agepred_train.graph import INPUT, GraphWriter, common_keys, read_model, write_model
from agepred_train.quantize import Quantization, quantize_graph

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
    trunk = network.trunk
    maps = []
    for stage in trunk.stages:
        features = writer.sequence(stage, features)
        maps.append(features)
    maps[-1] = writer.sequence(trunk.merges[-1], maps[-1])
    for finer in (1, 0):
        enlarged = writer.enlarge(maps[finer + 1])
        maps[finer] = writer.sequence(trunk.merges[finer], writer.node("Add", [maps[finer], enlarged]))
    outputs = []
    for stride, branch, head, merged in zip(STRIDES, trunk.branches, network.heads, maps, strict=True):
        assert isinstance(head, nn.Conv2d)
        features = writer.sequence(branch, merged)
        # A convolution a kind: in 8 bits each has a range of its own.
        logit = writer.conv(_channels(head, SCORE), features)
        writer.node("Sigmoid", [logit], output=f"score_{stride}")
        writer.conv(_channels(head, BOX), features, output=f"box_{stride}")
        writer.conv(_channels(head, POINTS), features, output=f"points_{stride}")
        outputs += [
            helper.make_tensor_value_info(
                f"{kind}_{stride}", TensorProto.FLOAT, [1, count, f"H/{stride}", f"W/{stride}"]
            )
            for kind, count in KINDS
        ]
    return writer.model("face", [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [1, 3, "H", "W"])], outputs)


def _channels(head: nn.Conv2d, channels: slice) -> nn.Conv2d:
    """Return the convolution that answers some of another's channels."""
    assert head.bias is not None
    count = channels.stop - channels.start
    part = nn.Conv2d(head.in_channels, count, 1)
    part.weight = nn.Parameter(head.weight[channels])
    part.bias = nn.Parameter(head.bias[channels])
    return part


def quantize_detector(fp32: Path, out: Path, scenes: NDArray[np.uint8], config: Quantization) -> Path:
    """Quantize a detector with ranges from training scenes, uint8 [n, 3, H, W]; only the sigmoid stays in floats.

    The last layers too: what follows them then is one multiplication, the same on every processor. Their steps, a
    twentieth of a stride, are finer than a refiner needs.
    """
    model = read_model(fp32)
    floats = [node.name for node in model.graph.node if node.op_type == "Sigmoid"]
    _set_batch(model, None)  # the ranges are found with several pictures at once
    quantized = quantize_graph(model, scenes, config, floats=floats)
    _set_batch(quantized, 1)
    return write_model(quantized, out)


def _set_batch(model: onnx.ModelProto, count: int | None) -> None:
    for value in [*model.graph.input, *model.graph.output]:
        first = value.type.tensor_type.shape.dim[0]
        if count is None:
            first.dim_param = "N"
        else:
            first.dim_value = count


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
