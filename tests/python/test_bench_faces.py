"""agepred-bench --faces: which engines it lets run, what it prints and stores, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from tiny_models import WiderThan, face_model, points_model

from agepred_edge import bench, bench_face_engines, bench_faces
from agepred_edge.bench_engines import BenchError
from agepred_edge.bench_face_engines import STAGES, crowd, face_specs, find_picture, middle_square
from agepred_edge.bench_stats import Plan, Times

QUICK = ["--runs", "4", "--min-time", "0", "--warmup", "1", "--turn", "3"]
SIDE = 64


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A folder with a face model and a refiner in both "precisions"; each 32 x 32 pixels are a face."""
    folder = tmp_path_factory.mktemp("models")
    for precision in ("int8", "fp32"):
        face_model(folder / f"{precision}.onnx", score=0.9, stride=32)
        answer = [0.3, 0.3, 0.7, 0.3, 0.5, 0.5, 0.35, 0.7, 0.65, 0.7]
        points_model(folder / f"points_{precision}.onnx", answer)
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (48, 60, 3), np.uint8)).save(path)
    return path


def run(capsys, *arguments):
    """Exit status, standard output and standard error of the command."""
    try:
        status = bench.main(["--faces", *map(str, arguments), *QUICK])
    except SystemExit as ended:
        status = ended.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def refusal(capsys, *arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert "Traceback" not in err
    return err


def test_every_engine_is_printed_and_stored(models, photo, tmp_path, capsys):
    output, rival = tmp_path / "result.json", face_model(tmp_path / "other.onnx", score=0.8, stride=32)
    arguments = ["--face-model", models / "int8.onnx", "--against", rival, "--image", photo, "--side", 32]
    status, out, err = run(capsys, *arguments, "--output", output)
    assert (status, err) == (0, "")
    result = json.loads(output.read_text())
    names = ["libagepred int8", "libagepred fp32", "libagepred other"]
    assert [engine["name"] for engine in result["engines"]] == names
    assert [engine["points_model"] for engine in result["engines"]] == ["points_int8.onnx", "points_fp32.onnx", None]
    assert all(name in out for name in (*names, "times as fast as", "decode / network", "sha256", "cold p50"))
    for engine in result["engines"]:
        assert (engine["warm"]["count"], engine["cold"]["count"]) == (4, 2)
        ratio = engine["times_as_fast_as"]["libagepred other"]
        for kind in ("warm", "cold"):
            expected = result["engines"][2][kind]["p50"] / engine[kind]["p50"]
            assert ratio[kind] == pytest.approx(expected)
    assert result["settings"]["side"] == 32
    assert result["picture"]["source"] == "the middle square of photo.png, resized to 32 x 32"
    assert any(remark.startswith("OpenCV left out: ") for remark in result["remarks"])  # it does not take the file
    assert [model["file"].split("/")[1] for model in result["models"]] == [
        "int8.onnx", "points_int8.onnx", "fp32.onnx", "points_fp32.onnx", "other.onnx"
    ]  # fmt: skip


def test_stages_are_those_of_one_face_and_of_a_crowd(models, photo, capsys):
    arguments = ["--face-model", models / "int8.onnx", "--points-model", "none", "--image", photo, "--side", 32]
    status, out, err = run(capsys, *arguments, "--json")
    assert (status, err) == (0, "")
    result = json.loads(out)
    assert [(part["engine"], part["picture"]) for part in result["stages"]] == [
        (f"libagepred {precision}", picture) for precision in ("int8", "fp32") for picture in ("one face", "16 faces")
    ]
    for part in result["stages"]:
        assert list(part["stages"]) == list(STAGES)
        assert part["looks"] == 1
        assert part["stages"]["network"]["warm"]["count"] == 4
        share = part["stages"]["decode"]["cold"]["p50"] / part["stages"]["network"]["cold"]["p50"]
        assert part["decode_per_network"]["cold"] == pytest.approx(share)
    assert result["engines"][0]["times_as_fast_as"] == {}


def test_a_refiner_takes_time_of_its_own(models, capsys):
    spec = face_specs(models / "int8.onnx", None, None)[0]
    recorder = spec.stage_recorder(np.zeros((32, 32, 3), np.uint8), 1)
    recorder()
    assert set(recorder.calls[0]) == {*STAGES, "looks", "faces"}
    assert recorder.calls[0]["refine"] > 0
    assert recorder.calls[0]["network"] > 0
    assert (recorder.calls[0]["looks"], recorder.calls[0]["faces"]) == (1, 1)


def test_a_second_look_is_told(tmp_path, photo, capsys):
    """Its times are not those of one run of the network, so that nobody compares them unawares."""
    model = face_model(tmp_path / "far.onnx", score=WiderThan(SIDE), stride=32)
    spec = face_specs(model, "none", None)[0]
    recorder = spec.stage_recorder(np.zeros((SIDE, SIDE, 3), np.uint8), 1)
    recorder()
    assert recorder.calls[0]["looks"] == 2
    remarks = bench_faces._looks_remarks([{"engine": "libagepred far", "picture": "one face", "looks": 2}])
    assert remarks == ["libagepred far looks 2 times at the picture of one face: its times are of all looks"]


def test_opencv_takes_part_where_it_can(yunet, hopper_path, capsys):
    pytest.importorskip("cv2")
    status, out, err = run(capsys, "--face-model", yunet, "--against", yunet, "--image", hopper_path, "--json")
    assert (status, err) == (0, "")
    result = json.loads(out)
    names = [engine["name"] for engine in result["engines"]]
    assert names == ["libagepred yunet_n", f"libagepred {yunet.parent.name}/yunet_n", "OpenCV yunet_n"]
    assert result["versions"]["opencv"]
    crowded = [part for part in result["stages"] if part["picture"] == "16 faces"]
    assert all(part["faces"] == 16 for part in crowded)


def test_opencv_gets_a_copy_for_one_size_with_the_same_answers(yunet, tmp_path):
    copy = bench_face_engines._write_fixed(yunet, tmp_path, 96)
    original, fixed = (onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]) for path in (yunet, copy))
    assert fixed.get_inputs()[0].shape == [1, 3, 96, 96]
    assert all(isinstance(length, int) for output in fixed.get_outputs() for length in output.shape)
    pixels = {"input": np.random.default_rng(1).integers(0, 256, (1, 3, 96, 96)).astype(np.float32)}
    for one, other in zip(original.run(None, pixels), fixed.run(None, pixels), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_says_why_opencv_is_left_out(yunet, hopper_path, capsys, monkeypatch):
    monkeypatch.setattr(bench_face_engines, "_is_installed", lambda name: False)
    status, out, err = run(capsys, "--face-model", yunet, "--against", yunet, "--image", hopper_path)
    assert (status, err) == (0, "")
    assert "OpenCV left out: not installed (pip install opencv-python-headless)" in out
    assert "OpenCV yunet_n" not in out


def test_ratios_are_of_the_medians():
    times = {
        "ours": Times(warm=[1.0, 2.0, 9.0], cold=[4.0]),
        "theirs": Times(warm=[3.0, 5.0, 4.0], cold=[2.0]),
    }
    assert bench_faces.ratios(times, "ours", ["theirs"]) == {"theirs": {"warm": 2.0, "cold": 0.5}}
    assert bench_faces.ratios(times, "ours", []) == {}


def test_stages_are_summed_up_without_the_warm_up():
    plan = Plan(warmup=2, runs=4, min_time_s=0, turn=3)
    numbers = [900, 900, 40, 10, 20, 60, 30, 20]  # of two calls to warm up and two turns, cold ones first
    calls = [dict.fromkeys(STAGES, number * 1_000_000) | {"looks": 1, "faces": 5} for number in numbers]
    for call in calls:
        call["decode"] //= 100
    result = bench_faces.sum_up_stages(calls, plan)
    network = result["stages"]["network"]
    assert (network["warm"]["count"], network["warm"]["p50"], network["warm"]["max"]) == (4, 20.0, 30.0)
    assert (network["cold"]["count"], network["cold"]["p50"]) == (2, 50.0)
    assert result["decode_per_network"] == {"warm": pytest.approx(0.01), "cold": pytest.approx(0.01)}
    assert (result["faces"], result["looks"]) == (5, 1)


def test_refiners_follow_their_precision(models, tmp_path):
    def refiners(*arguments):
        return [spec.points_model and spec.points_model.name for spec in face_specs(*arguments)]

    int8 = models / "int8.onnx"
    assert refiners(int8, None, None) == ["points_int8.onnx", "points_fp32.onnx"]
    assert refiners(int8, str(models / "points_int8.onnx"), None) == ["points_int8.onnx", "points_fp32.onnx"]
    assert refiners(int8, "none", int8) == [None, None, None]
    other = points_model(tmp_path / "other.onnx", np.linspace(0.2, 0.8, 10))
    assert refiners(int8, str(other), None) == ["other.onnx", "other.onnx"]
    alone = face_model(tmp_path / "alone.onnx", score=0.9)
    assert refiners(alone, None, None) == [None]


def test_refuses_files_that_are_missing(models, photo, tmp_path, capsys):
    int8 = models / "int8.onnx"
    absent = tmp_path / "absent.onnx"
    assert "absent.onnx" in refusal(capsys, "--face-model", absent)
    assert "absent.onnx" in refusal(capsys, "--face-model", int8, "--points-model", absent, "--image", photo)
    assert "absent.onnx" in refusal(capsys, "--face-model", int8, "--against", absent, "--image", photo)
    assert "absent.png" in refusal(capsys, "--face-model", int8, "--image", tmp_path / "absent.png")


def test_refuses_pictures_of_no_face_and_of_many(models, photo, tmp_path, capsys):
    blind = face_model(tmp_path / "blind.onnx", score=0.0)
    said = refusal(capsys, "--face-model", blind, "--image", photo, "--side", 32)
    assert "photo.png: libagepred blind finds no face" in said
    said = refusal(capsys, "--face-model", models / "int8.onnx", "--image", photo, "--side", 64)
    assert "libagepred int8 finds 4 faces in its middle square at 64 x 64" in said


def test_refuses_options_of_the_other_benchmark(capsys):
    assert "--face-model" in refusal(capsys, "--model", "int8.onnx")
    assert "--no-torch" in refusal(capsys, "--no-torch")
    assert "--side" in refusal(capsys, "--side", "31")
    with pytest.raises(SystemExit):
        bench.main(["--against", "yunet.onnx"])
    assert "--against and --side belong to --faces" in capsys.readouterr().err


def test_picture_is_found_in_matplotlib_or_asked_for(photo, monkeypatch):
    assert find_picture(photo) == photo
    pytest.importorskip("matplotlib")
    assert find_picture(None).name == "grace_hopper.jpg"
    monkeypatch.setattr(bench_face_engines.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BenchError, match="--image"):
        find_picture(None)


def test_crowd_is_the_face_sixteen_times(photo):
    square = middle_square(photo)
    assert square.shape == (48, 48, 3)
    mosaic, tiles = crowd(square, (40.0, 2.0, 8.0, 10.0), 64)  # twice as much reaches beyond the border
    assert tiles == 16
    assert mosaic.shape == (64, 64, 3)
    assert all(np.array_equal(mosaic[:16, :16], mosaic[y : y + 16, x : x + 16]) for y in (16, 48) for x in (0, 32))
