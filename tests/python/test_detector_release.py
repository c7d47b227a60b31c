"""A detector's released folder: of one piece, what does not belong together refused by name, never half written."""

import dataclasses
import json
import shutil

import onnx
import pytest
from test_detector_train import run
from tiny_faces import make_sets
from tiny_release import SCORE, contents, make_runs, short_steps

from agepred_edge import default_face_model
from agepred_train.detector.release import FILES, build_files, release_detector
from agepred_train.graph import read_keys
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


@pytest.fixture(scope="module")
def evaluation(files, runs, tmp_path_factory):
    """What `agepred eval-detector` says of the files; the figures are those of the packaged detector."""
    trained = json.loads((runs.refiner / "record.json").read_text())["data"]
    data = {name: {"pictures": 3, "of": 3, "sha256": {file: trained[file] for file in (f"{name}.tar", f"{name}.csv")}}
            for name in ("landmarks", "scenes")}  # fmt: skip
    released = json.loads((default_face_model().parent / "metrics.json").read_text())["test"]
    own = {part: {"file": f"/somewhere/{name}", "sha256": sha256_of_file(files / name)}
           for part, name in (("model", "int8.onnx"), ("points_model", "points_int8.onnx"))}  # fmt: skip
    document = {
        "columns": {"int8": own, "yunet_n": {"model": {"file": "/x/yunet_n.onnx", "sha256": "f" * 64}}},
        "options": {"split": "test", "limit": None, "max_side": 640, "teacher": "/x/y", "teacher_sha256": "e" * 64},
        "data": released["data"] | data,
        "left_out": {},
        "rows": released["rows"] | {"scenes_640": {
            name: {**figures, "curve": [[0.1, 0.9]]} for name, figures in released["rows"]["scenes_640"].items()}},
    }  # fmt: skip
    path = tmp_path_factory.mktemp("evaluation") / "test.json"
    path.write_text(json.dumps(document))
    return path


def test_release_holds_files_figures_and_card(files, runs, evaluation, tmp_path):
    target = release_detector(runs, files, evaluation, tmp_path / "models", commands=["agepred one", "agepred two"])
    assert target == tmp_path / "models" / "face_detector-0.7.1"
    assert {path.name for path in target.iterdir()} == {*FILES, "metrics.json", "card.md"}
    assert [path.name for path in target.parent.iterdir()] == ["face_detector-0.7.1"]
    metrics = json.loads((target / "metrics.json").read_text())
    for name in FILES:
        assert (target / name).read_bytes() == (files / name).read_bytes()
        assert metrics["files"][name] == {
            "bytes": (files / name).stat().st_size,
            "sha256": sha256_of_file(files / name),
        }
    assert metrics["min_score"] == SCORE
    assert metrics["commands"] == ["agepred one", "agepred two"]
    assert metrics["records"] == {
        kind: json.loads((getattr(runs, kind) / "record.json").read_text()) for kind in ("detector", "refiner")
    }


def test_figures_are_without_plots_and_without_places(files, runs, evaluation, tmp_path):
    """Where files lay on someone's disk is nobody's business, and curves are in the evaluation."""
    target = release_detector(runs, files, evaluation, tmp_path)
    text = (target / "metrics.json").read_text()
    assert "/somewhere" not in text
    assert "/x/" not in text
    test = json.loads(text)["test"]
    assert "curve" not in json.dumps(test)
    given = json.loads(evaluation.read_text())["rows"]
    assert test["rows"]["scenes_640"]["int8"]["recall"] == given["scenes_640"]["int8"]["recall"]
    assert test["columns"]["yunet_n"] == {"model": {"sha256": "f" * 64}}


def test_parameters_are_those_of_the_networks(files, runs, evaluation, tmp_path):
    """Counted in the files, where batch normalization is folded: a weight each, and a bias a channel."""
    target = release_detector(runs, files, evaluation, tmp_path)
    parameters = json.loads((target / "metrics.json").read_text())["parameters"]
    for name, count in parameters.items():
        model = onnx.load(files / name)
        sizes = {constant.name: onnx.numpy_helper.to_array(constant).size for constant in model.graph.initializer}
        layers = [node for node in model.graph.node if node.op_type == "Conv"]
        assert count == sum(sizes[constant] for constant in {name for node in layers for name in node.input[1:]})
        assert len(layers) > 8


