"""The output `features`: the map before pooling, and nothing else changes."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from tiny_set import crops, make_run

from agepred_edge import AgeEstimator, ModelError
from agepred_train.archive import DataError
from agepred_train.export import export, load_trained
from agepred_train.features import add_features, has_features, without_features
from agepred_train.graph import read_keys
from agepred_train.quantize import Quantization, quantize_graph


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def fp32(run):
    return export(run, run / "fp32.onnx", version="0.1.0")


@pytest.fixture(scope="module")
def int8(fp32):
    path = fp32.with_name("int8.onnx")
    path.write_bytes(quantize_graph(onnx.load(fp32), crops(32, 64), Quantization(crops=32)).SerializeToString())
    return path


def answers(model, pixels):
    """Logits and features by ONNX Runtime."""
    content = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"image": pixels}), strict=True))


def test_it_is_the_networks_map_and_its_mean_makes_the_logits(run, fp32):
    network, recipe = load_trained(run)
    pixels = crops(3, recipe.crop_side, 40)
    found = answers(fp32, pixels)
    with torch.inference_mode():
        expected = network.features((torch.from_numpy(pixels).float() - 128) / 128).numpy()
    np.testing.assert_allclose(found["features"], expected, atol=1e-4)
    constants = {value.name: numpy_helper.to_array(value) for value in onnx.load(fp32).graph.initializer}
    logits = expected.mean(axis=(2, 3)) @ constants["head.weight"].T + constants["head.bias"]
    np.testing.assert_allclose(found["logits"], logits, atol=1e-4)


def test_integers_come_as_floats(fp32, int8):
    pixels = crops(8, 64, 300)
    floats, integers = (answers(path, pixels)["features"] for path in (fp32, int8))
    assert integers.dtype == np.float32
    assert integers.shape == floats.shape == (8, 1280, 2, 2)
    # Of a random network; a step of 8 bits over 0 to 6 is 0.02.
    assert np.abs(integers - floats).mean() < 0.3 * floats.std()
    assert len(np.unique(integers)) <= 256


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_answers_are_those_of_a_file_without_it(run, precision, fp32, int8, tmp_path):
    plain = onnx.load(export(run, tmp_path / "plain.onnx", version="0.1.0", features=False))
    assert not has_features(plain)
    assert not any("features" in key for key in read_keys(plain))
    if precision == "int8":
        plain = quantize_graph(plain, crops(32, 64), Quantization(crops=32))
    pixels = crops(8, 64, 300)
    with_it = answers(fp32 if precision == "fp32" else int8, pixels)["logits"]
    np.testing.assert_allclose(answers(plain, pixels)["logits"], with_it, atol=1e-5)


def test_core_explains_both_files(fp32, int8):
    crop = np.ascontiguousarray(crops(1, 64, 9)[0].transpose(1, 2, 0))
    for path in (fp32, int8):
        estimator = AgeEstimator(path)
        info, answer = estimator.info, estimator.explain_crop(crop)
        assert (info.map_shape, info.map_first, info.map_step) == ((2, 2), 0.5, 32.0)
        assert answer.age == estimator.predict_crop(crop).age
        assert answer.map.shape == (2, 2)
        # The formula of docs/model_contract.md, by hand; the int8 file's weights are those of fp32 but for rounding.
        p = answer.probabilities.astype(np.float64)
        weights = numpy_helper.to_array(
            next(value for value in onnx.load(fp32).graph.initializer if value.name == "head.weight")
        )
        slopes = (p * (np.arange(117) - answer.age)) @ weights
        features = answers(path, crops(1, 64, 9))["features"][0]
        expected = np.tensordot(slopes, features, axes=1) / 4
        np.testing.assert_allclose(answer.map, expected, atol=0.05 * np.abs(expected).max() + 1e-4)


def test_wrong_shape_is_refused(int8, tmp_path):
    model = onnx.load(int8)
    (reader,) = [node for node in model.graph.node if "features" in node.output]
    reader.output[0] = "map"
    model.graph.node.append(onnx.helper.make_node("Flatten", ["map"], ["features"]))
    (output,) = [output for output in model.graph.output if output.name == "features"]
    output.CopyFrom(onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["N", 4 * 1280]))
    onnx.save(model, tmp_path / "flat.onnx")
    with pytest.raises(ModelError, match=r"flat\.onnx.*an output features, float32 \[N,C,h,w\]"):
        AgeEstimator(tmp_path / "flat.onnx")
    model = onnx.load(int8)
    kept = [entry for entry in model.metadata_props if entry.key != "agepred.features.step"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, tmp_path / "keyless.onnx")
    with pytest.raises(ModelError, match=r"agepred\.features\.step is missing"):
        AgeEstimator(tmp_path / "keyless.onnx")


def test_output_is_added_once_and_taken_from_a_copy(fp32):
    model = onnx.load(fp32)
    assert has_features(model)
    assert not has_features(without_features(model))
    assert has_features(model)
    with pytest.raises(DataError, match="once"):
        add_features(model, 64)
