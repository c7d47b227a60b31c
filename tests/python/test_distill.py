"""Learning from finished runs: their mean, at their crop size, of the same head."""

import dataclasses
import json

import pytest
import torch
from tiny_set import crops, faces_of, make_collection, make_run

from agepred_train import recipes
from agepred_train.archive import DataError
from agepred_train.distill import Teachers
from agepred_train.network import load_run, make_network
from agepred_train.overrides import to_dict
from agepred_train.resume import ResumeError
from agepred_train.shrinking import shrunk
from agepred_train.storage import sha256_of_file
from agepred_train.train import train


def run_of(folder, recipe):
    """A run folder with the untrained network of a recipe."""
    folder.mkdir()
    torch.manual_seed(1)
    state = {f"network.{name}": value for name, value in make_network(recipe).state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": {"recipe": to_dict(recipe)}}, folder / "best.ckpt")
    return folder


def test_ensemble_answers_with_the_mean_at_the_temperature(tmp_path):
    runs = [make_run(tmp_path / str(seed), seed=seed) for seed in range(3)]
    pictures = torch.from_numpy(crops(5, recipes.smoke().crop_side))
    teachers = Teachers(runs, recipes.smoke())
    answer = teachers.distribution(pictures, 2.0)
    each = torch.stack([torch.softmax(load_run(run)[0](pictures) / 2.0, dim=1) for run in runs])
    torch.testing.assert_close(answer, each.mean(dim=0))
    assert not answer.requires_grad
    assert (each[0] - each[1]).abs().max() > 1e-4


def test_each_teacher_sees_crops_of_its_own_size(tmp_path):
    small = make_run(tmp_path / "small")
    large = run_of(tmp_path / "large", dataclasses.replace(recipes.smoke(), crop_side=96))
    teachers = Teachers([small, large], recipes.smoke())
    assert teachers.side == 96
    pictures = torch.from_numpy(crops(4, 96))
    seen = [shrunk(pictures, recipes.smoke().crop_side), pictures]
    each = [torch.softmax(load_run(run)[0](view), dim=1) for run, view in zip((small, large), seen, strict=True)]
    torch.testing.assert_close(teachers.distribution(pictures, 1.0), torch.stack(each).mean(dim=0))


def test_unfit_teachers_are_named(tmp_path):
    smoke = recipes.smoke()
    groups = run_of(tmp_path / "groups", dataclasses.replace(smoke, head="groups", loss="cross_entropy"))
    number = dataclasses.replace(smoke, head="regression", loss="mse")
    for runs, student, words in (
        ([groups], smoke, "groups: answers with the head groups, the student with distribution"),
        ([run_of(tmp_path / "number", number)], number, "answers with the head regression"),
    ):
        with pytest.raises(DataError, match=words):
            Teachers(runs, student)
    with pytest.raises(FileNotFoundError):
        Teachers([tmp_path / "absent"], smoke)


def test_student_learns_the_teacher_where_labels_say_nothing(tmp_path):
    """Training labels are the whole range of ages: what is learned is the teacher's, who sees larger crops."""
    (tmp_path / "pictures").mkdir()
    collection = make_collection(tmp_path / "pictures")
    anything, seventy = {"age_min": 0, "age_max": 116}, {"age_min": 70, "age_max": 70}
    samples = tuple(
        dataclasses.replace(sample, **(anything if sample.split == "train" else seventy))
        for sample in collection.samples
    )
    collection = dataclasses.replace(collection, samples=samples)
    teacher = run_of(tmp_path / "teacher", dataclasses.replace(recipes.smoke(), crop_side=96))
    checkpoint = torch.load(teacher / "best.ckpt", weights_only=True)
    checkpoint["state_dict"]["network.classifier.1.bias"][70] = 12.0  # sure of seventy
    torch.save(checkpoint, teacher / "best.ckpt")
    recipe = dataclasses.replace(recipes.smoke(), epochs=6, learning_rate=1e-2, weight_decay=0.0)
    errors = {}
    for weight in (0.0, 1.0):
        chosen = dataclasses.replace(recipe, distill_weight=weight)
        run = train(chosen, collection, faces_of(collection), tmp_path / str(weight), teachers=[teacher])
        errors[weight] = run.val_mae
    assert errors[0.0] > 8  # a network that knows nothing answers with the middle, 58
    assert errors[1.0] < 0.5 * errors[0.0]
    record = json.loads((run.folder / "record.json").read_text())
    assert record["teachers_sha256"] == [sha256_of_file(teacher / "best.ckpt")]
    with pytest.raises(ResumeError, match="teachers_sha256"):
        train(chosen, collection, faces_of(collection), run.folder, resume=True)
