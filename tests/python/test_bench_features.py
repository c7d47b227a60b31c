"""agepred-bench --features: the file against a copy of itself without the output, and what is refused."""

import json

import numpy as np
import onnx
import pytest
from tiny_set import crops, make_run

from agepred_edge import AgeEstimator, bench
from agepred_edge.bench_engines import BenchError
from agepred_edge.bench_features import copy_without_features
from agepred_train.export import export
from agepred_train.quantize import Quantization, quantize_graph

QUICK = ["--runs", "4", "--min-time", "0", "--warmup", "1", "--turn", "3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("run"))
    fp32 = export(run, run / "fp32.onnx", version="0.1.0")
    int8 = quantize_graph(onnx.load(fp32), crops(32, 64), Quantization(crops=32))
    (run / "int8.onnx").write_bytes(int8.SerializeToString())
    return run


def test_both_files_take_turns_with_and_without(folder, capsys, tmp_path):
    out = tmp_path / "result.json"
    assert bench.main(["--features", "--model", str(folder / "int8.onnx"), "--output", str(out), *QUICK]) == 0
    text = capsys.readouterr().out
    result = json.loads(out.read_text())
    names = [engine["name"] for engine in result["engines"]]
    assert names == [
        f"{file} {what}"
        for file in ("int8", "fp32")
        for what in ("without features", "with features", "explained")
    ]  # fmt: skip
    for engine in result["engines"]:
        assert engine["name"] in text
        assert engine["warm"]["count"] >= 4
        plain = engine["name"].split()[0] + " without features"
        reference = next(one for one in result["engines"] if one["name"] == plain)
        expected = engine["warm"]["p50"] / reference["warm"]["p50"]
        assert engine["of_the_time_without"]["warm"] == pytest.approx(expected)
    assert result["map"] == [2, 2]


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_copy_gives_the_same_ages_and_cannot_explain(folder, precision, tmp_path):
    path = folder / f"{precision}.onnx"
    copy = copy_without_features(path, tmp_path)
    kinds = [node.op_type for node in onnx.load(copy).graph.node]
    assert kinds.count("DequantizeLinear") == max(
        0, [node.op_type for node in onnx.load(path).graph.node].count("DequantizeLinear") - 1
    )
    crop = np.ascontiguousarray(crops(1, 64, 9)[0].transpose(1, 2, 0))
    estimator, plain = AgeEstimator(path), AgeEstimator(copy)
    assert plain.info.map_shape == (0, 0)
    assert plain.predict_crop(crop).age == pytest.approx(estimator.predict_crop(crop).age, abs=1e-4)


def test_file_without_the_output_is_refused(folder, tmp_path, capsys):
    plain = copy_without_features(folder / "int8.onnx", tmp_path)
    with pytest.raises(BenchError, match="no output `features`"):
        copy_without_features(plain, tmp_path / "again")
    assert bench.main(["--features", "--model", str(plain), *QUICK]) == 2
    assert "no output `features`" in capsys.readouterr().err
    for alien in (["--faces"], ["--image", "a.jpg"], ["--no-torch"]):
        with pytest.raises(SystemExit):
            bench.main(["--features", *alien])
