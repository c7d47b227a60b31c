"""`agepred explain`: pictures, sets, and what is refused."""

import csv
import json

import numpy as np
import pytest

pytest.importorskip("typer")

from PIL import Image
from tiny_set import jpeg, make_run
from typer.testing import CliRunner

import agepred_edge
from agepred_cli.app import app
from agepred_train.export import export


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def model(trained):
    return export(trained, trained / "fp32.onnx", version="0.1.0")


@pytest.fixture(scope="module")
def people(tmp_path_factory, hopper):
    folder = tmp_path_factory.mktemp("sets") / "people"
    folder.mkdir()
    Image.fromarray(hopper).save(folder / "a.jpg")
    Image.fromarray(hopper[:, ::-1]).save(folder / "b.png")
    (folder / "wall.jpg").write_bytes(jpeg(0, 64))
    with (folder.parent / "people.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "age"), ("a.jpg", 40), ("b.png", 77), ("wall.jpg", 3)])
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["explain", *(str(argument) for argument in arguments)])


def test_pictures_get_their_maps(model, hopper_path, hopper, tmp_path):
    result = run(hopper_path, "--model", model, "--save", tmp_path / "maps")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "grace_hopper.jpg" in result.stdout
    assert "saved" in result.stdout
    (saved,) = (tmp_path / "maps").iterdir()
    assert saved.name == "grace_hopper-why.jpg"
    drawn = np.asarray(Image.open(saved)).astype(int)
    width = hopper.shape[1]
    large = np.asarray(Image.fromarray(hopper).resize(drawn.shape[1::-1], Image.Resampling.BICUBIC)).astype(int)
    (face,) = agepred_edge.AgeEstimator(model).predict(hopper_path)
    scale = drawn.shape[1] / width
    x, y = (round(scale * (start + side / 2)) for start, side in zip(face.box[:2], face.box[2:], strict=True))
    assert np.abs(drawn - large)[y - 20 : y + 20, x - 20 : x + 20].mean() > 8
    # What the model does not see stays, but for JPEG.
    assert np.abs(drawn - large)[-60:, :60].mean() < 8


def test_json_is_what_the_library_says(model, hopper_path):
    result = run(hopper_path, "--model", model, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    (face,) = document["pictures"][0]["faces"]
    estimator = agepred_edge.AgeEstimator(model)
    (crop,) = estimator.align_crops(hopper_path)
    explanation = estimator.explain_crop(crop)
    assert face["age"] == pytest.approx(explanation.age, abs=0.01)
    np.testing.assert_allclose(face["map"], explanation.map, atol=1e-4)
    assert (document["frame"]["crop_side"], document["frame"]["step"]) == (64, 32.0)


def test_run_explains_as_its_file(model, trained, hopper_path):
    documents = [
        json.loads(run(hopper_path, *chosen, "--json").stdout) for chosen in (["--model", model], ["--run", trained])
    ]
    one, other = (document["pictures"][0]["faces"][0] for document in documents)
    np.testing.assert_allclose(one["map"], other["map"], atol=2e-3)
    assert one["age"] == pytest.approx(other["age"], abs=0.05)
    assert documents[1]["model"]["backbone"] == "mobilenet_v2"


def test_set_gets_a_report(model, people, tmp_path):
    result = run("--model", model, "--data", people, "--labels", people.parent / "people.csv",
                 "--report", tmp_path / "report", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "report" / "explain.json").read_text())
    assert json.loads(result.stdout) == document
    assert document["data"]["pictures"] == 3
    assert document["data"]["no_face"] == 1
    assert {decade: one["n"] for decade, one in document["decades"].items()} == {"40-49": 1, "70-79": 1}
    assert (tmp_path / "report" / "explain.html").is_file()


def test_packaged_model_can_explain(hopper_path):
    result = run(hopper_path, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(json.loads(result.stdout)["pictures"][0]["faces"]) == 1


def test_model_without_the_output_is_refused(trained, hopper_path, people):
    labels = people.parent / "people.csv"
    plain = export(trained, trained / "plain.onnx", version="0.1.0", features=False)
    for arguments in ([hopper_path], ["--data", people, "--labels", labels]):
        result = run(*arguments, "--model", plain)
        assert result.exit_code == 2
        assert "plain.onnx: the model has no output `features`" in result.stderr
        assert "agepred export" in result.stderr


def test_bad_picture_is_reported_and_the_others_go_on(model, hopper_path, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    result = run(broken, hopper_path, "--model", model, "--json")
    assert result.exit_code == 1
    assert "broken.jpg" in result.stderr
    first, second = json.loads(result.stdout)["pictures"]
    assert "error" in first
    assert len(second["faces"]) == 1


@pytest.mark.parametrize(("arguments", "words"), [
    ([], "name photographs, or a labeled set"),
    (["a.jpg", "--data", "set"], "one of the two"),
    (["a.jpg", "--model", "a.onnx", "--run", "b"], "choose one"),
    (["a.jpg", "--split", "val"], "--split says nothing to photographs"),
    (["a.jpg", "--report", "x"], "--report says nothing to photographs"),
    (["--data", "set", "--save", "x"], "--save says nothing to --data"),
    (["a.jpg", "--run", "no/such/run"], "no/such/run"),
])  # fmt: skip
def test_wrong_usage_ends_with_2(arguments, words):
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_split_of_a_set_without_splits_is_dealt_as_by_eval(model, people, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--model", model, "--data", people, "--labels", people.parent / "people.csv", "--json"]
    whole = run(*arguments)
    assert json.loads(whole.stdout)["data"]["pictures"] == 3
    assert "no splits, so all pictures count" in whole.stderr
    part = run(*arguments, "--split", "train")
    assert part.exit_code == 0, part.output
    assert json.loads(part.stdout)["data"]["pictures"] < 3
    assert "dealt 70/15/15" in part.stderr
