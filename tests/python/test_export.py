"""fp32.onnx: it computes what the network computes and says what the contract asks for."""

import hashlib
from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from tiny_set import DETECTOR_SHA256, crops, make_run

from agepred_edge import DEFAULT_POINTS, AgeEstimator
from agepred_train import export as exporting
from agepred_train.archive import DataError
from agepred_train.export import (
    ExportError,
    build_graph,
    contract_keys,
    export,
    load_trained,
)
from agepred_train.graph import read_keys, run_model
from agepred_train.model import AgeNetwork


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def exported(run):
    return export(run, run / "fp32.onnx", version="0.1.0")


def test_logits_are_the_networks(run, exported):
    network, recipe = load_trained(run)
    pixels = crops(5, recipe.crop_side, 500)
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(run_model(onnx.load(exported), {"image": pixels}), expected, atol=1e-4)


def test_any_number_of_crops_goes_through(exported):
    model, pixels = onnx.load(exported), crops(3, 64)
    together = run_model(model, {"image": pixels})
    apart = [run_model(model, {"image": pixels[index : index + 1]})[0] for index in range(3)]
    np.testing.assert_allclose(together, np.stack(apart), atol=1e-5)


def test_graph_of_the_full_network_is_clean():
    model = build_graph(AgeNetwork().eval(), 112)
    assert Counter(node.op_type for node in model.graph.node) == {
        "Conv": 52,
        "Clip": 35,
        "Add": 10,
        "Cast": 1,
        "Sub": 1,
        "Mul": 1,
        "GlobalAveragePool": 1,
        "Flatten": 1,
        "Gemm": 1,
    }
    image, logits = model.graph.input[0], model.graph.output[0]
    shape = [dim.dim_param or dim.dim_value for dim in image.type.tensor_type.shape.dim]
    assert (image.name, image.type.tensor_type.elem_type, shape) == (
        "image",
        onnx.TensorProto.UINT8,
        ["N", 3, 112, 112],
    )
    assert (logits.name, logits.type.tensor_type.shape.dim[1].dim_value) == ("logits", 117)


def test_old_runtimes_can_read_the_file(exported):
    model = onnx.load(exported, load_external_data=False)
    assert model.ir_version <= 9
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert not any(constant.external_data for constant in model.graph.initializer)


def test_keys_are_those_of_the_contract(run, exported):
    keys = read_keys(onnx.load(exported))
    points = np.array(
        [[float(value) for value in point.split(",")] for point in keys["agepred.crop.points"].split(";")]
    )
    np.testing.assert_allclose(points, DEFAULT_POINTS, atol=5e-6)
    del keys["agepred.crop.points"]
    assert keys == {
        "agepred.format": "1",
        "agepred.task": "age",
        "agepred.version": "0.1.0",
        "agepred.exact": "1",
        "agepred.record": hashlib.sha256((run / "record.json").read_bytes()).hexdigest(),
        "agepred.crop.detector": f"blob sha256:{DETECTOR_SHA256}",
        "agepred.age.first": "0",
        "agepred.temperature": "1.0",
        "agepred.interval.level": "0.8",
        "agepred.groups": "0-25,26-50,51-75,76-116",
        "agepred.features.first": "0.5",
        "agepred.features.step": "32",
    }


def test_core_loads_it_and_agrees(run, exported):
    estimator = AgeEstimator(exported)
    assert (estimator.info.crop_side, estimator.info.age_count, estimator.info.version) == (64, 117, "0.1.0")
    pixels = crops(1, 64, 77)
    logits = run_model(onnx.load(exported), {"image": pixels})[0].astype(np.float64)
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    answer = estimator.predict_crop(np.ascontiguousarray(pixels[0].transpose(1, 2, 0)))
    np.testing.assert_allclose(answer.probabilities, expected, atol=1e-5)
    assert answer.age == pytest.approx((expected * np.arange(117)).sum(), abs=1e-3)


def test_wrong_graph_is_not_written(run, tmp_path, monkeypatch):
    other = AgeNetwork(width=0.25).eval()
    monkeypatch.setattr(exporting, "build_graph", lambda _, side: build_graph(other, side))
    out = tmp_path / "fp32.onnx"
    out.write_bytes(b"an older file")
    with pytest.raises(ExportError, match="differ"):
        export(run, out, version="0.1.0")
    assert out.read_bytes() == b"an older file"
    assert [path.name for path in tmp_path.iterdir()] == ["fp32.onnx"]


def test_unfinished_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"record\.json"):
        export(tmp_path, tmp_path / "fp32.onnx", version="0.1.0")


def test_keys_do_not_depend_on_anything_but_the_record(run):
    record = (run / "record.json").read_bytes()
    assert contract_keys(record, "1.2.3") == contract_keys(record, "1.2.3")
    assert contract_keys(record + b"\n", "1.2.3")["agepred.record"] != contract_keys(record, "1.2.3")["agepred.record"]


def test_files_that_training_did_not_write_are_refused(tmp_path):
    run = make_run(tmp_path / "run")
    good = (run / "best.ckpt").read_bytes()
    for content in (b"MIT License", b"", good[:1000]):
        (run / "best.ckpt").write_bytes(content)
        with pytest.raises(DataError, match=r"best\.ckpt: not a PyTorch checkpoint"):
            export(run, run / "fp32.onnx", version="0.1.0")
    torch.save({"state_dict": {}}, run / "best.ckpt")
    with pytest.raises(DataError, match=r"best\.ckpt: not a checkpoint of `train`"):
        export(run, run / "fp32.onnx", version="0.1.0")
    (run / "best.ckpt").write_bytes(good)
    (run / "record.json").write_text("[]")
    with pytest.raises(DataError, match=r"record\.json"):
        export(run, run / "fp32.onnx", version="0.1.0")
