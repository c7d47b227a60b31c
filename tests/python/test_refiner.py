"""The refiner: the map between picture and crop, crops whose truth lies on the pixels, and its training."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from test_detector_train import run, stop_in_epoch
from tiny_faces import DOTS, dot, make_sets, painted

from agepred_train.archive import DataError
from agepred_train.detector.annotations import Annotation, read_labels, write_labels
from agepred_train.overrides import from_dict
from agepred_train.refiner import recipe as recipes
from agepred_train.refiner.crops import (
    PointedFaces,
    RefinerCrops,
    collate,
    cut,
    detector_errors,
    eye_distance,
    near_face,
    shrunk,
)
from agepred_train.refiner.network import PointsNetwork, crop_points
from agepred_train.refiner.recipe import RefinerRecipe
from agepred_train.refiner.similarity import Similarity
from agepred_train.refiner.train import (
    RefinerTask,
    load_trained_refiner,
    make_network,
    train_refiner,
    validation_crops,
)
from agepred_train.resume import ResumeError

SMOKE = recipes.smoke()


def some_points(seed):
    return np.random.default_rng(seed).uniform(-50, 900, (5, 2)).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_fit_is_the_least_squares_of_numpy(seed):
    source, target = some_points(seed), some_points(seed + 100)
    rows = [row for u, v in source for row in ([u, -v, 1, 0], [v, u, 0, 1])]
    a, b, x, y = np.linalg.lstsq(np.array(rows, float), target.astype(float).ravel(), rcond=None)[0]
    found = Similarity.fit(source, target)
    np.testing.assert_allclose([found.a, found.b], [a, b], atol=1e-4)
    np.testing.assert_allclose([found.x, found.y], [x, y], atol=0.05)
    assert found.scale == pytest.approx(np.hypot(a, b), abs=1e-4)
    np.testing.assert_allclose(found.inverse().apply(found.apply(source)), source, atol=0.1)


def test_a_similarity_is_found_again():
    turn = Similarity(a=0.6, b=-1.3, x=40.0, y=-7.0)
    found = Similarity.fit(some_points(1), turn.apply(some_points(1)))
    np.testing.assert_allclose([found.a, found.b, found.x, found.y], [0.6, -1.3, 40, -7], atol=1e-3)


@pytest.mark.parametrize("seed", range(8))
def test_truth_of_a_crop_lies_on_its_pixels(seed):
    """Least squares one way is not the inverse of least squares the other way: truths were off by up to 4 %."""
    rng = np.random.default_rng(seed)
    picture, faces = painted(420, 420, [(110.0, 100.0, 200.0, 215.0)])
    points = faces.points[0]
    wrong = np.asarray(points + rng.normal(0, 0.08 * eye_distance(points), (5, 2)), np.float32)
    crop, truth = cut(picture, wrong, points, crop_points(0.31), 128)
    seen = np.array([dot(crop, color) for color in DOTS]) / 128
    np.testing.assert_allclose(truth, seen, atol=0.003)


def test_faces_are_cut_out_and_shrunk_with_their_points():
    picture, faces = painted(900, 700, [(300.0, 200.0, 180.0, 200.0)])
    near, points = near_face(picture, faces.points[0])
    assert near.shape[0] < 700
    assert near.shape[1] < 900
    np.testing.assert_allclose(points, [dot(near, color) for color in DOTS], atol=0.2)
    rng = np.random.default_rng(0)
    smallest = np.inf
    for _ in range(20):
        small, there = shrunk(near, points, 20.0, rng)
        smallest = min(smallest, eye_distance(there))
        np.testing.assert_allclose(there, [dot(small, color) for color in DOTS], atol=0.5)
    assert 19.0 < smallest < 40
    assert shrunk(near, points, 1000.0, rng)[0] is near


def test_errors_of_the_detector_are_as_large_as_the_recipe_says():
    still = RefinerRecipe(name="still", shift=0, scale=0, rotation=0, point_noise=0, far_share=0)
    points = (crop_points(0.31) * 300).astype(np.float32)
    np.testing.assert_allclose(detector_errors(points, still, np.random.default_rng(0)), points, atol=1e-3)
    for change, low, high in (({"shift": 0.1}, 0.08, 0.14), ({"point_noise": 0.1}, 0.08, 0.14)):
        recipe = dataclasses.replace(still, **change)
        rng = np.random.default_rng(1)
        errors = np.stack([detector_errors(points, recipe, rng) - points for _ in range(800)]) / eye_distance(points)
        assert low < errors.std() < high
        common = errors.mean(axis=1).std() / errors.std()
        assert common > 0.99 if "shift" in change else common < 0.6


def test_points_that_are_far_off_are_turned_either_way():
    far = RefinerRecipe(name="far", shift=0, scale=0, rotation=0, point_noise=0, far_share=1)
    points = (crop_points(0.31) * 300).astype(np.float32)
    rng = np.random.default_rng(3)
    eyes = np.stack([np.diff(detector_errors(points, far, rng)[:2], axis=0)[0] for _ in range(400)])
    degrees = np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0]))
    assert -45 <= degrees.min() < -40
    assert 40 < degrees.max() <= 45
    np.testing.assert_allclose(np.hypot(*eyes.T), eye_distance(points), rtol=1e-5)


def test_crop_targets_are_upright_and_inside():
    for eyes in (0.1, 0.31, 0.5):
        points = crop_points(eyes)
        assert points[1, 0] - points[0, 0] == pytest.approx(eyes, abs=1e-6)
        assert points[0, 1] == points[1, 1]
        assert ((points > 0) & (points < 1)).all()
        assert abs(points[:2].mean() + points[3:].mean() - 1) < 0.1


def test_an_untrained_network_answers_inside_the_crop():
    network = make_network(SMOKE).eval()
    crops = torch.randint(0, 256, (3, 3, SMOKE.crop_side, SMOKE.crop_side), dtype=torch.uint8)
    answers = network(crops)
    assert answers.shape == (3, 10)
    assert ((answers > 0) & (answers < 1)).all()


def test_a_peak_in_a_map_is_answered_by_its_place():
    class Peaks(torch.nn.Module):
        def forward(self, features):
            maps = torch.full((1, 5, 16, 16), -50.0)
            for number in range(5):
                maps[0, number, 2 + number, 9 - number] = 50.0
            return maps

    network = PointsNetwork(side=64).eval()
    network.fine = Peaks()
    found = network(torch.zeros(1, 3, 64, 64)).reshape(5, 2)
    expected = [[(9 - number + 0.5) / 16, (2 + number + 0.5) / 16] for number in range(5)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return make_sets(tmp_path_factory.mktemp("sets"))


def test_faces_with_points_are_chosen(sets, tmp_path):
    data, labels = sets
    faces = PointedFaces.load(data, labels)
    assert [face.stored.name for face in faces.labeled] == [f"l{number}.png" for number in range(6)]
    names = {face.stored.name for face in faces.taught}
    assert names == {f"{kind}{number}.png" for kind in "sc" for number in range(6)}
    assert {"scenes.csv", "landmarks.csv", "points/scenes.csv", "utkface.tar"} <= faces.hashes.keys()
    for table in labels.iterdir():
        nothing = {key: Annotation.of(found.boxes) for key, found in read_labels(table).items()}
        write_labels(tmp_path / table.name, ((*key, found) for key, found in nothing.items()))
    with pytest.raises(DataError, match="no face with points"):
        PointedFaces.load(data, tmp_path)


def test_crops_are_known_by_their_number(sets):
    crops = RefinerCrops(PointedFaces.load(*sets), SMOKE)
    assert len(crops) == 16
    one, again, other = crops[5], crops[5], crops[6]
    np.testing.assert_array_equal(one[0], again[0])
    np.testing.assert_array_equal(one[1], again[1])
    assert not np.array_equal(one[0], other[0])
    pixels, points = collate([one, other])
    assert (pixels.shape, points.shape) == ((2, 3, 32, 32), (2, 10))
    np.testing.assert_array_equal(pixels[0].permute(1, 2, 0), one[0])
    np.testing.assert_array_equal(points[1].reshape(5, 2), other[1])


def test_crops_show_faces_the_right_way_round(sets):
    """Mirrored or not, the right eye is on the left of an upright crop."""
    crops = RefinerCrops(PointedFaces.load(*sets), SMOKE)
    for index in range(16):
        points = crops[index][1]
        assert points[0, 0] < points[1, 0]
        assert points[3, 0] < points[4, 0]
        assert points[:2, 1].mean() < points[2, 1] < points[3:, 1].mean()


@pytest.fixture(scope="module")
def finished(sets, tmp_path_factory):
    return train_refiner(SMOKE, *sets, tmp_path_factory.mktemp("run") / "new")


def test_training_leaves_a_run_and_its_record(finished, sets):
    record = json.loads((finished.folder / "record.json").read_text())
    assert from_dict(RefinerRecipe, record["recipe"]) == SMOKE
    assert record["data"] == PointedFaces.load(*sets).hashes
    assert record["best"] == {"val_error": finished.val_error, "val_crops": 8}
    network, recipe = load_trained_refiner(finished.folder)
    assert recipe == SMOKE
    pixels, points = collate(validation_crops(sets[0], SMOKE))
    with torch.inference_mode():
        off = (network(pixels) - points).unflatten(1, (5, 2)).norm(dim=2).mean(dim=1)
    eyes = (points[:, 0:2] - points[:, 2:4]).norm(dim=1)
    assert (off / eyes).mean().item() == pytest.approx(finished.val_error, rel=1e-4)


def test_a_resumed_run_is_the_run_that_was_started(finished, sets, tmp_path, monkeypatch):
    mend = stop_in_epoch(monkeypatch, RefinerTask, 1)
    with pytest.raises(RuntimeError, match="power cut"):
        train_refiner(SMOKE, *sets, tmp_path)
    mend()
    with pytest.raises(FileExistsError, match="resume"):
        train_refiner(SMOKE, *sets, tmp_path)
    with pytest.raises(ResumeError, match=r"recipe\.shift"):
        train_refiner(dataclasses.replace(SMOKE, shift=0.5), *sets, tmp_path, resume=True)
    train_refiner(SMOKE, *sets, tmp_path, resume=True)
    for name in ("metrics.jsonl", "record.json"):
        assert (tmp_path / name).read_bytes() == (finished.folder / name).read_bytes()
    for name in ("best.ckpt", "last.ckpt"):
        one, other = (torch.load(path / name, weights_only=True)["state_dict"] for path in (tmp_path, finished.folder))
        assert all(torch.equal(one[key], other[key]) for key in one), name


def test_command_trains_and_refuses(sets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, points = sets
    command = ["train-refiner", "smoke", data, "--points", points, "--set", "steps=2", "--out", "run"]
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert "run: mean point error" in result.stdout
    for arguments, words in (
        (command, "holds a run"),
        (["train-refiner", "grand", data, "--points", points], "no recipe 'grand'; there are agepred_points, smoke"),
        (["train-refiner", "smoke", data, "--points", "absent"], "absent/scenes.csv"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, arguments
        assert words in result.stderr
        assert "Traceback" not in result.output
