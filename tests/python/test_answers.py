"""Answers of runs that no model file can hold, and how they come beside those of models."""

import csv
import dataclasses
import json
import tarfile

import pytest
import torch
from tiny_set import faces_of, make_collection

from agepred_train import recipes
from agepred_train.answers import outputs_of, write_answers
from agepred_train.archive import DataError
from agepred_train.data import GROUPS
from agepred_train.dataset import FaceCrops
from agepred_train.evaluation.others import read_predictions
from agepred_train.network import load_run
from agepred_train.train import train

HEADS = {"distribution": "soft_label", "regression": "mse", "groups": "cross_entropy"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    collection = make_collection(tmp_path_factory.mktemp("set"))
    faces = faces_of(collection)
    faces.counts[-1] = 0  # the last picture of `test` shows no face
    return collection, faces


@pytest.fixture(scope="module", params=HEADS)
def run(request, inputs, tmp_path_factory):
    recipe = dataclasses.replace(recipes.smoke(), epochs=1, head=request.param, loss=HEADS[request.param])
    return train(recipe, *inputs, tmp_path_factory.mktemp("runs") / request.param).folder


def test_answers_are_the_networks(run, inputs, tmp_path):
    collection, faces = inputs
    samples = collection.part("test")
    write_answers(run, samples, faces, tmp_path / "answers.csv")
    with (tmp_path / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [sample.name for sample in samples]
    assert (rows[-1]["age"], rows[-1]["group"]) == ("", "")
    network, recipe = load_run(run)
    for sample, row in zip(samples[:-1], rows, strict=False):
        (item,) = FaceCrops([sample], faces, side=recipe.crop_side)
        with torch.inference_mode():
            outputs = network(item.crop[None].contiguous(memory_format=torch.channels_last))[0]
        if recipe.head == "regression":
            age = outputs[0].item()
            group = next(f"{a}-{b}" for a, b in GROUPS if age < b + 1)
        else:
            shares = torch.softmax(outputs, 0)
            middles = torch.tensor([(a + b) / 2 for a, b in GROUPS])
            age = (shares @ (middles if recipe.head == "groups" else torch.arange(117.0))).item()
            sums = shares if recipe.head == "groups" else torch.stack([shares[a : b + 1].sum() for a, b in GROUPS])
            group = "-".join(map(str, GROUPS[sums.argmax()]))
        assert float(row["age"]) == pytest.approx(age, abs=0.01)
        assert row["group"] == group


def test_they_are_read_as_predictions(run, inputs, tmp_path):
    collection, faces = inputs
    samples = collection.part("test")
    write_answers(run, samples, faces, tmp_path / "answers.csv")
    with (tmp_path / "answers.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    *answered, last = read_predictions(tmp_path / "answers.csv", samples, 29).rows
    for row, answer in zip(written, answered, strict=False):
        assert (answer.faces, answer.age, answer.group) == (1, float(row["age"]), row["group"])
    assert (last.faces, last.age, last.group) == (0, 29, "26-50")


def test_a_mirrored_crop_is_asked_besides(run, inputs):
    collection, faces = inputs
    network, recipe = load_run(run)
    crops = FaceCrops(collection.part("val"), faces, side=recipe.crop_side)
    both = outputs_of(network, crops, "both", mirrored=True)
    assert both.shape[:2] == (2, len(crops))
    assert (both[0] == outputs_of(network, crops, "one")[0]).all()
    assert (both[0] != both[1]).any()


def test_groups_of_predictions_are_checked(inputs, tmp_path):
    samples = inputs[0].part("test")
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


def test_the_command(shared, tmp_path, monkeypatch):
    pytest.importorskip("typer")
    from typer.testing import CliRunner

    from agepred_cli.app import app

    def agepred(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    monkeypatch.chdir(tmp_path)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    with tarfile.open(shared / "data" / "utkface.tar") as archive:
        for member in [member for member in archive if member.isfile()][:40]:
            (pictures / member.name.removeprefix("./")).write_bytes(archive.extractfile(member).read())
    changes = ("epochs=1", "max_train_samples=0", "batch_size=4", "head=groups", "loss=cross_entropy")
    result = agepred("train", "smoke", pictures, *(part for change in changes for part in ("--set", change)))
    assert result.exit_code == 0, result.output
    result = agepred("answer", "build/runs/smoke", pictures, "--split", "all", "--out", "groups.csv")
    assert result.exit_code == 0, result.output
    assert "wrote groups.csv: 40 pictures" in result.stdout
    arguments = ("--data", pictures, "--split", "all", "--predictions", "groups=groups.csv", "--json", "figures.json")
    result = agepred("eval", *arguments)
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert "groups" in json.dumps(figures)
    for wrong, words in (
        (("answer", "absent", pictures, "--out", "a.csv"), "absent: there is no such folder"),
        (("answer", pictures, pictures, "--out", "a.csv"), "pictures/best.ckpt"),
        (("answer", "build/runs/smoke", pictures, "--out", "absent/a.csv"), "name a file in a folder that exists"),
        (("answer", "build/runs/smoke", "groups.csv", "--out", "groups.csv"), "this command reads or writes that file"),
    ):
        result = agepred(*wrong)
        assert result.exit_code == 2, (wrong, result.output)
        assert words in result.stderr.replace("\n", " ")
        assert "Traceback" not in result.output
    assert not (tmp_path / "a.csv").exists()
