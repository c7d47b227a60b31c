"""The figures by which versions are compared: flat, few, and of the right set."""

import json

import pytest
from tiny_evaluation import document
from typer.testing import CliRunner

from agepred_cli.app import app
from agepred_train.archive import DataError
from agepred_train.key_figures import key_figures, set_name


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    files = [folder / name for name in ("int8.onnx", "fp32.onnx")]
    for file in files:
        file.write_text(file.name)
    return [document(*files), document(*files, name="portraits", split=None, ranges=True, degrade=True)]


def test_figures_by_set_and_column(documents):
    figures = key_figures(documents)
    assert list(figures) == ["utkface-test", "portraits"]
    exact, ranged = figures["utkface-test"], figures["portraits"]
    assert list(exact) == ["int8", "fp32"]
    assert exact["int8"]["mae"] == round(documents[0]["figures"]["int8"]["mae"], 4)
    assert exact["int8"]["coverage80"] == round(
        documents[0]["figures"]["int8"]["calibration"]["intervals"]["0.8"]["coverage"], 4
    )
    assert "inside" not in exact["int8"]
    assert "mae" not in ranged["int8"]
    assert ranged["int8"]["inside"] == round(documents[1]["figures"]["int8"]["ranges"]["inside@0"], 4)
    assert ranged["fp32"]["degraded_worst_minus_clean"] == 0.0


def test_two_of_one_set_and_other_documents_are_refused(documents):
    with pytest.raises(DataError, match="two evaluations are of utkface-test"):
        key_figures([documents[0], documents[0]])
    for odd in ({}, [], {"data": {}, "columns": {}, "figures": {}}):
        with pytest.raises(DataError, match="not what `agepred eval --json` writes"):
            set_name(odd)


def test_command_writes_them_and_refuses_what_is_none(documents, tmp_path):
    source, out = tmp_path / "utkface.json", tmp_path / "models" / "age.json"
    source.write_text(json.dumps(documents[0]))
    result = CliRunner().invoke(app, ["key-figures", str(source), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text()) == key_figures(documents[:1])
    source.write_text("no JSON")
    result = CliRunner().invoke(app, ["key-figures", str(source), "--out", str(out)])
    assert result.exit_code == 2
    assert "name what `agepred eval --json` wrote" in " ".join(result.output.split())
