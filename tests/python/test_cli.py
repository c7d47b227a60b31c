"""The command agepred: predict, --version, and what it says where something is missing."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("typer")
Image = pytest.importorskip("PIL.Image")

from typer.testing import CliRunner  # noqa: E402

import agepred_edge  # noqa: E402
from agepred_cli.app import app  # noqa: E402

COMMANDS = (
    "predict", "data", "train", "export", "quantize", "eval", "key-figures", "release", "label-faces", "train-detector",
    "train-refiner", "export-detector", "eval-detector", "release-detector", "explain", "ablate",
)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small age model: its ages mean nothing, but they are ages."""
    from test_torch_peer import age_graph, write_model

    return write_model(tmp_path_factory.mktemp("models") / "int8.onnx", age_graph(scale=2.0))


@pytest.fixture
def wall(tmp_path):
    path = tmp_path / "wall.png"
    Image.new("RGB", (64, 48), "gray").save(path)
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def predicted(model, *arguments):
    """The JSON document of a run that must succeed."""
    result = run("predict", "--json", "--model", model, *arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


def test_table_has_a_row_a_face(model, hopper_path):
    result = run("predict", hopper_path, "--model", model)
    assert (result.exit_code, result.stderr) == (0, "")
    heading, row = result.stdout.splitlines()
    assert heading.split() == ["photo", "face", "age", "±", "80%", "interval", "group", "box", "score"]
    (face,) = agepred_edge.AgeEstimator(model).predict(hopper_path)
    assert row.startswith("grace_hopper.jpg ")
    for cell in (f"{face.age:.1f}", f"{face.stddev:.1f}", face.group, f"{face.score:.2f}"):
        assert cell in row.split()


def test_json_says_what_the_library_says(model, hopper_path):
    document = predicted(model, hopper_path)
    (face,) = agepred_edge.AgeEstimator(model).predict(hopper_path)
    assert document == {
        "agepred": agepred_edge.__version__,
        "model": {"version": "0.0.1", "interval_level": 0.8},
        "pictures": [{"picture": str(hopper_path), "faces": [face.to_dict()]}],
    }


def test_picture_without_a_face_is_an_answer(model, wall):
    result = run("predict", wall, "--model", model)
    assert result.exit_code == 0
    assert "no face" in result.stdout
    assert predicted(model, wall)["pictures"] == [{"picture": str(wall), "faces": []}]


def test_bad_picture_is_reported_and_the_others_go_on(model, hopper_path, tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("this is not a picture")
    gone = tmp_path / "gone.jpg"
    result = run("predict", text, hopper_path, gone, "--model", model)
    assert result.exit_code == 1
    assert "grace_hopper.jpg" in result.stdout
    assert "text.jpg" not in result.stdout
    assert "text.jpg" in result.stderr
    assert "gone.jpg" in result.stderr
    assert "Traceback" not in result.stderr
    result = run("predict", text, hopper_path, "--model", model, "--json")
    assert result.exit_code == 1
    first, second = json.loads(result.stdout)["pictures"]
    assert "error" in first
    assert "faces" not in first
    assert len(second["faces"]) == 1


def test_saves_annotated_pictures(model, hopper_path, wall, tmp_path):
    folder = tmp_path / "new" / "annotated"
    document = predicted(model, hopper_path, wall, "--save", folder)
    saved = [Path(picture["saved"]) for picture in document["pictures"]]
    assert saved == [folder / "grace_hopper-ages.jpg", folder / "wall-ages.png"]
    assert sorted(folder.iterdir()) == sorted(saved)
    with Image.open(saved[0]) as picture, Image.open(hopper_path) as original:
        assert (picture.format, picture.size) == ("JPEG", (546, 640))
        difference = np.asarray(picture, float) - np.asarray(original.resize(picture.size), float)
    assert 0.01 < (np.abs(difference).max(axis=2) > 60).mean() < 0.2
    table = run("predict", hopper_path, "--save", folder, "--model", model)
    assert f"saved {saved[0]}" in table.stdout


def test_pictures_of_one_name_do_not_overwrite_each_other(model, wall, tmp_path):
    other = tmp_path / "other" / "wall.png"
    other.parent.mkdir()
    Image.new("RGB", (30, 20), "red").save(other)
    folder = tmp_path / "annotated"
    predicted(model, wall, other, wall, "--save", folder)
    assert {path.name for path in folder.iterdir()} == {"wall-ages.png", "wall-ages-2.png", "wall-ages-3.png"}


def test_saving_never_replaces_an_input(model, hopper_path, tmp_path, monkeypatch):
    """The second photo has the name that the first one's result would take; it was once overwritten unread."""
    monkeypatch.chdir(tmp_path)
    first, second = tmp_path / "mine.jpg", tmp_path / "mine-ages.jpg"
    first.write_bytes(hopper_path.read_bytes())
    Image.new("RGB", (64, 48), "gray").save(second)
    before = second.read_bytes()
    document = predicted(model, "mine.jpg", "mine-ages.jpg", "--save", ".")
    assert second.read_bytes() == before
    assert [len(picture["faces"]) for picture in document["pictures"]] == [1, 0]
    # Nor under another name of the same file.
    folder = tmp_path / "links"
    folder.mkdir()
    (folder / "mine-ages.jpg").symlink_to(second)
    os.link(second, folder / "mine-ages-2.jpg")
    predicted(model, "mine.jpg", "mine-ages.jpg", "--save", folder)
    assert second.read_bytes() == before
    assert (folder / "mine-ages-3.jpg").is_file()


def test_link_that_leads_to_itself(model, hopper_path, tmp_path):
    loop = tmp_path / "self.jpg"
    loop.symlink_to(loop)
    result = run("predict", loop, hopper_path, "--model", model, "--save", tmp_path / "out")
    assert result.exit_code == 1
    assert "self.jpg" in result.stderr
    assert (tmp_path / "out" / "grace_hopper-ages.jpg").is_file()


# What has to be done with the stored rows and columns for each value of the tag, by the Exif standard.
UPRIGHT = {
    2: np.fliplr, 3: lambda rows: np.rot90(rows, 2), 4: np.flipud, 5: lambda rows: rows.swapaxes(0, 1),
    6: lambda rows: np.rot90(rows, -1), 7: lambda rows: np.rot90(rows, 2).swapaxes(0, 1), 8: np.rot90,
}  # fmt: skip


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_turned_picture_is_judged_and_saved_upright(model, hopper_path, tmp_path, orientation):
    turned, upright = tmp_path / "turned.jpg", tmp_path / "upright.png"
    back = {6: 8, 8: 6}.get(orientation, orientation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(hopper_path) as picture:
        Image.fromarray(UPRIGHT[back](np.asarray(picture))).save(turned, exif=exif, quality=95)
    with Image.open(turned) as stored:  # as it lies there: Pillow leaves the tag alone
        Image.fromarray(UPRIGHT[orientation](np.asarray(stored))).save(upright)
    outcome, expected = predicted(model, turned, upright, "--save", tmp_path)["pictures"]
    assert len(expected["faces"]) == 1
    assert outcome["faces"] == expected["faces"]
    with Image.open(outcome["saved"]) as saved:
        assert saved.size == (546, 640)
        assert saved.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("kind", ["a file", "in a file", "not to be made"])
def test_folder_that_cannot_be_written_is_refused_before_the_work(model, hopper_path, tmp_path, kind):
    file = tmp_path / "file"
    file.write_text("")
    folder = {"a file": file, "in a file": file / "folder", "not to be made": Path("/proc/agepred")}[kind]
    result = run("predict", hopper_path, "--model", model, "--save", folder)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"--save {folder}" in result.stderr


def test_picture_that_cannot_be_saved_is_reported(model, hopper_path, tmp_path):
    (tmp_path / "grace_hopper-ages.jpg").mkdir()
    result = run("predict", hopper_path, "--model", model, "--save", tmp_path, "--json")
    assert result.exit_code == 1
    assert "cannot write" in result.stderr
    (outcome,) = json.loads(result.stdout)["pictures"]
    assert len(outcome["faces"]) == 1
    assert "cannot write" in outcome["error"]
    assert [path.name for path in tmp_path.iterdir()] == ["grace_hopper-ages.jpg"]


@pytest.mark.parametrize("error", [MemoryError(), ValueError("too wide"), OSError(28, "No space left on device")])
def test_picture_that_cannot_be_drawn_leaves_nothing_behind(model, hopper_path, tmp_path, monkeypatch, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr("PIL.Image.Image.save", fail)
    result = run("predict", hopper_path, "--model", model, "--save", tmp_path)
    assert result.exit_code == 1
    assert f"cannot write {tmp_path}" in result.stderr
    assert {"MemoryError": "MemoryError", "ValueError": "too wide", "OSError": "No space left"}[
        type(error).__name__
    ] in result.stderr
    assert not list(tmp_path.iterdir())


def test_threshold_leaves_faces_out(model, hopper_path):
    (face,) = predicted(model, hopper_path)["pictures"][0]["faces"]
    assert face["score"] < 0.99
    assert predicted(model, hopper_path, "--min-score", "0.99")["pictures"][0]["faces"] == []


def test_name_that_is_no_utf8_is_shown(model, wall, tmp_path):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xe4d.png"))
    odd.write_bytes(wall.read_bytes())
    result = run("predict", odd, "--model", model)
    assert result.exit_code == 0
    assert "b\N{REPLACEMENT CHARACTER}d.png" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--frobnicate"],
        ["x.jpg", "--threads", "0"],
        ["x.jpg", "--threads", "a"],
        ["x.jpg", "--min-score", "2"],
    ],
)
def test_wrong_usage_ends_with_2(arguments):
    result = run("predict", *arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_models_that_cannot_be_used_end_with_2(model, hopper_path, tmp_path):
    text = tmp_path / "text.onnx"
    text.write_text("no weights")
    for option in ("--model", "--face-model"):
        for file in (text, tmp_path / "gone.onnx"):
            result = run("predict", hopper_path, "--model", model, option, file)
            assert result.exit_code == 2
            assert file.name in result.stderr
            assert result.stdout == ""


def test_missing_detector_is_explained_once(model, monkeypatch):
    monkeypatch.setattr("agepred_edge.model_files.default_face_model", lambda: None)
    result = run("predict", "one.jpg", "two.jpg", "--model", model)
    assert result.exit_code == 2
    assert result.stderr.count("AGEPRED_FACE_MODEL") == 1
    assert "face_detector-0.1.0" in result.stderr


def test_version_reports_runtime_processor_and_models(tmp_path, monkeypatch):
    face_model = tmp_path / "face.onnx"
    face_model.write_bytes(b"weights")
    monkeypatch.setenv("AGEPRED_FACE_MODEL", str(face_model))
    monkeypatch.setattr(agepred_edge, "default_age_model", lambda: tmp_path)
    (tmp_path / "int8.onnx").write_bytes(b"int8")
    result = run("--version")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    runtime = agepred_edge.runtime_info()
    assert lines[0] == f"agepred {agepred_edge.__version__}"
    assert f"ONNX Runtime {runtime.onnxruntime_version} ({runtime.onnxruntime_path})" in lines
    assert f"processor features: {runtime.cpu_features}" in lines
    assert f"face model {face_model}: sha256 {hashlib.sha256(b'weights').hexdigest()}" in lines
    assert any(hashlib.sha256(b"int8").hexdigest() in line for line in lines)
    assert any("fp32.onnx: cannot be read" in line for line in lines)


def test_version_says_what_is_missing(monkeypatch):
    def no_model():
        raise FileNotFoundError("no model here")

    def no_runtime():
        raise agepred_edge.RuntimeMissingError("no runtime here")

    monkeypatch.setattr(agepred_edge, "default_age_model", no_model)
    monkeypatch.setattr(agepred_edge, "runtime_info", no_runtime)
    monkeypatch.setattr("agepred_edge.model_files.default_face_model", lambda: None)
    result = run("--version")
    assert result.exit_code == 0
    assert "no model here" in result.stdout
    assert "no runtime here" in result.stdout
    assert "face_detector-0.1.0" in result.stdout


def test_help_has_examples():
    for command in ([], *([name] for name in COMMANDS)):
        result = run(*command, "--help")
        assert result.exit_code == 0
        assert "\n    agepred " in result.stdout


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_predicting_imports_no_training_tools():
    code = "import sys, agepred_cli.app; print({'torch', 'lightning', 'agepred_train'} & set(sys.modules))"
    assert python(code).stdout.strip() == "set()"


@pytest.mark.parametrize("missing", ["typer", "rich", "PIL"])
def test_missing_extra_is_named(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; import agepred_cli; agepred_cli.main()"
    result = python(code)
    assert result.returncode == 2
    assert f"needs {missing}: pip install 'agepred-edge[cli]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_missing_training_tools_are_named():
    release = ["release", ".", "--evaluation", "test.json"]
    for command in (["data", "."], ["train", "first_light", "."], ["export", "."], release):
        code = (
            "import sys; sys.modules['agepred_train'] = None; import agepred_cli; "
            f"sys.argv[1:] = {command!r}; agepred_cli.main()"
        )
        result = python(code)
        assert result.returncode == 2
        assert "pip install 'agepred-edge[train]'" in result.stderr
        assert "Traceback" not in result.stderr
