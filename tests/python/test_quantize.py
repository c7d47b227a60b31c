"""int8.onnx: integers all the way, pixels as they are, weights that cannot saturate, answers like fp32."""

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tiny_set import crops, faces_of, make_collection, make_run

from agepred_edge import AgeEstimator
from agepred_train import quantize as quantizing
from agepred_train.archive import DataError
from agepred_train.export import export
from agepred_train.graph import read_keys, run_model
from agepred_train.quantize import (
    Quantization,
    QuantizeError,
    calibration_crops,
    count_operators,
    quantize,
    quantize_graph,
    weights_are_exact,
)

SMALL = Quantization(crops=32)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("run"))
    return onnx.load(export(run, run / "fp32.onnx", version="0.1.0"))


@pytest.fixture(scope="module")
def quantized(plain):
    return quantize_graph(plain, crops(32, 64), SMALL)


def test_pixels_are_the_first_quantized_input(quantized):
    chain, value = [], "image"
    while not chain or chain[-1].op_type != "DequantizeLinear":
        (node,) = [node for node in quantized.graph.node if value in node.input]
        chain.append(node)
        value = node.output[0]
    moved = ["Transpose", "Reshape", "Transpose"]
    assert [node.op_type for node in chain] == ["Pad", *moved, "DequantizeLinear"]
    reader = chain[-1]
    constants = {value.name: numpy_helper.to_array(value) for value in quantized.graph.initializer}
    scale, zero = (constants[name] for name in reader.input[1:])
    assert (float(scale), int(zero), zero.dtype) == (1 / 128, 128, np.uint8)
    assert quantized.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_fourth_channel_weighs_nothing(quantized):
    constants = {value.name: numpy_helper.to_array(value) for value in quantized.graph.initializer}
    makers = {node.output[0]: node for node in quantized.graph.node}
    first = next(node for node in quantized.graph.node if node.op_type == "Conv")
    weights = constants[makers[first.input[1]].input[0]]
    assert weights.shape[1] == 4 * 4  # four pixels
    assert not weights[:, 3::4].any()
    assert all(weights[:, color::4].any() for color in range(3))


def test_optimized_graph_has_no_float_island(plain, quantized):
    floats = Counter(node.op_type for node in plain.graph.node)
    assert count_operators(quantized) == {
        "Pad": 1,
        "Transpose": 4,  # they cancel out with those of the last level
        "Reshape": 2,
        "QLinearConv": floats["Conv"],
        "QLinearAdd": floats["Add"],
        "QLinearGlobalAveragePool": 1,
        "DequantizeLinear": 1,  # of the output features
        "Flatten": 1,
        "QGemm": 1,
    }


def test_weights_have_seven_bits(quantized):
    assert weights_are_exact(quantized)
    weights = [
        numpy_helper.to_array(value) for value in quantized.graph.initializer if value.dims and value.data_type == 3
    ]
    assert max(np.abs(weight.astype(int)).max() for weight in weights) == 64


def test_eight_bits_are_noticed(quantized):
    changed = onnx.ModelProto()
    changed.CopyFrom(quantized)
    name, weight = next(
        (value.name, numpy_helper.to_array(value).copy())
        for value in changed.graph.initializer
        if value.data_type == onnx.TensorProto.INT8 and len(value.dims) == 4
    )
    weight.flat[0] = -65
    index = [value.name for value in changed.graph.initializer].index(name)
    changed.graph.initializer[index].CopyFrom(numpy_helper.from_array(weight, name))
    assert not weights_are_exact(changed)


def test_keys_stay_and_the_graph_needs_one_operator_set(plain, quantized):
    assert read_keys(quantized) == read_keys(plain) | {"agepred.exact": "1"}
    assert [(opset.domain, opset.version) for opset in quantized.opset_import] == [("", 17)]
    assert quantized.ir_version <= 9


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
def test_every_method_answers_like_the_float_network(plain, method):
    model = quantize_graph(plain, crops(32, 64), Quantization(method=method, crops=32))
    pixels = crops(8, 64, 300)
    expected, found = (run_model(each, {"image": pixels}) for each in (plain, model))
    # The random network's logits: compare their pattern, whose spread is the measure of error.
    assert np.abs(found - expected).mean() < 0.3 * expected.std()


