"""The four model files of a detector and its refiner: of one piece, and an older set is never half replaced."""

import dataclasses
import shutil

import onnx
import pytest
from test_detector_train import run
from tiny_faces import make_sets
from tiny_release import SCORE, contents, make_runs, short_steps

from agepred_edge import FaceDetector
from agepred_train.archive import DataError
from agepred_train.detector import recipe as detector_recipes
from agepred_train.detector import release as releasing
from agepred_train.detector.release import FILES, DetectorRuns, build_files
from agepred_train.export import ExportError
from agepred_train.graph import read_keys
from agepred_train.quantize import QuantizeError
from agepred_train.refiner import recipe as refiner_recipes
from agepred_train.release import ReleaseError
from agepred_train.storage import sha256_of_file


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return make_sets(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="module")
def runs(sets, tmp_path_factory):
    return make_runs(sets, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module", autouse=True)
def usually_short(sets):
    with short_steps(sets[0]):
        yield


@pytest.fixture(scope="module")
def files(runs, sets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("build") / "new" / "0.7.1"
    assert build_files(runs, *sets, folder, version="0.7.1") == SCORE
    return folder


def test_four_files_of_one_release(files, runs):
    assert {path.name for path in files.iterdir()} == set(FILES)
    keys = {name: read_keys(onnx.load(files / name)) for name in FILES}
    assert {each["agepred.version"] for each in keys.values()} == {"0.7.1"}
    for name in ("int8.onnx", "fp32.onnx"):
        assert float(keys[name]["agepred.face.min_score"]) == SCORE
        assert keys[name]["agepred.record"] == sha256_of_file(runs.detector / "record.json")
    for name in ("points_int8.onnx", "points_fp32.onnx"):
        assert keys[name]["agepred.record"] == sha256_of_file(runs.refiner / "record.json")
        assert keys[name]["agepred.crop.detector"].endswith(sha256_of_file(files / "int8.onnx"))


def test_core_takes_them(files, hopper):
    for face, points in (("int8.onnx", "points_int8.onnx"), ("fp32.onnx", "points_fp32.onnx")):
        detector = FaceDetector(files / face, points_model=files / points)
        assert isinstance(detector.detect(hopper, pixel_format="RGB"), list)


def test_ranges_are_found_with_the_same_pictures_whatever_the_seed(sets, runs):
    """Of the released files' weights two runs differ, of their ranges' pictures they shall not."""
    one, other = (dataclasses.replace(detector_recipes.smoke(), seed=seed) for seed in (1, 2))
    scenes = releasing.calibration_scenes(*sets, one)
    assert [(scene.shape, scene.dtype) for scene in scenes] == [((3, s, s), "uint8") for s in [64] * 12 + [96] * 4]
    again = releasing.calibration_scenes(*sets, other)
    assert [scene.tobytes() for scene in scenes] == [scene.tobytes() for scene in again]
    crops = [
        releasing.calibration_crops(*sets, dataclasses.replace(refiner_recipes.smoke(), seed=seed)) for seed in (1, 2)
    ]
    assert (crops[0].shape, crops[0].dtype) == ((32, 3, 32, 32), "uint8")
    assert crops[0].tobytes() == crops[1].tobytes()


def test_same_runs_give_the_same_files(files, runs, sets, tmp_path):
    build_files(runs, *sets, tmp_path / "again", version="0.7.1")
    assert contents(tmp_path / "again") == contents(files)


STEPS = (
    "best_threshold", "export_detector", "calibration_scenes", "quantize_detector", "export_refiner",
    "calibration_crops", "quantize_refiner",
)  # fmt: skip


@pytest.mark.parametrize("older", [True, False])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("failure", [QuantizeError("a weight lies outside"), OSError(28, "No space left", "x.onnx")])
def test_step_that_fails_leaves_what_was_there(files, runs, sets, tmp_path, monkeypatch, step, failure, older):
    """An old int8.onnx beside a new fp32.onnx is worse than none."""
    out = tmp_path / "build" / "0.7.1"
    if older:
        shutil.copytree(files, out)
        (out / "int8.onnx").write_bytes(b"older")
        (out / "notes.txt").write_text("mine")
    before = contents(tmp_path)

    def failing(*arguments, **named):
        raise failure

    monkeypatch.setattr(releasing, step, failing)
    result = run("export-detector", runs.detector, runs.refiner, sets[0], "--points", sets[1], "--out", out)
    assert result.exit_code == 2
    assert "a weight lies outside" in result.stderr or "x.onnx: No space left" in result.stderr
    assert contents(tmp_path) == before
    assert out.exists() == older


def test_older_files_are_replaced_and_foreign_ones_left(files, runs, sets, tmp_path):
    shutil.copytree(files, tmp_path / "out")
    (tmp_path / "out" / "int8.onnx").write_bytes(b"older")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    build_files(runs, *sets, tmp_path / "out", version="0.7.1")
    assert contents(tmp_path / "out") == contents(files) | {"notes.txt": b"mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("missing", ["best.ckpt", "record.json"])
@pytest.mark.parametrize("which", ["detector", "refiner"])
def test_unfinished_run_is_named_before_the_work(runs, sets, tmp_path, monkeypatch, which, missing):
    copy = shutil.copytree(getattr(runs, which), tmp_path / "unfinished")
    (copy / missing).unlink()
    changed = dataclasses.replace(runs, **{which: copy})
    monkeypatch.setattr(releasing, "ValidationScenes", lambda *_, **__: pytest.fail("the work began"))
    with pytest.raises((FileNotFoundError, ReleaseError), match=rf"unfinished/{missing}") as refusal:
        build_files(changed, *sets, tmp_path / "out", version="0.7.1")
    assert not (tmp_path / "out").exists()
    if missing == "record.json":
        assert "the run is not finished" in str(refusal.value)
        (copy / missing).write_text("[]")
        with pytest.raises(ReleaseError, match=r"unfinished/record\.json: not the record of a finished run"):
            build_files(changed, *sets, tmp_path / "out", version="0.7.1")


def test_runs_in_the_wrong_order_are_refused_before_the_work(runs, sets, tmp_path, monkeypatch):
    monkeypatch.setattr(releasing, "ValidationScenes", lambda *_, **__: pytest.fail("the work began"))
    swapped = DetectorRuns(detector=runs.refiner, refiner=runs.detector)
    twice = DetectorRuns(detector=runs.detector, refiner=runs.detector)
    for wrong, command in ((swapped, "train-detector"), (twice, "train-refiner")):
        with pytest.raises(DataError, match=rf"best\.ckpt: not a checkpoint of `{command}`"):
            build_files(wrong, *sets, tmp_path / "out", version="0.7.1")


def test_files_that_disagree_with_the_network_are_not_written(runs, sets, tmp_path, monkeypatch):
    monkeypatch.setattr("agepred_train.detector.export.largest_difference", lambda model, network: float("nan"))
    with pytest.raises(ExportError, match="nan"):
        build_files(runs, *sets, tmp_path / "out", version="0.7.1")
    assert not (tmp_path / "out").exists()


def test_help_shows_how():
    text = run("export-detector", "--help").stdout
    examples = text[text.index("Examples:") :]
    assert "\n    agepred export-detector " in examples
    assert "agepred eval-detector" in examples
    assert "DATA" in text


def test_export_command_writes_where_it_is_told(runs, sets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["export-detector", runs.detector, runs.refiner, sets[0], "--points", sets[1]]
    result = run(*command, "--version", "0.9.0")
    assert result.exit_code == 0, result.output
    assert f"wrote build/detector/0.9.0; a face is one from a score of {SCORE} on" in result.stdout
    assert set(contents(tmp_path)) == {f"build/detector/0.9.0/{name}" for name in FILES}


def test_export_command_names_what_is_not_there(runs, sets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, points = sets
    for arguments, words in (
        (["absent", runs.refiner, data, "--points", points], "absent/best.ckpt: No such file"),
        ([runs.detector, "absent", data, "--points", points], "absent/best.ckpt: No such file"),
        ([runs.detector, runs.refiner, "absent", "--points", points], "absent/backgrounds.tar: No such file"),
        ([runs.detector, runs.refiner, data], "build/detector/points/scenes.csv: No such file"),
    ):
        result = run("export-detector", *arguments)
        assert result.exit_code == 2, arguments
        assert words in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert not list(tmp_path.iterdir())
