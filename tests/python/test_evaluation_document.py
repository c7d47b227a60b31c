"""Several models side by side: columns, ensembles, predictions of others, the report, and `agepred eval`."""

import csv
import json
import re

import numpy as np
import pytest

pytest.importorskip("typer")

from PIL import Image
from test_torch_peer import age_graph, write_model
from tiny_answers import answers, normal, row
from tiny_set import jpeg
from typer.testing import CliRunner

from agepred_cli.app import app
from agepred_train.archive import DataError
from agepred_train.evaluation.degradations import DEGRADATIONS
from agepred_train.evaluation.figures import measure
from agepred_train.evaluation.labels import read_labeled
from agepred_train.evaluation.others import constant, ensemble, read_predictions
from agepred_train.evaluation.predictions import load_answers

AGES = {"a.jpg": (40, "female", "White"), "b.png": (17, "male", "Asian"), "wall.jpg": (60, "male", "Asian")}


@pytest.fixture(scope="module")
def people(tmp_path_factory, hopper):
    """A folder of two photographs of a person and one of none, with their labels: ages and ranges."""
    folder = tmp_path_factory.mktemp("sets") / "people"
    folder.mkdir()
    Image.fromarray(hopper).save(folder / "a.jpg")
    Image.fromarray(hopper[:, ::-1]).save(folder / "b.png")
    (folder / "wall.jpg").write_bytes(jpeg(0, 64))
    with (folder.parent / "people.csv").open("w", newline="") as file:
        rows = [(name, *labels) for name, labels in AGES.items()]
        csv.writer(file).writerows([("file", "age", "gender", "race"), *rows])
    with (folder.parent / "ranges.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "age_min", "age_max"), ("a.jpg", 30, 39), ("b.png", 70, "")])
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two small age models: their ages mean nothing, but they are ages."""
    folder = tmp_path_factory.mktemp("models")
    return [write_model(folder / f"{name}.onnx", age_graph(scale=2.0, seed=seed)) for seed, name in enumerate("xy")]


@pytest.fixture
def samples(people):
    return read_labeled(people, people.parent / "people.csv").samples


def run(*arguments):
    return CliRunner().invoke(app, ["eval", *(str(argument) for argument in arguments)])


def test_all_columns_stand_side_by_side(people, models, tmp_path):
    others = tmp_path / "theirs.csv"
    others.write_text("file,age\nwall.jpg,\na.jpg,41.5\nb.png,30\nelsewhere.jpg,3\n")
    labels = people.parent / "people.csv"
    result = run(
        *models, "--ensemble", "--degrade", "--data", people, "--labels", labels, "--split", "all",
        "--predictions", f"theirs={others}",
        "--out", tmp_path / "answers", "--report", tmp_path / "report", "--json", tmp_path / "all.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "all.json").read_text())
    assert list(document["columns"]) == ["x", "y", "ensemble", "theirs", "median"]
    assert list(document["compared"]) == ["y", "ensemble", "theirs"]
    assert document["columns"]["x"]["bytes"] == models[0].stat().st_size
    assert document["figures"]["median"]["mae"] == pytest.approx((11 + 12 + 31) / 3)
    theirs = document["figures"]["theirs"]
    assert (theirs["n"], theirs["no_face"], theirs["mae"]) == (3, 1, pytest.approx((1.5 + 13 + 31) / 3))
    assert document["figures"]["x"]["no_face"] == 1
    # Every figure can be computed again from the files.
    for name in ("x", "y"):
        kept = tmp_path / "answers" / f"{name}-people.csv"
        again = json.loads(json.dumps(measure(load_answers(kept))))
        assert document["figures"][name] == again
        assert json.loads(kept.with_suffix(".json").read_text())["figures"] == again
        degraded = document["degraded"][name]
        assert set(degraded["rows"]) == set(DEGRADATIONS)
        worst = max(entry["mae"] for entry in degraded["rows"].values())
        assert degraded["worst_minus_clean"] == pytest.approx(worst - again["mae"])
    assert not list((tmp_path / "answers").glob("*.partial"))
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("<svg") == page.count("</svg>") >= 8
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page)
    assert page.count("<figure>") == 4 * 3  # all three pictures of each column but the constant
    assert "#2e7d32" in page
    assert "#1565c0" in page
    table = (tmp_path / "report" / "figures.md").read_text()
    assert f"| mean absolute error, years | {document['figures']['x']['mae']:.2f} |" in table
    assert len({line.count("|") for line in table.splitlines()}) == 1


def test_ranges_are_judged_by_where_ages_lie(people, models, tmp_path):
    arguments = ("--data", people, "--labels", people.parent / "ranges.csv", "--split", "all", "--out", tmp_path)
    result = run(models[0], *arguments, "--report", tmp_path / "report", "--json", tmp_path / "all.json")
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "all.json").read_text())["figures"]["x"]
    assert figures["mae"] is None
    ages = [row.age for row in load_answers(tmp_path / "x-people.csv").rows]
    assert figures["ranges"]["inside@0"] == ((29.5 <= ages[0] < 39.5) + (ages[1] >= 69.5)) / 2
    assert "inside of the labeled range" in result.stdout
    assert "mean absolute error" not in result.stdout
    assert "Inside of labeled ranges" in (tmp_path / "report" / "report.html").read_text()


def test_answers_of_the_first_run_serve_the_second(people, models, tmp_path, monkeypatch):
    arguments = (
        models[0],
        "--data",
        people,
        "--labels",
        people.parent / "people.csv",
        "--split",
        "all",
        "--out",
        tmp_path,
    )
    first = run(*arguments)
    with monkeypatch.context() as patch:
        patch.setattr("agepred_train.evaluation.ask.AgeEstimator", lambda *_, **__: pytest.fail("asked again"))
        assert run(*arguments).stdout in first.stdout  # which begins with the progress
    assert run(*arguments, "--limit", "2").exit_code == 0  # other pictures, so files of their own
    assert len(load_answers(tmp_path / "x-people-n2.csv").rows) == 2
    assert len(load_answers(tmp_path / "x-people.csv").rows) == 3


def test_figures_take_no_place_of_answers_or_of_what_is_read(people, models, tmp_path):
    labels, others, model = tmp_path / "labels.csv", tmp_path / "theirs.csv", tmp_path / "m.onnx"
    labels.write_bytes((people.parent / "people.csv").read_bytes())
    others.write_text("file,age\nwall.jpg,60\na.jpg,40\nb.png,17\n")
    model.write_bytes(models[0].read_bytes())
    arguments = (model, "--data", people, "--labels", labels, "--split", "all", "--predictions", f"t={others}")
    answered = ("m-people.json", "m-people.csv", "m-people.npz", "m-people-blur.json")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name in (*answered, "labels.csv", "theirs.csv", "m.onnx"):
        result = run(*arguments, "--degrade", "--json", tmp_path / name)
        assert result.exit_code == 2
        assert "this command reads or writes that file itself" in " ".join(result.stderr.split())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_predictions_alone_need_no_model(people, tmp_path):
    (tmp_path / "theirs.csv").write_text("file,age\nwall.jpg,60\na.jpg,40\nb.png,17\n")
    result = run(
        "--data", people, "--labels", people.parent / "people.csv", "--split", "all",
        "--predictions", f"t={tmp_path / 'theirs.csv'}", "--json", tmp_path / "all.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "all.json").read_text())["figures"]["t"]["mae"] == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,age\na.jpg,3\n", "there must be file and age"),
        ("file,age\na.jpg,3\n", "2 of 3 pictures are not answered, first b.png"),
        ("file,age\na.jpg,3\na.jpg,4\n", "line 3: a.jpg is answered twice"),
        ("file,age\na.jpg,old\n", "line 2: age 'old'"),
        ("file,age\na.jpg,nan\n", "line 2: age 'nan'"),
    ],
)
def test_faulty_predictions_are_refused(samples, tmp_path, text, words):
    path = tmp_path / "theirs.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_predictions(path, samples, 29)


def test_predictions_beyond_all_ages_still_have_a_group(samples, tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text("file,age\na.jpg,-3\nb.png,140\nwall.jpg,\n")
    found = read_predictions(path, samples, 29)
    assert [(row.age, row.group) for row in found.rows] == [(-3.0, "0-25"), (140.0, "76-116"), (29.0, "26-50")]


def test_ensemble_is_the_mean_of_distributions(samples):
    """Each member answers, where it found a face; where none did, the median."""
    nothing = np.zeros(117, np.float32)
    rows = [row(labels[0], 1.0, file=name) for name, labels in AGES.items()]
    one = answers(*rows, probabilities=np.stack([normal([20], 2)[0], nothing, nothing]))
    other = answers(*rows, probabilities=np.stack([normal([40], 2)[0], normal([70], 3)[0], nothing]))
    found = ensemble([one, other], samples, 29)
    assert [row.age for row in found.rows] == [pytest.approx(30, abs=1e-3), pytest.approx(70, abs=1e-3), 29]
    assert found.rows[0].stddev == pytest.approx(np.hypot(10, 2), abs=1e-2)
    assert [row.faces > 0 for row in found.rows] == [True, True, False]
    assert found.rows[0].low < 20
    assert found.rows[0].high > 40
    np.testing.assert_allclose(found.probabilities[0], (normal([20], 2)[0] + normal([40], 2)[0]) / 2, atol=1e-6)
    alone = ensemble([one, one], samples, 29)
    np.testing.assert_allclose(alone.probabilities, one.probabilities, atol=1e-6)
    for members in ([one], [one, answers(*rows)], [one, answers(*rows, probabilities=normal([1, 2, 3], 2, ages=50))]):
        with pytest.raises(ValueError, match="ensemble"):
            ensemble(members, samples, 29)


def test_constant_answers_every_picture(samples):
    assert [row.age for row in constant(samples, 29).rows] == [29.0] * 3


def test_command_refuses_what_it_cannot_do(people, models, tmp_path):
    labels = people.parent / "people.csv"
    base = ("--data", people, "--labels", labels, "--split", "all")
    twin = tmp_path / "twin" / "x.onnx"
    twin.parent.mkdir()
    twin.write_bytes(models[0].read_bytes())
    for arguments, words in (
        (base, "name a model, or predictions"),
        ((models[0],), "--data"),
        ((models[0], "--data", people, "--split", "all"), "named age_gender_race"),
        ((models[0], "--data", people, "--data", people, "--split", "all"), "two sources are named people"),
        ((models[0], *base, "--data", tmp_path), "is the table of one set, 2 are named"),
        ((models[0], *base, "--ensemble"), "two models"),
        ((models[0], *base, "--predictions", "theirs.csv"), "write NAME=FILE.csv"),
        ((models[0], *base, "--predictions", f"x={labels}"), "two columns would be called 'x'"),
        ((models[0], *base, "--predictions", "t=absent.csv"), "absent.csv"),
        ((models[0], models[0], *base), "two of the models are called"),
        ((models[0], twin, *base, "--out", tmp_path), "leave --out away"),
        ((models[0], "--data", people, "--labels", tmp_path / "absent.csv"), "absent.csv"),
        ((models[0], *base, "--report", labels), "--report"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, (arguments, result.output)
        assert words in result.stderr, (arguments, result.stderr)
        assert "Traceback" not in result.output
    assert not list(tmp_path.glob("*.csv"))


def test_help_shows_examples():
    result = run("--help")
    assert result.exit_code == 0
    for words in ("agepred eval int8.onnx --data", "--degrade", "file, age_min and age_max", "NAME=CSV"):
        assert words in result.stdout
