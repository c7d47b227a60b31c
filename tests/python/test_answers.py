"""Answers of runs that no model file can hold, and how they come beside those of models."""

import csv
import dataclasses
import json
import shutil
import tarfile

import pytest
import torch
from tiny_set import faces_of, make_collection

import agepred_edge
from agepred_train import recipes
from agepred_train.answers import write_answers
from agepred_train.archive import DataError
from agepred_train.data import GROUPS, Collection
from agepred_train.dataset import FaceCrops
from agepred_train.evaluation.labels import read_labeled
from agepred_train.evaluation.others import read_predictions
from agepred_train.network import load_run
from agepred_train.prepare import prepare
from agepred_train.train import train

HEADS = {"distribution": "soft_label", "regression": "mse", "groups": "cross_entropy"}
COUNT = 40


@pytest.fixture(scope="module")
def pictures(shared, tmp_path_factory):
    """A folder with some of UTKFace's pictures, and one that is none."""
    folder = tmp_path_factory.mktemp("data") / "pictures"
    folder.mkdir()
    with tarfile.open(shared / "data" / "utkface.tar") as archive:
        for member in [member for member in archive if member.isfile()][: 10 * COUNT : 10]:
            (folder / member.name.removeprefix("./")).write_bytes(archive.extractfile(member).read())
    (folder / "99_0_0_20170101000000000.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def samples(pictures):
    return read_labeled(pictures).samples


@pytest.fixture(scope="module")
def finder():
    return agepred_edge.FaceDetector()


@pytest.fixture(scope="module")
def faces(samples, finder, tmp_path_factory):
    return prepare(Collection(samples=samples, hashes={}), finder, tmp_path_factory.mktemp("faces") / "faces.npz")


def outputs_of(run, samples, faces):
    """What the network says of each picture with a face, by its name."""
    network, recipe = load_run(run)
    crops = FaceCrops(samples, faces, side=recipe.crop_side)
    with torch.inference_mode():
        return {
            sample.name: network(item.crop[None].contiguous(memory_format=torch.channels_last))[0]
            for sample, item in zip(crops.samples, crops, strict=False)
        }


def changed(run, part, change):
    """Change the last layer's weight or bias in a run's checkpoint."""
    path = run / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint["state_dict"][f"network.classifier.1.{part}"])
    torch.save(checkpoint, path)
    return run


@pytest.fixture(scope="module", params=HEADS)
def run(request, shared, samples, faces, tmp_path_factory):
    """A run whose answers differ and lie in several groups, though an epoch teaches little."""
    folder = tmp_path_factory.mktemp("runs")
    collection = make_collection(folder)
    recipe = dataclasses.replace(
        recipes.smoke(), width=1.0, epochs=1, head=request.param, loss=HEADS[request.param], learning_rate=1e-6
    )
    weights = shared / "weights" / "mobilenet_v2_imagenet.pth"
    trained = train(recipe, collection, faces_of(collection), folder / request.param, weights=weights).folder
    changed(trained, "weight", lambda weight: weight.mul_(10))
    middle = torch.stack(list(outputs_of(trained, samples, faces).values())).mean(0)
    return changed(trained, "bias", lambda bias: bias.sub_(middle - (26 if request.param == "regression" else 0)))


def answered(run, samples, finder, path):
    write_answers(run, samples, finder, path)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_answers_are_the_networks(run, samples, faces, finder, tmp_path):
    rows = answered(run, samples, finder, tmp_path / "answers.csv")
    assert [row["file"] for row in rows] == [sample.name for sample in samples]
    _, recipe = load_run(run)
    expected = {}
    for name, outputs in outputs_of(run, samples, faces).items():
        if recipe.head == "regression":
            age = outputs[0].item()
            group = next((f"{a}-{b}" for a, b in GROUPS if age < b + 1), "76-116")
        else:
            shares = torch.softmax(outputs, 0)
            middles = torch.tensor([(a + b) / 2 for a, b in GROUPS])
            age = (shares @ (middles if recipe.head == "groups" else torch.arange(117.0))).item()
            sums = shares if recipe.head == "groups" else torch.stack([shares[a : b + 1].sum() for a, b in GROUPS])
            group = "-".join(map(str, GROUPS[sums.argmax()]))
        expected[name] = (age, group)
    assert len(expected) > COUNT * 0.9
    assert len({group for _, group in expected.values()}) > 1
    for row in rows:
        if row["file"] not in expected:
            assert (row["age"], row["group"]) == ("", "")
            continue
        age, group = expected[row["file"]]
        assert float(row["age"]) == pytest.approx(age, abs=0.01)
        assert row["group"] == group


