"""Write a trained refiner as an ONNX file, and that as an 8-bit one, after docs/model_contract.md."""

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from agepred_train.archive import DataError
from agepred_train.export import ExportError
from agepred_train.fit import RECORD
from agepred_train.graph import INPUT, GraphWriter, common_keys, read_model, run_model, write_model
from agepred_train.quantize import Quantization, quantize_graph
from agepred_train.refiner.network import PointsNetwork, crop_points
from agepred_train.refiner.train import load_trained_refiner

OUTPUT = "points"
PASSES = 1
"""Looks of the refiner at each face. A second one steadies the points further, and takes as long as the first."""

_TOLERANCE = 1e-4  # of the crop's side


def export_refiner(run: Path, out: Path, *, version: str, detector: str) -> Path:
    """Write the best network of a training run.

    Args:
        run: folder that `train_refiner` filled.
        out: the ONNX file; an old one is replaced only by a checked new one.
        version: of the model.
        detector: name and hash of the detector whose points it corrects.

    Returns:
        `out`.

    Raises:
        FileNotFoundError: the run lacks its checkpoint or its record: it is not finished.
        DataError: checkpoint or record are not what `train_refiner` writes.
        ExportError: file and network disagree.
    """
    record = (run / RECORD).read_bytes()
    network, recipe = load_trained_refiner(run)
    model = build_refiner_graph(network, recipe.crop_side)
    try:
        eyes = float(json.loads(record)["recipe"]["eyes"])
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{run / RECORD}: not a record of `train-refiner` ({error!r}); train again") from error
    keys = {
        **common_keys("points", version, record),
        "agepred.crop.points": ";".join(f"{x:.5f},{y:.5f}" for x, y in crop_points(eyes)),
        "agepred.crop.detector": detector,
        "agepred.points.passes": str(PASSES),
    }
    helper.set_model_props(model, keys)
    onnx.checker.check_model(model, full_check=True)
    crops = np.random.default_rng(0).integers(0, 256, (4, 3, recipe.crop_side, recipe.crop_side), np.uint8)
    with torch.inference_mode():
        expected = network(torch.from_numpy(crops)).numpy()
    difference = float(np.abs(run_model(model, {INPUT: crops}) - expected).max())
    if not difference <= _TOLERANCE:
        raise ExportError(f"{out}: points differ from the network's by {difference}; nothing was written")
    return write_model(model, out)


def build_refiner_graph(network: PointsNetwork, side: int) -> onnx.ModelProto:
    """Return the network as ONNX: uint8 `image` [N, 3, side, side] in, float32 `points` [N, 10] out."""
    writer = GraphWriter()
    features = writer.sequence(network.stem, writer.normalize(INPUT))
    enlarged = writer.enlarge(writer.sequence(network.coarse, features))
    last = network.fine[-1]
    assert isinstance(last, nn.Conv2d)
    maps = writer.conv(last, writer.sequence(network.fine[:-1], writer.node("Add", [features, enlarged])))
    shapes = {
        "maps_shape": np.array([0, 5, -1], np.int64),
        "points_shape": np.array([0, 10], np.int64),
    }
    writer.constants += [numpy_helper.from_array(shape, name) for name, shape in shapes.items()]
    likely = writer.node("Softmax", [writer.node("Reshape", [maps, "maps_shape"])], axis=2)
    means = writer.node("MatMul", [likely, writer.constant("places", network.places)])
    writer.node("Reshape", [means, "points_shape"], output=OUTPUT)
    return writer.model(
        "points",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", 3, side, side])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", 10])],
    )


def quantize_refiner(fp32: Path, out: Path, crops: NDArray[np.uint8], config: Quantization) -> Path:
    """Quantize a refiner with ranges from training crops, uint8 [n, 3, S, S]; maps and their means stay floats."""
    model = read_model(fp32)
    makers = {name: node for node in model.graph.node for name in node.output}
    maps = next(makers[node.input[0]] for node in model.graph.node if node.op_type == "Reshape")
    floats = [maps.name, *(node.name for node in model.graph.node if node.op_type in ("Reshape", "Softmax", "MatMul"))]
    quantized = quantize_graph(model, crops, config, floats=floats)
    return write_model(quantized, out)