def released(runs, files, evaluation, models):
    return run("release-detector", runs.detector, runs.refiner, "--files", files, "--evaluation", evaluation,
               "--models", models)  # fmt: skip


@pytest.fixture
def refused(runs, tmp_path):
    """Release what must be refused in one line that names a file and a way out, with nothing left behind."""

    def check(files, evaluation, *words, runs=runs):
        models = tmp_path / "models"
        result = released(runs, files, evaluation, models)
        assert result.exit_code == 2, result.output
        assert len(result.stderr.splitlines()) == 1
        for word in words:
            assert word in result.stderr
        assert not models.exists()

    return check


@pytest.mark.parametrize("name", FILES)
def test_each_missing_or_foreign_file_is_named(files, evaluation, refused, tmp_path, name):
    copy = shutil.copytree(files, tmp_path / "copy")
    (copy / name).write_bytes(b"MIT License")
    refused(copy, evaluation, f"copy/{name}: not an ONNX file")
    (copy / name).unlink()
    refused(copy, evaluation, f"copy/{name}: No such file")


@pytest.mark.parametrize("name", FILES)
def test_files_of_another_run_version_or_detector_are_refused(files, evaluation, refused, tmp_path, name):
    changes = [("agepred.record", "0" * 64, "does not come from the run")]
    if name != "int8.onnx":
        changes.append(("agepred.version", "0.7.2", "is of another version than"))
    if name.startswith("points"):
        changes.append(("agepred.crop.detector", "another sha256:" + "0" * 64, "belongs to another detector than"))
    for key, value, words in changes:
        copy = shutil.copytree(files, tmp_path / key)
        model = onnx.load(copy / name)
        onnx.helper.set_model_props(model, read_keys(model) | {key: value})
        onnx.save(model, copy / name)
        refused(copy, evaluation, f"{copy / name} {words}", "build the files again")


def test_run_of_other_files_is_refused(files, evaluation, runs, refused, tmp_path):
    copy = shutil.copytree(runs.refiner, tmp_path / "other")
    record = json.loads((copy / "record.json").read_text())
    (copy / "record.json").write_text(json.dumps(record | {"seed": 2}))
    refused(
        files, evaluation, "points_int8.onnx does not come from the run", runs=dataclasses.replace(runs, refiner=copy)
    )
    (copy / "record.json").unlink()
    refused(files, evaluation, "other/record.json: No such file", runs=dataclasses.replace(runs, refiner=copy))


def changed(tree, path, value):
    """The tree with a value elsewhere; None takes it away."""
    *parents, last = path
    copy = json.loads(json.dumps(tree))
    branch = copy
    for parent in parents:
        branch = branch[parent]
    if value is None:
        del branch[last]
    else:
        branch[last] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("options", "split"), "val", "is not of the whole split `test`"),
        (("options", "split"), "", "is not of the whole split `test`"),
        *(
            (("rows", row), None, f"has no row {row} of int8")
            for row in (
                "landmarks_full",
                "landmarks_quarter",
                "rolled",
                "scenes_640",
                "scenes_320",
                "calibration",
                "backgrounds",
                "unconfirmed",
                "chips",
                "int8_vs_fp32",
                "steadiness",
            )
        ),
        (("rows", "scenes_640", "int8"), None, "has no row scenes_640 of int8"),
        (("data", "scenes", "sha256", "scenes.tar"), "0" * 64, "is of another scenes.tar than the runs were trained"),
        (("data", "landmarks", "sha256", "landmarks.csv"), "0" * 64, "is of another landmarks.csv than the runs were"),
        (("data", "landmarks", "sha256"), {"party.csv": "0" * 64}, "is of another party.csv than the runs were"),
        (("data", "landmarks"), None, "not written by `agepred eval-detector`"),
        (("options", "limit"), 10, "is not of the whole split `test`"),
        (("columns", "int8", "min_score"), 0.3, "is at a score of 0.3"),
        (("columns", "int8", "model", "sha256"), "0" * 64, "does not measure"),
        (("columns", "int8", "points_model", "sha256"), "0" * 64, "without --points-model"),
        (("columns", "int8", "points_model"), None, "does not measure"),
        (("columns", "int8"), None, "does not measure"),
        *(((key,), None, "not written by `agepred eval-detector`") for key in ("columns", "options", "data", "rows")),
        (("columns", "int8", "model"), None, "not written by `agepred eval-detector`"),
        (("columns", "int8", "model"), "int8.onnx", "not written by `agepred eval-detector`"),
        (("columns",), ["int8"], "not written by `agepred eval-detector`"),
        (("options", "limit"), None, "not written by `agepred eval-detector`"),
    ],
)
def test_other_evaluations_are_refused(files, evaluation, refused, tmp_path, path, value, words):
    other = tmp_path / "other.json"
    other.write_text(json.dumps(changed(json.loads(evaluation.read_text()), path, value)))
    refused(files, other, "other.json: ", words, "evaluate")


