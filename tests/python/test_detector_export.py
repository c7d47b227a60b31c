"""The detector's files: they compute what the network computes and say what the contract asks for."""

import dataclasses
import hashlib
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper
from tiny_set import crops

from agepred_edge import FaceDetector
from agepred_train.archive import DataError
from agepred_train.detector import recipe as recipes
from agepred_train.detector.export import detector_keys, export_detector, quantize_detector
from agepred_train.detector.network import STRIDES
from agepred_train.detector.train import load_trained_detector, make_network
from agepred_train.graph import read_keys
from agepred_train.quantize import Quantization, weights_are_exact

SIDE = 64


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder as training leaves it, around a small random network with settled statistics."""
    folder, recipe = tmp_path_factory.mktemp("run"), recipes.smoke()
    torch.manual_seed(0)
    network = make_network(recipe).train()
    with torch.no_grad():
        for start in range(0, 64, 16):
            network(torch.from_numpy(crops(16, SIDE, start)))
        for head in network.heads:
            head[0].weight.mul_(20)
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    hyper_parameters = {"recipe": dataclasses.asdict(recipe)}
    torch.save({"state_dict": state, "hyper_parameters": hyper_parameters}, folder / "best.ckpt")
    (folder / "record.json").write_text(json.dumps(hyper_parameters))
    return folder


@pytest.fixture(scope="module")
def fp32(run):
    return export_detector(run, run / "fp32.onnx", version="0.1.0", min_score=0.55)


@pytest.fixture(scope="module")
def int8(run, fp32):
    return quantize_detector(fp32, run / "int8.onnx", crops(32, SIDE, 300), Quantization(crops=32))


def answers(path, pixels):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"image": pixels}), strict=True))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160)])
def test_fp32_is_the_network(run, fp32, height, width):
    network, _ = load_trained_detector(run)
    pixels = np.random.default_rng(1).integers(0, 256, (1, 3, height, width), np.uint8)
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels))
    found = answers(fp32, pixels)
    for stride, output in zip(STRIDES, expected, strict=True):
        np.testing.assert_allclose(found[f"score_{stride}"], output[:, :1].sigmoid(), atol=1e-4)
        np.testing.assert_allclose(found[f"box_{stride}"], output[:, 1:5], atol=2e-3)
        np.testing.assert_allclose(found[f"points_{stride}"], output[:, 5:], atol=2e-3)


@pytest.mark.parametrize("name", ["fp32", "int8"])
def test_inputs_and_outputs_are_the_contracts(name, request):
    model = onnx.load(request.getfixturevalue(name))
    (image,) = model.graph.input
    shape = [dim.dim_param or dim.dim_value for dim in image.type.tensor_type.shape.dim]
    assert (image.name, image.type.tensor_type.elem_type, shape[:2]) == ("image", TensorProto.UINT8, [1, 3])
    assert all(isinstance(side, str) for side in shape[2:])
    found = {
        output.name: [dim.dim_param or dim.dim_value for dim in output.type.tensor_type.shape.dim]
        for output in model.graph.output
    }
    channels = {"score": 1, "box": 4, "points": 10}
    assert list(found) == [f"{kind}_{stride}" for stride in STRIDES for kind in channels]
    for output, sides in found.items():
        assert sides[:2] == [1, channels[output.partition("_")[0]]]
    assert all(output.type.tensor_type.elem_type == TensorProto.FLOAT for output in model.graph.output)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert model.ir_version <= 9
    assert not any(constant.external_data for constant in model.graph.initializer)


def test_all_layers_are_integers_and_none_can_saturate(int8):
    """What follows the last sums is one multiplication, and the score's sigmoid."""
    model = onnx.load(int8)
    assert weights_are_exact(model)
    constants = {constant.name: constant for constant in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 3 + 2 * 15 + 2 * 3
    for node in convolutions:
        quantized = constants[makers[node.input[1]].input[0]]
        assert quantized.data_type == TensorProto.INT8
        assert np.abs(numpy_helper.to_array(quantized).astype(int)).max() <= 64
    for split in (node for node in model.graph.node if node.op_type == "Split"):
        behind = [split]
        while behind[-1].op_type != "Conv":
            behind.append(makers[behind[-1].input[0]])
        assert [node.op_type for node in behind] == ["Split", "DequantizeLinear", "QuantizeLinear", "Conv"]
    assert {node.op_type for node in model.graph.node} == {
        "Conv", "MaxPool", "Add", "Concat", "Split", "Sigmoid", "Pad", "Transpose", "Reshape",
        "QuantizeLinear", "DequantizeLinear",
    }  # fmt: skip


def test_int8_answers_almost_as_fp32(fp32, int8):
    """Where a face may be: elsewhere the numbers may be cut off."""
    compared = 0
    for start in range(900, 916):
        pixels = crops(1, SIDE, start)
        one, other = answers(fp32, pixels), answers(int8, pixels)
        for name, expected in one.items():
            possible = np.broadcast_to(one[f"score_{name.partition('_')[2]}"] >= 0.02, expected.shape)
            if possible.sum() > 20:
                spread = max(float(np.std(expected[possible])), 0.05)
                assert np.abs(other[name] - expected)[possible].mean() < 0.3 * spread, name
                compared += 1
    assert compared > 20


@pytest.mark.parametrize("name", ["fp32", "int8"])
def test_core_loads_it(name, request):
    picture = np.ascontiguousarray(crops(1, 150, 40)[0].transpose(1, 2, 0))
    detector = FaceDetector(request.getfixturevalue(name), points_model="none", min_score=0.01)
    assert isinstance(detector.detect(picture, pixel_format="RGB"), list)


def test_keys_are_those_of_the_contract(run, fp32, int8):
    expected = {
        "agepred.format": "1",
        "agepred.task": "face",
        "agepred.version": "0.1.0",
        "agepred.exact": "1",
        "agepred.record": hashlib.sha256((run / "record.json").read_bytes()).hexdigest(),
        "agepred.face.min_score": "0.550",
    }
    for path in (fp32, int8):
        keys = read_keys(onnx.load(path))
        assert 4 <= int(keys.pop("agepred.face.smallest")) <= 256
        assert 64 <= int(keys.pop("agepred.face.largest")) <= 4096
        assert keys == expected


def test_unfinished_and_foreign_runs_are_refused(run, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"record\.json"):
        export_detector(tmp_path, tmp_path / "fp32.onnx", version="0.1.0", min_score=0.5)
    with pytest.raises(DataError, match=r"record\.json: not a record of `train-detector`"):
        detector_keys(b"[]", "0.1.0", 0.5)
    assert not (tmp_path / "fp32.onnx").exists()
