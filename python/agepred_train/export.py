"""Write a trained network as fp32.onnx: one file that keeps the contract of docs/model_contract.md.

Batch normalization is folded into the convolutions. The file is compared with the network before it gets its name.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import nn

from agepred_edge import DEFAULT_POINTS
from agepred_train.archive import DataError
from agepred_train.cells import cell_grid
from agepred_train.data import AGES, GROUPS
from agepred_train.features import add_features, feature_keys
from agepred_train.fit import RECORD
from agepred_train.graph import INPUT, GraphWriter, common_keys, run_model, write_model
from agepred_train.model import AgeNetwork, InvertedResidual
from agepred_train.network import load_run
from agepred_train.recipes import Recipe

OUTPUT = "logits"
INTERVAL_LEVEL = 0.8

# The largest difference of any logit that rounding in another order explains, with room to spare.
_LOGIT_TOLERANCE = 1e-3


class ExportError(RuntimeError):
    """The written graph does not compute what the network computes."""


def export(run: Path, out: Path, *, version: str, features: bool = True) -> Path:
    """Write the best network of a training run.

    Args:
        run: folder that `train` filled; its record is named in the file by hash.
        out: the ONNX file; an old one is replaced only by a checked new one.
        version: of the model, such as "0.1.0".
        features: whether the file gets the output `features`, with which it can explain its answers.

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
    keys = contract_keys(record, version)
    if features:
        add_features(model, recipe.crop_side)
        keys |= feature_keys(cell_grid(network, recipe.crop_side))
    helper.set_model_props(model, keys)
    onnx.checker.check_model(model, full_check=True)
    difference = _largest_difference(model, network, recipe.crop_side)
    if not difference <= _LOGIT_TOLERANCE:
        raise ExportError(f"{out}: logits differ from the network's by {difference}; nothing was written")
    return write_model(model, out)


def load_trained(run: Path) -> tuple[AgeNetwork, Recipe]:
    """Return the network with the averaged weights of a run's best epoch, in evaluation mode.

    Raises:
        FileNotFoundError: the run has no checkpoint.
        DataError: the checkpoint is not one that `train` writes, or of a network that no model file can hold.
    """
    network, recipe = load_run(run)
    if not isinstance(network, AgeNetwork):
        raise DataError(
            f"{run}: {recipe.backbone} with the head {recipe.head}; model files hold a mobilenet_v2 that answers "
            "with a distribution over ages, without hidden layers and with signed pixels: train such a one"
        )
    return network, recipe


def contract_keys(record: bytes, version: str) -> dict[str, str]:
    """Return the metadata of an age model from the bytes of its training record.

    Raises:
        DataError: the record is not one that `train` writes.
    """
    try:
        detector = json.loads(record)["detector"]
        crop_detector = f"{detector['name']} sha256:{detector['sha256']}"
        if detector["points_sha256"]:
            crop_detector += f" points sha256:{detector['points_sha256']}"
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{RECORD}: not a record of `train` ({error!r}); train again") from error
    return {
        **common_keys("age", version, record),
        "agepred.crop.points": ";".join(f"{x:.5f},{y:.5f}" for x, y in DEFAULT_POINTS),
        "agepred.crop.detector": crop_detector,
        "agepred.age.first": str(AGES.start),
        "agepred.temperature": "1.0",
        "agepred.interval.level": str(INTERVAL_LEVEL),
        "agepred.groups": ",".join(f"{low}-{high}" for low, high in GROUPS),
    }


def build_graph(network: AgeNetwork, side: int) -> onnx.ModelProto:
    """Return the network as ONNX: uint8 `image` [N, 3, side, side] in, float32 `logits` [N, K] out."""
    writer = GraphWriter()
    features = writer.normalize(INPUT)
    for block in network.features:
        if isinstance(block, InvertedResidual):
            outputs = writer.sequence(block.conv, features)
            features = writer.node("Add", [features, outputs]) if block.adds_input else outputs
        else:
            features = writer.sequence(block, features)
    linear = network.classifier[1]
    assert isinstance(linear, nn.Linear)
    writer.pooled_linear(linear, features, OUTPUT)
    return writer.model(
        "age",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", 3, side, side])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", linear.out_features])],
    )


def _largest_difference(model: onnx.ModelProto, network: AgeNetwork, side: int) -> float:
    """Return the largest difference of any logit between file and network on noise and flat crops."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (4, 3, side, side), dtype=np.uint8)
    flat = np.repeat(np.array([0, 128, 255], np.uint8), 3 * side * side).reshape(3, 3, side, side)
    crops = np.concatenate([noise, flat])
    with torch.inference_mode():
        expected = network(torch.from_numpy(crops)).numpy()
    return float(np.abs(run_model(model, {INPUT: crops}) - expected).max())
