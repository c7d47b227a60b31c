"""The commands of agepred that make a model, on a handful of UTKFace pictures."""

import csv
import json
import shutil
import tarfile
from pathlib import Path

import onnx
import pytest

pytest.importorskip("typer")
pytest.importorskip("lightning")

from typer.testing import CliRunner

from agepred_cli.app import app
from agepred_edge import AgeEstimator

LICENSE = Path(__file__).parents[2] / "LICENSE"


@pytest.fixture(scope="module")
def folder(shared, tmp_path_factory):
    """Some 120 pictures as people download them, one of them with an odd name."""
    folder = tmp_path_factory.mktemp("data") / "UTKFace"
    folder.mkdir()
    with (shared / "data" / "utkface.csv").open() as table:
        names = [row["file"] for row in csv.DictReader(table)][::200]
    with tarfile.open(shared / "data" / "utkface.tar") as archive:
        for name in names:
            (folder / name).write_bytes(archive.extractfile(f"./{name}").read())
    (folder / "odd.jpg").write_bytes(b"x")
    return folder


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty current folder, into which the commands write by default."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_data_reports_and_keeps_the_faces(folder, workplace):
    result = run("data", folder)
    assert result.exit_code == 0, result.output
    assert "skipped odd.jpg" in result.stdout
    assert "training keeps" in result.stdout
    assert (workplace / "build" / "UTKFace-faces.npz").is_file()
    count = sum(int(line.split()[1]) for line in result.stdout.splitlines() if line.endswith(" pictures"))
    assert count == len(list(folder.iterdir())) - 1