@pytest.mark.parametrize("row", ["unconfirmed", "chips", "int8_vs_fp32", "steadiness"])
def test_row_for_which_something_is_missing_is_excused(files, runs, evaluation, tmp_path, row):
    document = changed(json.loads(evaluation.read_text()), ("rows", row), None)
    excused = tmp_path / "excused.json"
    excused.write_text(json.dumps(changed(document, ("left_out", row), "there is no such set")))
    assert release_detector(runs, files, excused, tmp_path / "models").is_dir()


def test_evaluation_at_the_files_own_score_is_taken(files, runs, evaluation, tmp_path):
    same = tmp_path / "same.json"
    same.write_text(json.dumps(changed(json.loads(evaluation.read_text()), ("columns", "int8", "min_score"), SCORE)))
    assert release_detector(runs, files, same, tmp_path / "models").is_dir()


@pytest.mark.parametrize("content", [b"", b"[1, 2", b"[]", b"\xff\xfe", b"null"])
def test_evaluation_that_is_none_is_refused(files, refused, tmp_path, content):
    junk = tmp_path / "junk.json"
    junk.write_bytes(content)
    refused(files, junk, "junk.json: not written by `agepred eval-detector`", "evaluate again")
    refused(files, tmp_path / "absent.json", "absent.json: No such file")


@pytest.mark.parametrize("step", ["write_detector_card", "filled_folder", "copyfile", "write_json"])
def test_failure_leaves_the_older_release(files, runs, evaluation, tmp_path, monkeypatch, step):
    target = tmp_path / "face_detector-0.7.1"
    target.mkdir()
    (target / "int8.onnx").write_text("older")

    def failing(*arguments, **named):
        raise OSError(28, "No space left on device", "disk")

    place = {"copyfile": "shutil.copyfile", "write_json": "agepred_train.release.write_json"}
    monkeypatch.setattr(place.get(step, f"agepred_train.detector.release.{step}"), failing)
    result = released(runs, files, evaluation, tmp_path)
    assert result.exit_code == 2
    assert "disk: No space left on device" in result.stderr
    monkeypatch.undo()
    assert contents(tmp_path) == {"face_detector-0.7.1/int8.onnx": b"older"}
    assert released(runs, files, evaluation, tmp_path).exit_code == 0
    assert (target / "int8.onnx").read_bytes() == (files / "int8.onnx").read_bytes()


def test_help_shows_how():
    text = run("release-detector", "--help").stdout
    examples = text[text.index("Examples:") :]
    assert "\n    agepred release-detector " in examples
    assert "agepred eval-detector" in examples
    assert "--evaluation" in text


def test_from_runs_to_release_by_the_commands_alone(runs, sets, tmp_path, monkeypatch):
    """On the tiny sets, which have not all that an evaluation asks for, and with a network that has learned nothing."""
    monkeypatch.chdir(tmp_path)
    data, points = sets
    made = run("export-detector", runs.detector, runs.refiner, data, "--points", points)
    assert made.exit_code == 0, made.output
    folder = tmp_path / "build" / "detector" / "0.1.0"
    evaluated = run("eval-detector", folder / "int8.onnx", folder / "fp32.onnx", "--data", data, "--split", "test",
                    "--json", "test.json")  # fmt: skip
    assert evaluated.exit_code == 0, evaluated.output
    result = released(runs, folder, "test.json", "models")
    assert result.exit_code == 0, result.output
    card = (tmp_path / "models" / "face_detector-0.1.0" / "card.md").read_text()
    assert "|  | int8 | fp32 |" in card
    assert "None" not in card
    assert "nan" not in card
