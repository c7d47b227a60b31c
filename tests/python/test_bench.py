"""The command agepred-bench, on small models: what it prints, stores and refuses."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

import agepred_edge
from agepred_edge import bench, bench_engines, bench_first, bench_machine, bench_report
from agepred_edge.bench_engines import Agreement, EngineSpec, noise_crops

QUICK = ["--runs", "4", "--min-time", "0", "--warmup", "1", "--turn", "3"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with int8.onnx and fp32.onnx; their weights differ, as after quantization."""
    pytest.importorskip("onnx")
    from test_torch_peer import age_graph, write_model

    folder = tmp_path_factory.mktemp("models")
    graph = age_graph(scale=2.0)
    write_model(folder / "fp32.onnx", graph)
    graph[1]["head_b"] += 0.01 * np.arange(graph[1]["head_b"].size, dtype=np.float32)
    write_model(folder / "int8.onnx", graph)
    return folder


@pytest.fixture
def quick_first(monkeypatch):
    """Spares the fresh processes, of which PyTorch's take seconds."""
    first = bench_first.FirstResult(first_result_ms=321.0, peak_memory_mib=55.0)
    monkeypatch.setattr(bench, "measure_first_result", lambda spec, side: first)


def run(capsys, *arguments):
    """Exit status, standard output and standard error of the command."""
    status = bench.main([*map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def run_json(capsys, *arguments):
    status, out, err = run(capsys, *arguments, "--json", *QUICK)
    assert (status, err) == (0, "")
    return json.loads(out)


def refusal(capsys, *arguments):
    """What the command says where it exits with status 2."""
    try:
        status, out, err = run(capsys, *arguments, *QUICK)
    except SystemExit as ended:
        captured = capsys.readouterr()
        status, out, err = ended.code, captured.out, captured.err
    assert (status, out) == (2, "")
    assert "Traceback" not in err
    return err


def test_prints_a_table(models, capsys):
    status, out, err = run(capsys, "--model", models / "int8.onnx", "--no-torch", *QUICK)
    assert (status, err) == (0, "")
    rows = [line for line in out.splitlines() if line.startswith("libagepred ") and "against" not in line]
    assert [row.split()[1] for row in rows] == ["int8", "fp32"]
    for word in ("engine", "p50", "p90", "p99", "stddev", "cold p50", "MiB peak", "sha256", "numpy", "cpu"):
        assert word in out
    assert "libagepred int8 against libagepred fp32: age differs by" in out


def test_json_holds_what_was_measured(models, capsys):
    result = run_json(capsys, "--model", models / "int8.onnx", "--no-torch", "--threads", 2)
    assert [engine["name"] for engine in result["engines"]] == ["libagepred int8", "libagepred fp32"]
    for engine in result["engines"]:
        warm, cold = engine["warm"], engine["cold"]
        assert (warm["count"], cold["count"]) == (4, 2)
        assert 0 < warm["min"] <= warm["p50"] <= warm["p90"] <= warm["p99"] <= warm["max"]
        assert engine["first_result_ms"] > warm["min"]
        assert engine["peak_memory_mib"] > 10
        assert engine["times_pytorch_warm"] is None
    assert result["settings"] == {
        "warmup": 1, "runs": 4, "min_time_s": 0.0, "turn": 3, "seed": 0, "threads": 2
    }  # fmt: skip
    assert result["versions"]["agepred"] == agepred_edge.__version__
    assert result["machine"]["cpu"]
    stored = (models / "int8.onnx").read_bytes()
    assert result["models"][0]["sha256"] == hashlib.sha256(stored).hexdigest()
    assert result["models"][0]["bytes"] == result["engines"][0]["file_bytes"] == len(stored)
    (agreement,) = result["agreements"]
    assert 0 < agreement["mean_age_difference"] <= agreement["max_age_difference"]


def test_measures_against_the_faster_pytorch_layout(models, capsys, quick_first):
    pytest.importorskip("torch")
    result = run_json(capsys, "--model", models / "int8.onnx")
    engines = {engine["name"]: engine for engine in result["engines"]}
    layouts = [engines["PyTorch contiguous"], engines["PyTorch channels_last"]]
    for kind in ("warm", "cold"):
        fastest = min(layout[kind]["p50"] for layout in layouts)
        for engine in engines.values():
            assert engine[f"times_pytorch_{kind}"] == pytest.approx(fastest / engine[kind]["p50"])
    rounding = [one for one in result["agreements"] if one["of"].startswith("PyTorch")]
    assert len(rounding) == 2
    assert all(one["max_age_difference"] < 1e-3 for one in rounding)
    assert result["disagreement"] is None


def test_disagreement_with_pytorch_is_a_failure(models, capsys, quick_first, monkeypatch):
    pytest.importorskip("torch")
    right = bench_engines.TorchEngine.probabilities

    def shifted(self, crop):
        return np.roll(right(self, crop), 1)

    monkeypatch.setattr(bench_engines.TorchEngine, "probabilities", shifted)
    status, out, err = run(capsys, "--model", models / "fp32.onnx", *QUICK)
    assert status == 1
    assert "PyTorch contiguous and libagepred fp32 disagree by" in err
    assert "PyTorch contiguous" in out


def test_int8_may_differ_from_fp32():
    apart = {
        "crops": 8,
        "mean_age_difference": 2.0,
        "max_age_difference": 5.0,
        "max_probability_difference": 0.1,
    }
    int8 = Agreement(of="libagepred int8", against="libagepred fp32", **apart)
    assert bench._disagreement([int8]) is None
    assert "disagree by 5 years" in bench._disagreement(
        [int8, Agreement(of="PyTorch contiguous", against="libagepred fp32", **apart)]
    )


def test_says_why_pytorch_is_left_out(models, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench, "pytorch_is_here", lambda: False)
    result = run_json(capsys, "--model", models / "fp32.onnx")
    assert "pip install 'agepred-edge[bench]'" in result["remarks"][0]
    lone = tmp_path / "int8.onnx"
    lone.write_bytes((models / "int8.onnx").read_bytes())
    result = run_json(capsys, "--model", lone)
    assert [engine["name"] for engine in result["engines"]] == ["libagepred int8"]
    assert "fp32.onnx" in result["remarks"][0]


def test_takes_a_file_of_any_name_alone(models, tmp_path, capsys):
    other = tmp_path / "mine.onnx"
    other.write_bytes((models / "int8.onnx").read_bytes())
    result = run_json(capsys, "--model", other, "--no-torch")
    assert [engine["name"] for engine in result["engines"]] == ["libagepred mine"]


def test_bare_name_means_the_packaged_model(models, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("agepred_edge.model_files.default_age_model", lambda: models)
    monkeypatch.chdir(tmp_path)
    result = run_json(capsys, "--model", "fp32.onnx", "--no-torch")
    assert [model["file"] for model in result["models"]] == [
        f"{models.name}/{name}" for name in ("int8.onnx", "fp32.onnx")
    ]


def test_stores_the_json_beside_the_table(models, tmp_path, capsys):
    output = tmp_path / "result.json"
    output.write_text("an older result")
    status, out, _ = run(capsys, "--model", models / "int8.onnx", "--no-torch", "--output", output, *QUICK)
    assert status == 0
    assert "libagepred int8" in out
    assert json.loads(output.read_text())["engines"][0]["name"] == "libagepred int8"
    assert list(tmp_path.iterdir()) == [output]


def test_refuses_models_that_it_cannot_measure(models, tmp_path, capsys, monkeypatch):
    from test_torch_peer import age_graph, write_model

    monkeypatch.setattr("agepred_edge.model_files.default_age_model", lambda: models)
    assert "absent.onnx" in refusal(capsys, "--model", tmp_path / "absent.onnx")
    assert "absent.onnx" in refusal(capsys, "--model", "absent.onnx")
    assert "is a folder" in refusal(capsys, "--model", models)
    text = tmp_path / "text.onnx"
    text.write_text("no weights here")
    assert "text.onnx" in refusal(capsys, "--model", text)
    bare = write_model(tmp_path / "bare.onnx", age_graph(), metadata={})
    assert "agepred." in refusal(capsys, "--model", bare)


def test_refuses_files_that_are_not_one_network(models, tmp_path, capsys):
    from test_torch_peer import age_graph, write_model

    (tmp_path / "int8.onnx").write_bytes((models / "int8.onnx").read_bytes())
    write_model(tmp_path / "fp32.onnx", age_graph(side=32))
    assert "differ in their crops" in refusal(capsys, "--model", tmp_path / "int8.onnx", "--no-torch")


@pytest.mark.parametrize(
    ("option", "nonsense"),
    [
        ("--threads", "0"),
        ("--threads", "65"),
        ("--threads", "many"),
        ("--runs", "0"),
        ("--runs", "1.5"),
        ("--warmup", "-1"),
        ("--turn", "1"),
        ("--min-time", "-1"),
        ("--min-time", "nan"),
        ("--min-time", "inf"),
        ("--frobnicate", "1"),
    ],
)
def test_refuses_nonsense_options(capsys, option, nonsense):
    assert option in refusal(capsys, option, nonsense)


def test_refuses_an_output_that_cannot_be_written(models, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    model = models / "int8.onnx"
    assert "is a folder" in refusal(capsys, "--model", model, "--output", tmp_path)
    assert "no folder" in refusal(capsys, "--model", model, "--output", file / "result.json")
    assert "no folder" in refusal(capsys, "--model", model, "--output", tmp_path / "absent" / "result.json")


def test_picture_is_timed_stage_by_stage(models, capsys, hopper_path):
    result = run_json(capsys, "--model", models / "int8.onnx", "--no-torch", "--image", hopper_path)
    assert result["crops"] == {"count": 1, "side": 16, "source": f"faces of {hopper_path.name}"}
    picture = result["picture"]
    assert picture["faces"] == 1
    assert list(picture["stages"]) == ["decode", "detect", "align", "age", "predict"]
    assert all(stage["count"] >= 4 for stage in picture["stages"].values())
    status, out, _ = run(capsys, "--model", models / "int8.onnx", "--no-torch", "--image", hopper_path, *QUICK)
    assert status == 0
    assert "\ndetect " in out


def test_refuses_a_picture_without_a_face(models, tmp_path, capsys):
    image = pytest.importorskip("PIL.Image")
    empty = tmp_path / "wall.png"
    image.new("RGB", (64, 64), "gray").save(empty)
    assert "no face" in refusal(capsys, "--model", models / "int8.onnx", "--no-torch", "--image", empty)
    missing = tmp_path / "absent.jpg"
    assert "absent.jpg" in refusal(capsys, "--model", models / "int8.onnx", "--no-torch", "--image", missing)


def test_peak_memory_is_the_fresh_process_own(models):
    # ru_maxrss of a child starts from what its parent held when it started it.
    ballast = np.ones(300 << 20, np.uint8)
    spec = EngineSpec(name="libagepred int8", model=str(models / "int8.onnx"), threads=1)
    first = bench_first.measure_first_result(spec, 16, processes=1)
    assert bench_first.peak_memory_mib() > ballast.nbytes / 2**20
    assert 10 < first.peak_memory_mib < 200
    assert 10 < first.first_result_ms < 30_000


def test_failure_in_the_fresh_process_is_named(tmp_path):
    spec = EngineSpec(name="libagepred int8", model=str(tmp_path / "gone.onnx"), threads=1)
    with pytest.raises(bench_first.FirstResultError, match=r"libagepred int8 failed .*gone\.onnx"):
        bench_first.measure_first_result(spec, 16, processes=1)


def test_noise_crops_are_seeded_and_all_different():
    crops = noise_crops(8, 112, seed=0)
    assert all(crop.shape == (112, 112, 3) and crop.flags.c_contiguous for crop in crops)
    assert len({crop.tobytes() for crop in crops}) == 8
    assert all(np.array_equal(*pair) for pair in zip(crops, noise_crops(8, 112, seed=0), strict=True))


def test_table_columns_line_up():
    table = bench_report.render_table(("name", "ms"), [["a", "10.25"], ["longer", "1.5"]])
    assert table.splitlines() == ["name       ms", "a       10.25", "longer    1.5"]


def test_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        bench_report.write_json({"engines": []}, tmp_path / "taken")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


def test_unreadable_machine_facts_are_none(monkeypatch, tmp_path):
    monkeypatch.setattr(bench_machine, "_CPUFREQ", tmp_path)
    machine = bench_machine.describe_machine()
    assert machine["governor"] is None
    assert machine["clock_mhz"] is None or machine["clock_mhz"] > 0
    (tmp_path / "scaling_governor").write_text("performance\n")
    (tmp_path / "scaling_cur_freq").write_text("2400000\n")
    machine = bench_machine.describe_machine()
    assert (machine["governor"], machine["clock_mhz"]) == ("performance", 2400.0)


def test_runs_as_a_module_and_needs_no_torch():
    helped = subprocess.run(
        [sys.executable, "-m", "agepred_edge.bench", "--help"], capture_output=True, text=True, check=True
    )
    assert "examples:" in helped.stdout
    assert "agepred-bench --model" in helped.stdout
    modules = "import sys, agepred_edge.bench; print(sorted({'torch', 'onnx', 'PIL', 'rich'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", modules], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