def test_train_leaves_a_run_and_guards_it(folder, workplace):
    shorter = ["train", "smoke", folder, "--set", "epochs=1", "--set", "max_train_samples=16"]
    result = run(*shorter)
    assert result.exit_code == 0, result.output
    record = json.loads((workplace / "build/runs/smoke/record.json").read_text())
    assert record["recipe"]["epochs"] == 1
    assert "years on val" in result.stdout
    again = run(*shorter)
    assert again.exit_code == 2
    assert "holds a run" in again.stderr
    resumed = run(*shorter, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert json.loads((workplace / "build/runs/smoke/record.json").read_text()) == record
    other = run(*shorter, "--set", "learning_rate=0.5", "--resume")
    assert other.exit_code == 2
    assert "recipe.learning_rate = 0.001, now it is 0.5" in other.stderr
    assert json.loads((workplace / "build/runs/smoke/record.json").read_text()) == record
    replaced = run(*shorter, "--set", "learning_rate=0.5", "--replace")
    assert replaced.exit_code == 0, replaced.output
    record = json.loads((workplace / "build/runs/smoke/record.json").read_text())
    assert record["recipe"]["learning_rate"] == 0.5
    assert run(*shorter, "--set", "learning_rate=0.5", "--replace").exit_code == 0
    # What cannot begin replaces nothing.
    for impossible in (["--set", "source_weights=nobody=1"], ["--weights", folder / "nothing.pth"]):
        assert run(*shorter, *impossible, "--replace").exit_code == 2
    assert json.loads((workplace / "build/runs/smoke/record.json").read_text()) == record
    assert len((workplace / "build/runs/smoke/metrics.jsonl").read_text().splitlines()) == 1


def test_refuses_what_it_does_not_know(folder, workplace):
    for arguments, words in (
        (["data", "absent"], "absent"),
        (["train", "grand", folder], "no recipe 'grand'; there are first_light"),
        (["train", "smoke", folder, "--set", "epoch=1"], "epoch=1"),
        (["train", "smoke", folder, "--set", "epochs=0"], "epochs"),
        (["train", "smoke", folder, "--weights", "absent.pth"], "absent.pth"),
        (["train", "smoke", folder, "--weights", LICENSE], "LICENSE: not a PyTorch checkpoint"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, arguments
        assert words in result.stderr
        assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.jpg,30", "line 2: the row has 2 fields"),
        (f"{'a' * 200_000},30,0,0,,train", "line 2: not readable as CSV"),
        ("a.jpg,30,0,0,,train\na.jpg,30,0,0,,test", "line 3: a.jpg is listed on line 2 already"),
    ],
)
def test_faulty_table_is_named_with_its_line(workplace, row, words):
    tarfile.open("faces.tar", "w").close()
    (workplace / "faces.csv").write_text(f"file,age,gender,race,coral,split\n{row}\n")
    result = run("data", "faces.tar")
    assert result.exit_code == 2
    assert f"faces.csv, {words}" in result.stderr
    assert "Traceback" not in result.output


def test_tar_needs_its_table_beside_it(workplace):
    (workplace / "faces.tar").write_bytes(b"")
    result = run("data", "faces.tar")
    assert result.exit_code == 2
    assert "faces.csv" in result.stderr


def test_folder_without_labels_is_refused(workplace):
    (workplace / "holiday").mkdir()
    (workplace / "holiday" / "beach.jpg").write_bytes(b"x")
    result = run("data", "holiday")
    assert result.exit_code == 2
    assert "holiday" in result.stderr


def test_export_and_quantize_write_the_two_files(folder, workplace):
    assert run("train", "smoke", folder, "--set", "epochs=1").exit_code == 0
    assert run("export", "build/runs/smoke", "--model-version", "9.8.7").exit_code == 0
    result = run("quantize", "build/runs/smoke/fp32.onnx", folder, "--crops", "32")
    assert result.exit_code == 0, result.output
    for name in ("fp32.onnx", "int8.onnx"):
        info = AgeEstimator(workplace / "build" / "runs" / "smoke" / name).info
        assert (info.version, info.crop_side) == ("9.8.7", 64)


def test_export_and_quantize_refuse_what_is_not_there(folder, workplace):
    for arguments, words in (
        (["export", "absent"], "absent"),
        (["quantize", "absent.onnx", folder], "absent.onnx"),
        (["quantize", "absent.onnx", folder, "--method", "magic"], "magic"),
        (["quantize", LICENSE, folder], "LICENSE: not an ONNX file"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, arguments
        assert words in result.stderr
        assert "Traceback" not in result.output


@pytest.fixture
def finished(folder, workplace):
    """A run with its two model files and their evaluation on `test`, in the current folder."""
    assert run("train", "smoke", folder, "--set", "epochs=1", "--out", "run").exit_code == 0
    assert run("export", "run").exit_code == 0
    assert run("quantize", "run/fp32.onnx", folder, "--crops", "32").exit_code == 0
    models = ("run/int8.onnx", "run/fp32.onnx")
    result = run("eval", *models, "--data", folder, "--split", "test", "--json", "test.json")
    assert result.exit_code == 0, result.output
    assert "mean absolute error" in result.stdout
    assert "could not be read" not in result.stdout
    return workplace


def test_release_holds_what_was_made_and_measured(finished):
    command = "agepred train smoke UTKFace"
    result = run("release", "run", "--evaluation", "test.json", "--name", "small", "--command", command)
    assert result.exit_code == 0, result.output
    (released,) = (finished / "models").iterdir()
    assert released.name.startswith("small-")
    assert {path.name for path in released.iterdir()} == {"int8.onnx", "fp32.onnx", "card.md", "metrics.json"}
    metrics = json.loads((released / "metrics.json").read_text())
    assert metrics["commands"] == [command]
    assert metrics["evaluations"]["UTKFace-test"]["figures"]["int8"]["n"] > 0
    assert metrics["evaluations"]["UTKFace-test"]["unseen"] == "same splits"


def test_release_refuses_an_evaluation_of_another_model(finished, folder):
    version = onnx.load("run/int8.onnx").metadata_props
    (known,) = (entry.value for entry in version if entry.key == "agepred.version")
    assert run("export", "run", "--model-version", known, "--no-features").exit_code == 0
    result = run("release", "run", "--evaluation", "test.json")
    assert result.exit_code == 2
    assert "evaluate again" in result.stderr
    assert not (finished / "models").exists()


def test_eval_of_the_packaged_model_writes_into_the_current_folder(finished, folder, monkeypatch):
    packaged = finished / "run"
    monkeypatch.setattr("agepred_edge.model_files.default_age_model", lambda: packaged)
    before = sorted(packaged.iterdir())
    result = run("eval", "int8.onnx", "--data", folder, "--split", "val")
    assert result.exit_code == 0, result.output
    for ending in ("csv", "npz", "json"):
        assert (finished / f"int8-UTKFace-val.{ending}").is_file()
    assert sorted(packaged.iterdir()) == before


def test_eval_counts_a_picture_that_cannot_be_read(finished, folder, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    with (finished / "run" / "int8-UTKFace-test.csv").open() as file:
        name = next(csv.DictReader(file))["file"]
    (damaged / name).write_bytes(b"no picture")
    result = run("eval", "run/int8.onnx", "--data", damaged, "--split", "test", "--out", "answers")
    assert result.exit_code == 0, result.output
    assert "of these could not be read" in result.stdout
    assert json.loads((finished / "answers/int8-damaged-test.json").read_text())["figures"]["unreadable"] == 1
    with (finished / "answers/int8-damaged-test.csv").open() as file:
        assert [row["file"] for row in csv.DictReader(file) if row["faces"] == "-1"] == [name]


def test_release_refuses_an_evaluation_of_another_split(finished, folder):
    models = ("run/int8.onnx", "run/fp32.onnx")
    assert run("eval", *models, "--data", folder, "--split", "val", "--json", "val.json").exit_code == 0
    result = run("release", "run", "--evaluation", "val.json")
    assert result.exit_code == 2
    assert "is of the split val" in result.stderr
    assert not (finished / "models").exists()


def test_eval_refuses_what_it_cannot_do(finished, folder, tmp_path):
    for arguments, words in (
        (["absent.onnx", "--data", folder], "absent.onnx"),
        (["run/int8.onnx", "--data", "absent"], "absent"),
        (["run/int8.onnx", "--data", folder, "--out", "run/int8.onnx"], "--out run/int8.onnx"),
        (["run/int8.onnx", "--data", folder, "--json", "nowhere/all.json"], "--json nowhere/all.json"),
        (["run/record.json", "--data", folder], "record.json"),
        (["run/int8.onnx", "--data", folder, "--split", "most"], "most"),
    ):
        result = run("eval", *arguments)
        assert result.exit_code == 2, arguments
        assert words in result.stderr
        assert "Traceback" not in result.output


def test_manifest_of_data_trains_without_the_pictures(folder, workplace):
    """With --cache the pixels are kept: what training reads of a picture is no more than that it is there."""
    result = run("data", folder, "--out", "build/mine.csv", "--report", "report", "--cache", "--split", "60/20/20")
    assert result.exit_code == 0, result.output
    assert "written: build/mine.csv" in result.stdout
    assert {path.name for path in (workplace / "report").iterdir()} == {"report.html", "report.json"}
    assert not list((workplace / "build").glob("*.partial*"))
    trained = run("train", "smoke", "build/mine.csv", "--set", "epochs=1", "--set", "max_train_samples=16")
    assert trained.exit_code == 0, trained.output
    record = json.loads((workplace / "build/runs/smoke/record.json").read_text())
    assert set(record["data"]["sha256"]) == {"mine.csv", "names and sizes"}


def test_folds_find_their_caches(folder, workplace):
    assert run("data", folder, "--limit", "40", "--split", "folds:2", "--cache").exit_code == 0
    for fold in ("UTKFace-40-fold1", "UTKFace-40-fold2"):
        for name in (".csv", "-faces.npz", "-windows.bin", "-windows.bin.npz"):
            assert (workplace / "build" / f"{fold}{name}").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--layout", "pony"], "no layout 'pony'; there are packed"),
        (["--split", "1/2/3"], "6 percent together"),
        (["--ranges", "YOUNG"], "write it like YOUNG=0-29"),
        (["--conflicts", "shout"], "write drop, keep"),
        (["--conflicts", "weight:2"], "within 0 to 1"),
        (["--cleaner", "broom"], "there are detector and haar"),
        (["--layout", "fairface"], "is it FairFace"),
        (["--out", "."], "a name that ends so"),
    ],
)
def test_options_that_make_no_sense_leave_nothing_behind(folder, workplace, options, words):
    result = run("data", folder, *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert not list(workplace.iterdir())


@pytest.mark.parametrize("out", ["labels.csv", "sub/../labels.csv"])
def test_data_does_not_replace_the_labels_it_reads(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    table = tmp_path / "labels.csv"
    table.write_text("file,age\nnone.jpg,3\n")
    result = run("data", "labels.csv", "--out", out)
    assert result.exit_code == 2
    assert "it would replace the labels of labels.csv" in " ".join(result.output.split())
    assert table.read_text() == "file,age\nnone.jpg,3\n"
