"""What `agepred data` writes serves every later command, from training to the evaluation."""

import csv
import json
import tarfile

import pytest

pytest.importorskip("typer")
pytest.importorskip("lightning")

from typer.testing import CliRunner

from agepred_cli.app import app


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(shared, tmp_path_factory):
    """A hundred pictures as people download them."""
    folder = tmp_path_factory.mktemp("data") / "UTKFace"
    folder.mkdir()
    with (shared / "data" / "utkface.csv").open() as table:
        names = [row["file"] for row in csv.DictReader(table)][::240]
    with tarfile.open(shared / "data" / "utkface.tar") as archive:
        for name in names:
            (folder / name).write_bytes(archive.extractfile(f"./{name}").read())
    return folder


def files(path):
    with path.open(newline="") as table:
        return {row["file"] for row in csv.DictReader(table)}


def test_every_step_takes_the_table(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = "build/UTKFace.csv"
    quantize = ["quantize", "run/fp32.onnx", table, "--crops", "32"]
    evaluate = ["eval", "run/fp32.onnx", "run/int8.onnx", "--split", "test"]
    for arguments in (
        ["data", folder],
        ["train", "smoke", table, "--set", "epochs=1", "--set", "max_train_samples=16", "--out", "run"],
        ["export", "run"],
        quantize,
        [*evaluate, "--data", table],
    ):
        result = run(*arguments)
        assert result.exit_code == 0, (arguments, result.output)
    record = json.loads((tmp_path / "run/record.json").read_text())
    answered = json.loads((tmp_path / "run/int8-UTKFace-test.json").read_text())
    assert answered["data_sha256"] == record["data"]["sha256"]  # what a release compares
    with (tmp_path / table).open(newline="") as rows:
        tested = {row["name"] for row in csv.DictReader(rows) if row["split"] == "test"}
    assert files(tmp_path / "run/int8-UTKFace-test.csv") == tested
    # The folder itself is divided as the table says.
    result = run(*evaluate, "--data", folder, "--out", "raw")
    assert result.exit_code == 0, result.output
    assert "UTKFace names no splits" in result.stderr
    assert files(tmp_path / "raw/int8-UTKFace-test.csv") == tested
    few = run("calibrate", "run/int8.onnx", "--data", table)
    assert few.exit_code == 2
    assert "150 are needed to calibrate on" in few.stderr


def test_several_sets_are_measured_at_once(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text(f"path,age,split\n{next(folder.iterdir())},30,test\n")
    (tmp_path / "theirs.csv").write_text("file,age\n")
    arguments = ["--data", folder, "--data", "mine.csv", "--split", "all", "--limit", "4"]
    result = run("eval", *arguments, "--predictions", "t=theirs.csv")
    assert result.exit_code == 2
    assert "4 of 4 pictures are not answered, first UTKFace/" in result.stderr
    assert not (tmp_path / "build").exists()  # nothing had to be divided


def test_sets_without_splits_are_measured_whole_unless_a_part_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text(f"path,age,split\n{next(folder.iterdir())},30,test\n")
    (tmp_path / "theirs.csv").write_text("file,age\n")
    theirs = ["--predictions", "t=theirs.csv"]
    count = len(list(folder.iterdir()))
    whole = run("eval", "--data", folder, *theirs)
    assert f"{count} of {count} pictures are not answered" in whole.stderr
    assert "UTKFace: no splits, so all pictures count" in whole.stderr
    part = run("eval", "--data", folder, "--split", "val", *theirs)
    assert "dealt 70/15/15" in part.stderr
    assert f"of {count} pictures" not in part.stderr
    mixed = run("eval", "--data", folder, "--data", "mine.csv", *theirs)
    assert mixed.exit_code == 2
    assert "UTKFace: names no splits, and other sets do; say which pictures count" in mixed.stderr


def test_current_folder_is_a_set_with_a_name(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    result = run("train", "smoke", ".", "--set", "epochs=1", "--set", "max_train_samples=16", "--out", tmp_path / "run")
    try:
        assert result.exit_code == 0, result.output
        names = {path.name for path in (folder / "build").iterdir()}
        assert names == {"UTKFace-faces.npz", "UTKFace-survey.npz"}
    finally:
        for path in (folder / "build").iterdir():
            path.unlink()
        (folder / "build").rmdir()
