"""A whole training of the detector, of seconds: what it leaves, how it goes on, what it refuses."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from tiny_faces import make_sets
from typer.testing import CliRunner

from agepred_cli.app import app
from agepred_train.archive import DataError
from agepred_train.detector import recipe as recipes
from agepred_train.detector.recipe import DetectorRecipe
from agepred_train.detector.scenes import ComposedScenes, EpochSampler, TrainingSet, backgrounds, collate
from agepred_train.detector.train import (
    DetectorTask,
    ValidationScenes,
    detect,
    load_trained_detector,
    to_input,
    train_detector,
)
from agepred_train.overrides import from_dict
from agepred_train.refiner.recipe import RECIPES as REFINER_RECIPES
from agepred_train.resume import ResumeError
from agepred_train.storage import sha256_of_file

SMOKE = recipes.smoke()


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return make_sets(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="module")
def finished(sets, tmp_path_factory):
    return train_detector(SMOKE, *sets, tmp_path_factory.mktemp("run") / "new")


def lines(run):
    return [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


def test_each_epoch_is_a_line_and_the_best_one_counts(finished):
    epochs = lines(finished)
    assert [(line["epoch"], line["step"]) for line in epochs] == [(0, 2), (1, 4)]
    assert all(line["train_loss"] > 0 for line in epochs)
    assert finished.val_ap == pytest.approx(max(line["val_ap"] for line in epochs), abs=1e-4)
    assert {path.name for path in finished.folder.iterdir()} == {
        "start.json", "best.ckpt", "last.ckpt", "metrics.csv", "metrics.jsonl", "record.json",
    }  # fmt: skip


def test_record_says_what_went_in(finished, sets):
    data, labels = sets
    record = json.loads((finished.folder / "record.json").read_text())
    assert from_dict(DetectorRecipe, record["recipe"]) == SMOKE
    files = {
        **{path.name: path for path in data.iterdir() if path.name not in ("utkface.csv", "fairface.csv")},
        **{f"labels/{path.name}": path for path in labels.iterdir()},
    }
    assert record["data"] == {name: sha256_of_file(path) for name, path in files.items()}
    assert record["best"] == {"val_ap": finished.val_ap, "val_pictures": 2}
    assert {"python", "torch", "lightning"} <= record["versions"].keys()


def stop_in_epoch(monkeypatch, task, epoch):
    """Let training fail at the first batch of an epoch, as a power cut would end it; return how to mend it."""
    step = task.training_step

    def failing(self, batch, batch_idx):
        if self.current_epoch == epoch:
            raise RuntimeError("power cut")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(task, "training_step", failing)
    return lambda: monkeypatch.setattr(task, "training_step", step)


def test_a_resumed_run_is_the_run_that_was_started(finished, sets, tmp_path, monkeypatch):
    mend = stop_in_epoch(monkeypatch, DetectorTask, 1)
    with pytest.raises(RuntimeError, match="power cut"):
        train_detector(SMOKE, *sets, tmp_path)
    mend()
    with pytest.raises(FileExistsError, match="resume"):
        train_detector(SMOKE, *sets, tmp_path)
    for change, words in (({"seed": 2}, r"recipe\.seed = 1, now it is 2"), ({"steps": 6}, r"recipe\.steps")):
        with pytest.raises(ResumeError, match=words):
            train_detector(dataclasses.replace(SMOKE, **change), *sets, tmp_path, resume=True)
    train_detector(SMOKE, *sets, tmp_path, resume=True)
    assert (tmp_path / "metrics.jsonl").read_text() == (finished.folder / "metrics.jsonl").read_text()
    assert (tmp_path / "record.json").read_bytes() == (finished.folder / "record.json").read_bytes()
    for name in ("best.ckpt", "last.ckpt"):
        one, other = (torch.load(run / name, weights_only=True)["state_dict"] for run in (tmp_path, finished.folder))
        assert list(one) == list(other)
        assert all(torch.equal(one[key], other[key]) for key in one), name


def test_damaged_checkpoint_is_not_resumed(sets, tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"MIT License")
    with pytest.raises(ResumeError, match=r"start\.json is missing"):
        train_detector(SMOKE, *sets, tmp_path, resume=True)
    training = TrainingSet.load(*sets, max_pictures=SMOKE.max_pictures)
    start = {"format": 1, "recipe": dataclasses.asdict(SMOKE), "data": training.hashes}
    (tmp_path / "start.json").write_text(json.dumps(start))
    with pytest.raises(DataError, match=r"last\.ckpt: not a PyTorch checkpoint"):
        train_detector(SMOKE, *sets, tmp_path, resume=True)


def test_best_checkpoint_is_read_back(finished, tmp_path):
    network, recipe = load_trained_detector(finished.folder)
    assert recipe == SMOKE
    assert not network.training
    assert network.stem[0].out_channels == SMOKE.stem
    torch.save({"state_dict": {}, "hyper_parameters": {"recipe": {}}}, tmp_path / "best.ckpt")
    with pytest.raises(DataError, match=r"best\.ckpt: not a checkpoint of `train-detector`"):
        load_trained_detector(tmp_path)


def test_test_split_and_held_back_backgrounds_are_never_read(sets):
    training = TrainingSet.load(*sets)
    names = {picture.name for source in (training.scenes, *training.chips) for picture in source.pictures}
    assert not names & {"s8.png", "l8.png", "c8.png", "s6.png", "l6.png", "c6.png"}
    assert len(training.scenes.pictures) == 6
    kept = ["b0.png", "b1.png", "b3.png", "b4.png"]
    assert [picture.name for picture in training.backgrounds.pictures] == kept
    assert [picture.name for picture in backgrounds(sets[0] / "backgrounds.tar")] == kept


def test_scenes_are_the_same_whenever_they_are_asked_for(sets):
    training = TrainingSet.load(*sets)
    one, other = ComposedScenes(training, SMOKE), ComposedScenes(training, SMOKE)
    assert len(one) == 16
    other[3]
    np.testing.assert_array_equal(one[5].pixels, other[5].pixels)
    np.testing.assert_array_equal(one[5].boxes, other[5].boxes)
    assert not np.array_equal(one[5].pixels, one[6].pixels)
    assert not np.array_equal(one[5].pixels, ComposedScenes(training, dataclasses.replace(SMOKE, seed=2))[5].pixels)


def test_epochs_go_on_where_the_one_before_ended():
    sampler = EpochSampler(4)
    assert (list(sampler), len(sampler)) == ([0, 1, 2, 3], 4)
    sampler.set_epoch(2)
    assert list(sampler) == [8, 9, 10, 11]


def test_batches_are_padded(sets):
    scenes = [ComposedScenes(TrainingSet.load(*sets), SMOKE)[number] for number in range(8)]
    pixels, targets = collate(scenes)
    assert pixels.shape == (8, 3, 64, 64)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    assert targets.present.sum(dim=1).tolist() == [len(scene.boxes) for scene in scenes]
    for number, scene in enumerate(scenes):
        np.testing.assert_array_equal(pixels[number].permute(1, 2, 0), scene.pixels)
        np.testing.assert_array_equal(targets.boxes[number][targets.present[number]], scene.boxes)
        np.testing.assert_array_equal(targets.ignored[number][targets.present[number]], scene.ignored)


def test_pictures_are_padded_to_multiples_of_32():
    pixels = np.random.default_rng(0).integers(0, 128, (33, 64, 3), np.uint8)
    framed = to_input(pixels)
    assert framed.shape == (1, 3, 64, 64)
    np.testing.assert_array_equal(framed[0, :, :33].permute(1, 2, 0), pixels)
    assert (framed[0, :, 33:] == 128).all()


def test_of_alike_boxes_the_surest_stays():
    class Fixed(torch.nn.Module):
        def forward(self, pixels):
            outputs = [torch.full((1, 15, 64 // s, 64 // s), -9.0) for s in (8, 16, 32)]
            for output in outputs:
                output[:, 1:3], output[:, 3:5] = 0.5, 0.0
            outputs[0][0, :5, 2, 3] = torch.tensor([3.0, 0.5, 0.5, 1.0, 1.0])
            outputs[0][0, :5, 2, 4] = torch.tensor([2.0, -0.4, 0.5, 1.0, 1.0])
            outputs[0][0, :5, 6, 6] = torch.tensor([1.0, 0.5, 0.5, 0.0, 0.0])
            return outputs

    found = detect(Fixed(), torch.zeros(1, 3, 64, 64))
    size = np.e * 8
    np.testing.assert_allclose(found.boxes, [[28 - size / 2, 20 - size / 2, size, size], [48, 48, 8, 8]], atol=1e-4)
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp([-3.0, -1.0])), atol=1e-6)


def test_a_set_that_lacks_something_is_named(sets, tmp_path):
    data, labels = sets
    with pytest.raises(FileNotFoundError, match=r"scenes\.csv"):
        train_detector(SMOKE, data, tmp_path / "nowhere", tmp_path / "run")
    empty = tmp_path / "labels"
    empty.mkdir()
    for table in labels.iterdir():
        text = table.read_text()
        (empty / table.name).write_text(text.splitlines()[0] + "\n" if table.stem == "utkface" else text)
    with pytest.raises(DataError, match=r"utkface\.csv: lists no face of .*utkface\.tar to train on"):
        train_detector(SMOKE, data, empty, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_command_trains_resumes_and_refuses(sets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, labels = sets
    command = ["train-detector", "smoke", data, "--labels", labels, "--set", "steps=2"]
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert "build/runs/smoke: average precision" in result.stdout
    assert json.loads((tmp_path / "build/runs/smoke/record.json").read_text())["recipe"]["steps"] == 2
    for arguments, words in (
        (command, "holds a run"),
        ([*command, "--resume", "--set", "seed=9"], "recipe.seed"),
        (["train-detector", "grand", data, "--labels", labels], "no recipe 'grand'; there are agepred_faces, smoke"),
        ([*command, "--set", "side=100"], "side is 100, not a multiple of 32"),
        ([*command, "--set", "sides=100"], "sides=100"),
        (["train-detector", "smoke", "absent", "--labels", labels, "--out", "other"], "absent/scenes.tar"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, arguments
        assert words in result.stderr
        assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("command", "names"), [("train-detector", recipes.RECIPES), ("train-refiner", REFINER_RECIPES)]
)
def test_help_lists_the_recipes(command, names):
    text = run(command, "--help").stdout
    listed = text[text.index("Recipes:") : text.index("Examples:")].splitlines()[1:]
    assert [line.split()[0] for line in listed if line.strip()] == list(names)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"smallest": 50.0, "largest": 40.0}, "largest is 40.0, it must be finite and above smallest, 50.0"),
        ({"largest": float("inf")}, "largest is inf"),
        ({"pasted": 0.5, "mosaic": 0.4, "empty": 0.2}, r"add up to 1\.1; at most 1"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(SMOKE, **changes)


def test_scenes_come_a_second_time_at_half_size(sets):
    data, _ = sets
    once, twice = ValidationScenes(data), ValidationScenes(data, halved=True)
    assert len(twice) == 2 * len(once)
    for index, (pixels, faces) in enumerate(once):
        assert torch.equal(twice[index][0], pixels)
        halved, smaller = twice[len(once) + index]
        stored = once.pictures[index].stored.read_picture()
        height, width = (side // 2 for side in stored.shape[:2])
        assert stored.shape[:2] == (2 * height, 2 * width)
        expected = stored.reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
        found = halved[0, :, :height, :width].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(found, expected, atol=1)
        np.testing.assert_allclose(smaller.boxes, faces.boxes / 2)
