"""Options that several commands have mean and say the same in all of them."""

import pytest

pytest.importorskip("typer")

import typer.main

from agepred_cli.app import app
from agepred_cli.options import check_file

SHARED = {
    "--face-model": {"predict", "calibrate", "eval", "explain"},
    "--points-model": {"predict", "calibrate", "eval", "explain"},
    "--layout": {"data", "train", "quantize", "calibrate", "eval", "explain"},
    "--ranges": {"data", "train", "quantize", "calibrate", "eval", "explain"},
    "--faces": {"data", "train", "quantize"},
    "--set": {"train", "train-detector", "train-refiner"},
    "--resume": {"train", "train-detector", "train-refiner"},
    "--data": {"calibrate", "eval", "explain"},
    "--labels": {"calibrate", "eval", "explain"},
    "--split": {"eval", "explain"},
}


@pytest.mark.parametrize("option", SHARED)
def test_one_text_for_one_option(option):
    commands = typer.main.get_command(app).commands
    found = {
        name: (parameter.help, parameter.metavar, parameter.multiple)
        for name in SHARED[option]
        for parameter in commands[name].params
        if option in parameter.opts
    }
    assert found.keys() == SHARED[option]
    assert len(set(found.values())) == 1


def test_results_find_a_place_that_is_theirs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "m.onnx"
    model.write_bytes(b"")
    check_file("--json", None, (model,))
    check_file("--json", tmp_path / "new.json", (model,))
    (tmp_path / "link.json").symlink_to(model)
    for path, words in (
        (tmp_path, "a file in a folder that exists"),
        (tmp_path / "no" / "x.json", "a file in a folder that exists"),
        (model.relative_to(tmp_path), "reads or writes that file itself"),
        (tmp_path / "link.json", "reads or writes that file itself"),
    ):
        with pytest.raises(typer.Exit):
            check_file("--json", path, (model,))
        assert words in capsys.readouterr().err
