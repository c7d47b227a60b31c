"""The commands of agepred that make a model, on a handful of UTKFace pictures."""

import csv
import json
import tarfile

import pytest

pytest.importorskip("typer")
pytest.importorskip("lightning")

from typer.testing import CliRunner

from agepred_cli.app import app


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
    resumed = run(*shorter[:-4], "--set", "epochs=2", "--set", "max_train_samples=16", "--resume")
    assert resumed.exit_code == 0, resumed.output


def test_refuses_what_it_does_not_know(folder, workplace):
    for arguments, words in (
        (["data", "absent"], "absent"),
        (["train", "grand", folder], "no recipe 'grand'; there are first_light"),
        (["train", "smoke", folder, "--set", "epoch=1"], "epoch=1"),
        (["train", "smoke", folder, "--set", "epochs=0"], "epochs"),
        (["train", "smoke", folder, "--weights", "absent.pth"], "absent.pth"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, arguments
        assert words in result.stderr
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