def test_they_are_read_as_predictions(run, samples, finder, tmp_path):
    rows = answered(run, samples, finder, tmp_path / "answers.csv")
    for row, answer in zip(rows, read_predictions(tmp_path / "answers.csv", samples, 29).rows, strict=True):
        if row["age"]:
            assert (answer.faces, answer.age, answer.group) == (1, float(row["age"]), row["group"])
        else:
            assert (answer.faces, answer.age, answer.group) == (0, 29, "26-50")


def test_a_run_that_went_astray_or_is_none_is_named(run, samples, finder, tmp_path):
    astray = changed(shutil.copytree(run, tmp_path / "astray"), "weight", lambda weight: weight.fill_(torch.nan))
    with pytest.raises(DataError, match="astray: the network answers with no number"):
        write_answers(astray, samples, finder, tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"not a run of `agepred train` \(.*best\.ckpt is not there\)"):
        write_answers(tmp_path, samples, finder, tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()


def test_groups_of_predictions_are_checked(samples, tmp_path):
    path = tmp_path / "theirs.csv"

    def write(group):
        lines = [f"{sample.name},30,{group}" for sample in samples]
        path.write_text("\n".join(["file,age,group", *lines]))

    write("0-25")
    assert {row.group for row in read_predictions(path, samples, 29).rows} == {"0-25"}
    write("")
    assert {row.group for row in read_predictions(path, samples, 29).rows} == {"26-50"}
    write("20-29")
    with pytest.raises(DataError, match=r"theirs\.csv, line 2: group '20-29' is none of 0-25, 26-50"):
        read_predictions(path, samples, 29)


def test_the_command(run, pictures, tmp_path, monkeypatch):
    pytest.importorskip("typer")
    from typer.testing import CliRunner

    from agepred_cli.app import app

    def agepred(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    monkeypatch.chdir(tmp_path)
    # Sets without splits count whole, in both commands.
    result = agepred("answer", run, "--data", pictures, "--out", "theirs.csv")
    assert result.exit_code == 0, result.output
    assert "no splits, so all pictures count" in result.stderr.replace("\n", " ")
    assert f"wrote theirs.csv: {COUNT + 1} pictures, 1 of them without a face" in result.stdout
    arguments = ("--data", pictures, "--predictions", "theirs=theirs.csv", "--json", "figures.json")
    result = agepred("eval", *arguments)
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["columns"]["theirs"]["kind"] == "predictions"
    assert figures["figures"]["theirs"]["n"] == COUNT + 1
    labels = tmp_path / "set.csv"
    labels.write_text("file,age\n")
    (tmp_path / "set.tar").write_bytes(b"")
    before = (run / "best.ckpt").read_bytes()
    for wrong, words in (
        (("absent", "--data", pictures, "--out", "a.csv"), "absent: there is no such folder"),
        ((pictures, "--data", pictures, "--out", "a.csv"), "not a run of `agepred train`"),
        ((run, "--data", pictures, "--out", "absent/a.csv"), "name a file in a folder that exists"),
        ((run, "--data", "set.tar", "--out", "set.csv"), "this command reads or writes that file"),
        ((run, "--data", pictures, "--out", run / "best.ckpt"), "the folder is the run's"),
    ):
        result = agepred("answer", *wrong)
        assert result.exit_code == 2, (wrong, result.output)
        assert words in result.stderr.replace("\n", " ")
        assert "Traceback" not in result.output
    assert not (tmp_path / "a.csv").exists()
    assert (labels.read_text(), (run / "best.ckpt").read_bytes()) == ("file,age\n", before)
