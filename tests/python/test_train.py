"""A whole training of seconds: what it leaves behind, how it resumes, what it must not touch."""

import csv
import dataclasses
import hashlib
import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from tiny_set import DETECTOR_SHA256, faces_of, make_collection

from agepred_train import recipes
from agepred_train.archive import DataError
from agepred_train.data import Sample
from agepred_train.dataset import FaceCrops
from agepred_train.export import load_trained
from agepred_train.fit import AveragedWeights, warmup_and_cosine
from agepred_train.labels import collate
from agepred_train.loss import expected_age
from agepred_train.model import AgeNetwork
from agepred_train.overrides import from_dict
from agepred_train.recipes import Recipe
from agepred_train.resume import ResumeError
from agepred_train.storage import sha256_of_file
from agepred_train.train import AgeTask, train


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    collection = make_collection(tmp_path_factory.mktemp("pictures"))
    return collection, faces_of(collection)


@pytest.fixture(scope="module")
def finished(inputs, tmp_path_factory):
    return train(recipes.smoke(), *inputs, tmp_path_factory.mktemp("run") / "new")


def lines(run):
    return [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


def test_each_epoch_is_a_line_and_the_best_one_counts(finished):
    epochs = lines(finished)
    assert [line["epoch"] for line in epochs] == [0, 1]
    assert [line["step"] for line in epochs] == [3, 6]
    assert finished.val_mae == pytest.approx(min(line["val_mae"] for line in epochs), abs=1e-3)


def test_record_says_what_went_in(finished, inputs):
    record = json.loads((finished.folder / "record.json").read_text())
    assert from_dict(Recipe, record["recipe"]) == recipes.smoke()
    assert record["detector"] == {"name": "blob", "sha256": DETECTOR_SHA256, "points_sha256": ""}
    assert record["data"]["sha256"] == inputs[0].hashes
    assert record["cleaning"]["kept"] == 32
    assert record["best"]["train_samples"] == 24
    assert record["best"]["val_mae"] == finished.val_mae
    assert record["start_weights_sha256"] is None
    assert {"python", "torch", "lightning"} <= record["versions"].keys()


def test_best_checkpoint_holds_the_weights_that_were_validated(finished, inputs):
    collection, faces = inputs
    network, recipe = load_trained(finished.folder)
    val = FaceCrops(collection.part("val"), faces, side=recipe.crop_side)
    crops, labels, _ = collate([val[index] for index in range(len(val))])
    with torch.inference_mode():
        error = (expected_age(network(crops)) - labels.age_min).abs().mean()
    # Validation ran in bfloat16, this in float32.
    assert error.item() == pytest.approx(finished.val_mae, abs=0.3)


def stop_in_epoch(monkeypatch, epoch):
    """Let training fail at the first batch of an epoch, as a power cut would end it; return how to mend it."""
    step = AgeTask.training_step

    def failing(task, batch, batch_idx):
        if task.current_epoch == epoch:
            raise RuntimeError("power cut")
        return step(task, batch, batch_idx)

    monkeypatch.setattr(AgeTask, "training_step", failing)
    return lambda: monkeypatch.setattr(AgeTask, "training_step", step)


@pytest.fixture
def weights(tmp_path):
    """A checkpoint that fits the smoke recipe."""
    path = tmp_path / "weights.pth"
    torch.save(AgeNetwork(width=0.25).state_dict(), path)
    return path


@pytest.fixture
def stopped(inputs, tmp_path, weights, monkeypatch):
    """A run from these weights that a power cut ended in its second epoch."""
    mend = stop_in_epoch(monkeypatch, 1)
    with pytest.raises(RuntimeError, match="power cut"):
        train(recipes.smoke(), *inputs, tmp_path / "run", weights=weights)
    mend()
    return tmp_path / "run"


def test_resumed_training_goes_on_from_the_last_epoch(inputs, stopped, weights):
    with pytest.raises(FileExistsError, match="resume"):
        train(recipes.smoke(), *inputs, stopped)
    run = train(recipes.smoke(), *inputs, stopped, resume=True)
    assert [line["epoch"] for line in lines(run)] == [0, 1]
    assert run.val_mae == pytest.approx(min(line["val_mae"] for line in lines(run)), abs=1e-3)
    record = json.loads((stopped / "record.json").read_text())
    assert record["start_weights_sha256"] == sha256_of_file(weights)
    assert from_dict(Recipe, record["recipe"]) == recipes.smoke()


def test_resumed_run_records_what_an_unbroken_one_does(inputs, stopped, weights, tmp_path):
    train(recipes.smoke(), *inputs, stopped, resume=True)
    train(recipes.smoke(), *inputs, tmp_path / "unbroken", weights=weights)
    resumed, unbroken = (json.loads((run / "record.json").read_text()) for run in (stopped, tmp_path / "unbroken"))
    assert list(resumed) == list(unbroken)
    assert resumed == unbroken
    for name in ("best.ckpt", "last.ckpt"):
        assert_same_weights(stopped / name, tmp_path / "unbroken" / name)
    assert (stopped / "metrics.jsonl").read_bytes() == (tmp_path / "unbroken" / "metrics.jsonl").read_bytes()
    assert (stopped / "metrics.csv").read_bytes() == (tmp_path / "unbroken" / "metrics.csv").read_bytes()


def assert_same_weights(one, other):
    states = [torch.load(path, weights_only=True)["state_dict"] for path in (one, other)]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


@pytest.mark.parametrize(
    "changes",
    [
        {"num_workers": 2},
        {"schedule": "plateau", "balance": "sampler", "optimizer": "adam"},
        {"schedule": "one_cycle", "frozen_epochs": 1, "unfreeze_epochs": 2, "balance": "loss"},
    ],
    ids=lambda changes: next(iter(changes.values())),
)
def test_interruption_changes_nothing(inputs, tmp_path, monkeypatch, changes):
    """Whatever draws random numbers or has a state of its own: workers, samplers, schedules, freezing."""
    recipe = dataclasses.replace(recipes.smoke(), epochs=4, **changes)
    train(recipe, *inputs, tmp_path / "unbroken")
    mend = stop_in_epoch(monkeypatch, 2)
    with pytest.raises(RuntimeError, match="power cut"):
        train(recipe, *inputs, tmp_path / "resumed")
    mend()
    train(recipe, *inputs, tmp_path / "resumed", resume=True)
    assert_same_weights(tmp_path / "resumed" / "last.ckpt", tmp_path / "unbroken" / "last.ckpt")
    for name in ("metrics.jsonl", "record.json"):
        assert (tmp_path / "resumed" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()


def test_checkpoints_hold_the_whole_record(finished, inputs):
    start = json.loads((finished.folder / "start.json").read_text())
    for name in ("best.ckpt", "last.ckpt"):
        record = torch.load(finished.folder / name, weights_only=True)["record"]
        assert {key: record[key] for key in start} == start
        assert record["data"] == inputs[0].hashes
        assert {"python", "torch", "lightning"} <= record["versions"].keys()
        assert record["figures"].keys() >= {"val_mae", "val_loss", "val_accuracy"}


def test_table_holds_what_the_lines_hold(finished):
    with (finished.folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{key: float(value) for key, value in row.items()} for row in rows] == lines(finished)


def test_resume_refuses_what_differs_from_the_start(inputs, stopped, tmp_path):
    collection, faces = inputs
    smoke = recipes.smoke()
    other_data = dataclasses.replace(collection, hashes={"tiny": "u" * 64})
    other_faces = dataclasses.replace(faces, detector_sha256="e" * 64)
    other_weights = tmp_path / "others.pth"
    torch.save(AgeNetwork(width=0.25).state_dict(), other_weights)
    for (recipe, *rest), weights, words in (
        (
            (dataclasses.replace(smoke, learning_rate=0.5), *inputs),
            None,
            r"recipe\.learning_rate = 0\.001, now it is 0\.5",
        ),
        ((dataclasses.replace(smoke, epochs=3), *inputs), None, r"recipe\.epochs = 2, now it is 3"),
        ((smoke, other_data, faces), None, r"data\.tiny"),
        ((smoke, collection, other_faces), None, r"detector\.sha256"),
        ((smoke, *inputs), other_weights, "start_weights_sha256"),
    ):
        with pytest.raises(ResumeError, match=words):
            train(recipe, *rest, stopped, weights=weights, resume=True)
    assert not (stopped / "record.json").exists()


def test_resume_needs_to_know_the_start(inputs, stopped):
    (stopped / "start.json").write_text("[")
    with pytest.raises(ResumeError, match=r"start\.json: not what"):
        train(recipes.smoke(), *inputs, stopped, resume=True)
    (stopped / "start.json").unlink()
    with pytest.raises(ResumeError, match=r"start\.json is missing"):
        train(recipes.smoke(), *inputs, stopped, resume=True)


def test_damaged_checkpoint_is_not_resumed(inputs, stopped):
    (stopped / "last.ckpt").write_bytes(b"MIT License")
    with pytest.raises(DataError, match=r"last\.ckpt: not a PyTorch checkpoint"):
        train(recipes.smoke(), *inputs, stopped, resume=True)


def test_run_stopped_before_its_first_checkpoint_asks_for_its_weights(inputs, weights, tmp_path, monkeypatch):
    mend = stop_in_epoch(monkeypatch, 0)
    folder = tmp_path / "run"
    with pytest.raises(RuntimeError, match="power cut"):
        train(recipes.smoke(), *inputs, folder, weights=weights)
    mend()
    with pytest.raises(ResumeError, match="name the weights again"):
        train(recipes.smoke(), *inputs, folder, resume=True)
    train(recipes.smoke(), *inputs, folder, weights=weights, resume=True)
    record = json.loads((folder / "record.json").read_text())
    assert record["start_weights_sha256"] == sha256_of_file(weights)


def test_test_split_is_never_read(inputs, tmp_path, monkeypatch):
    splits = set()
    read = Sample.read_bytes

    def spy(sample):
        splits.add(sample.split)
        return read(sample)

    monkeypatch.setattr(Sample, "read_bytes", spy)
    train(dataclasses.replace(recipes.smoke(), epochs=1), *inputs, tmp_path)
    assert splits == {"train", "val"}


def test_nothing_to_train_on_is_said(inputs, tmp_path):
    collection, _ = inputs
    empty = faces_of(collection, counts=np.zeros(len(collection.samples), np.int32))
    with pytest.raises(DataError, match="0 samples to train on"):
        train(recipes.smoke(), collection, empty, tmp_path)


def test_crops_are_shrunk_in_the_first_epochs_and_whole_in_validation(inputs, tmp_path, monkeypatch):
    seen = []
    forward = AgeNetwork.forward

    def watched(self, crops):
        seen.append((self.training, crops.shape[-1]))
        return forward(self, crops)

    monkeypatch.setattr(AgeNetwork, "forward", watched)
    growing = dataclasses.replace(recipes.smoke(), epochs=3, start_side=32, growth_epochs=2)
    train(growing, *inputs, tmp_path)
    steps = [side for training, side in seen if training]
    assert steps == [32] * 3 + [48] * 3 + [64] * 3
    assert {side for training, side in seen if not training} == {64}


def test_learning_rate_warms_up_and_ends_at_zero():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = warmup_and_cosine(optimizer, warmup_steps=10, total_steps=100)
    factors = [schedule.lr_lambdas[0](step) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == pytest.approx(1.0)
    assert factors.index(max(factors)) in (9, 10)
    assert factors[100] == pytest.approx(0.0)
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_average_forgets_the_start_and_then_follows_slowly():
    average = AveragedWeights(0.99)._kwargs["avg_fn"]
    value = torch.tensor(100.0)
    for step in range(1, 60):
        value = average(value, torch.tensor(1.0), torch.tensor(step))
    assert value.item() == pytest.approx(1.0, abs=0.1)
    after = average(torch.tensor(0.0), torch.tensor(1.0), torch.tensor(10**6))
    assert after.item() == pytest.approx(0.01, rel=1e-4)


def test_biases_and_normalization_are_not_decayed():
    task = AgeTask(recipes.smoke(), total_steps=10, start={})
    decayed, exempt = task.configure_optimizers()["optimizer"].param_groups
    assert decayed["weight_decay"] == recipes.smoke().weight_decay
    assert exempt["weight_decay"] == 0
    assert all(weight.ndim > 1 for weight in decayed["params"])
    count = len(decayed["params"]) + len(exempt["params"])
    assert count == len(list(task.network.parameters()))


def test_record_hash_is_stable_across_folders(inputs, tmp_path, finished):
    again = train(recipes.smoke(), *inputs, tmp_path / "elsewhere")
    digests = {hashlib.sha256((run.folder / "record.json").read_bytes()).hexdigest() for run in (again, finished)}
    assert len(digests) == 1


def test_tensorboard_has_the_run_where_it_is_installed(finished):
    installed = any(find_spec(package) for package in ("tensorboard", "tensorboardX"))
    assert any((finished.folder / "tensorboard").glob("events.out.*")) == installed