def test_core_loads_it(quantized, tmp_path):
    path = tmp_path / "int8.onnx"
    path.write_bytes(quantized.SerializeToString())
    estimator = AgeEstimator(path)
    assert estimator.info.int8_exact
    answer = estimator.predict_crop(np.ascontiguousarray(crops(1, 64)[0].transpose(1, 2, 0)))
    assert answer.probabilities.sum() == pytest.approx(1.0, abs=1e-5)


def test_only_training_pictures_calibrate(tmp_path, plain, monkeypatch):
    collection = make_collection(tmp_path, train=40)
    faces = faces_of(collection)
    train = {sample.name for sample in collection.part("train")}
    used = []
    dataset = quantizing.FaceCrops
    monkeypatch.setattr(
        quantizing,
        "FaceCrops",
        lambda samples, *rest, **more: used.extend(samples) or dataset(samples, *rest, **more),
    )
    fp32 = tmp_path / "fp32.onnx"
    fp32.write_bytes(plain.SerializeToString())
    out = quantize(fp32, tmp_path / "new" / "int8.onnx", collection, faces, SMALL)
    assert out.stat().st_size < fp32.stat().st_size
    assert {sample.name for sample in used} <= train
    assert len({sample.name for sample in used}) == 32


def test_choice_of_crops_depends_on_the_seed_alone(tmp_path):
    collection = make_collection(tmp_path, train=40)
    faces = faces_of(collection)
    first = calibration_crops(collection, faces, 64, SMALL)
    assert (first.shape, first.dtype) == ((32, 3, 64, 64), np.uint8)
    np.testing.assert_array_equal(first, calibration_crops(collection, faces, 64, SMALL))
    other = calibration_crops(collection, faces, 64, Quantization(crops=32, seed=2))
    assert not np.array_equal(first, other)
    with pytest.raises(ValueError, match="48"):
        calibration_crops(collection, faces, 64, Quantization(crops=48))


def test_graph_of_another_maker_is_refused(plain):
    other = onnx.ModelProto()
    other.CopyFrom(plain)
    del other.graph.node[0]
    with pytest.raises(QuantizeError, match="Cast, Sub, Mul"):
        quantize_graph(other, crops(16, 64), Quantization(crops=16))


@pytest.mark.parametrize(
    "change", [{"method": "median"}, {"crops": 100}, {"crops": 0}, {"percentile": 40}, {"seed": -1}]
)
def test_limits_hold(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        Quantization(**change)


@pytest.mark.parametrize("content", [b"", b"MIT License\n\nCopyright", bytes(range(256))])
def test_file_that_is_no_model_is_refused(tmp_path, content):
    collection = make_collection(tmp_path, train=40)
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(content)
    with pytest.raises(DataError, match=r"junk\.onnx: not an ONNX file"):
        quantize(junk, tmp_path / "int8.onnx", collection, faces_of(collection), SMALL)
    assert not (tmp_path / "int8.onnx").exists()


def test_model_of_another_kind_is_refused(tmp_path, plain, quantized):
    collection = make_collection(tmp_path, train=40)
    flat = onnx.ModelProto()
    flat.CopyFrom(plain)
    del flat.graph.input[0].type.tensor_type.shape.dim[2:]
    path = tmp_path / "other.onnx"
    for model, words in ((flat, "N x 3 x S x S"), (quantized, "Cast, Sub, Mul")):
        path.write_bytes(model.SerializeToString())
        with pytest.raises(QuantizeError, match=words):
            quantize(path, tmp_path / "int8.onnx", collection, faces_of(collection), SMALL)
