"""`agepred train` on several data sets."""

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
def folders(shared, tmp_path_factory):
    """Two folders of forty pictures each."""
    root = tmp_path_factory.mktemp("data")
    with tarfile.open(shared / "data" / "utkface.tar") as archive:
        members = [member for member in archive if member.isfile()][:80]
        for number, name in enumerate(("one", "two")):
            (root / name).mkdir()
            for member in members[number::2]:
                (root / name / member.name.removeprefix("./")).write_bytes(archive.extractfile(member).read())
    return root / "one", root / "two"


def test_two_sets_are_trained_on_and_validated_apart(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = ["--set", "epochs=1", "--set", "max_train_samples=0", "--set", "batch_size=4"]
    result = run("train", "smoke", *folders, *short, "--set", "source_weights=two=0.5")
    assert result.exit_code == 0, result.output
    assert "val_mae_two" in result.stdout
    record = json.loads((tmp_path / "build/runs/smoke/record.json").read_text())
    assert {key.partition("/")[0] for key in record["data"]["sha256"]} == {"one", "two"}


def test_what_does_not_fit_several_sets_is_refused(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments, words in (
        ([*folders, "--faces", "cache.npz"], "--faces cache.npz: names the cache of one source"),
        ([folders[0], folders[0]], "two sources are named one"),
        ([folders[0], "--set", "source_weights=one=0.5"], "source_weights names one"),
        ([folders[0], "--teacher", "absent"], "absent/best.ckpt"),
    ):
        result = run("train", "smoke", *arguments)
        assert result.exit_code == 2, result.output
        assert words in result.stderr.replace("\n", " ")
        assert "Traceback" not in result.output
