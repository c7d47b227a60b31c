"""Kept windows: the same crops as from the pictures, whatever moves the points; restartable; tied to what made them."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_set import faces_of, make_collection

from agepred_edge import DEFAULT_POINTS, align
from agepred_train import recipes
from agepred_train import windows as keeping
from agepred_train.archive import DataError
from agepred_train.data import Collection, Sample
from agepred_train.dataset import FaceCrops
from agepred_train.windows import find_windows, keep_windows


def noise_collection(folder, sizes, seed=0):
    """Pictures of noise, where a sample taken one pixel off would show, losslessly stored."""
    rng = np.random.default_rng(seed)
    samples = []
    for number, (width, height) in enumerate(sizes):
        path = folder / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        samples.append(Sample(name=path.name, age_min=9, age_max=9, split="train", path=path, size=path.stat().st_size))
    return Collection(samples=tuple(samples), hashes={})


def turned(scale, angle, x, y):
    cosine, sine = np.cos(angle), np.sin(angle)
    return (scale * DEFAULT_POINTS @ np.array([[cosine, sine], [-sine, cosine]]) + [x, y]).astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
def test_every_crop_that_a_window_gives_is_the_pictures_own(tmp_path, seed):
    """Faces in the middle, at borders and beyond them, moved little and much: given crops agree to a gray level."""
    rng = np.random.default_rng(seed)
    sizes = [(int(w), int(h)) for w, h in rng.integers(60, 260, (12, 2))]
    collection = noise_collection(tmp_path, sizes, seed)
    landmarks = np.stack([turned(rng.uniform(30, 120), rng.uniform(-1, 1), *rng.uniform(-40, 180, 2)) for _ in sizes])
    windows = keep_windows(collection.samples, faces_of(collection, landmarks=landmarks), tmp_path / "w.bin")
    given = 0
    for row, sample in enumerate(collection.samples):
        picture = sample.read_picture()
        for _ in range(12):
            size = np.ptp(landmarks[row], axis=0).mean()
            moved = landmarks[row] + rng.normal(0, 0.05, 2) * size + rng.normal(0, 0.03, (5, 2)) * size
            moved = ((moved - moved.mean(axis=0)) * rng.uniform(0.7, 1.4) + moved.mean(axis=0)).astype(np.float32)
            kept = windows.around(row, moved)
            if kept is None:
                continue
            given += 1
            direct = align(picture, moved, side=64, pixel_format="RGB").astype(int)
            assert np.abs(align(kept[0], kept[1], side=64, pixel_format="RGB") - direct).max() <= 1
    assert given > 20


def test_windows_hold_what_training_usually_asks_for(tmp_path):
    from agepred_train.augment import move_points

    collection = noise_collection(tmp_path, [(400, 400)] * 4)
    landmarks = np.stack([turned(80, 0.1, 150, 150)] * 4)
    windows = keep_windows(collection.samples, faces_of(collection, landmarks=landmarks), tmp_path / "w.bin")
    assert windows.pixels.stat().st_size < 4 * 200 * 200 * 3
    rng = np.random.default_rng(0)
    recipe = recipes.first_light()
    missed = sum(windows.around(0, move_points(landmarks[0], DEFAULT_POINTS, recipe, rng)) is None for _ in range(500))
    assert missed < 25
    assert windows.around(0, landmarks[0] + 100) is None


def test_dataset_gives_the_same_with_windows_and_without(tmp_path):
    collection = make_collection(tmp_path, train=6, val=0, test=0)
    counts = np.array([1, 1, 0, 2, 1, 1], np.int32)
    faces = faces_of(collection, counts=counts)
    windows = keep_windows(collection.samples, faces, tmp_path / "w.bin")
    for recipe in (None, dataclasses.replace(recipes.smoke(), degrade_share=0, erase_share=0)):
        direct = FaceCrops(collection.samples, faces, side=64, augmentation=recipe)
        cached = FaceCrops(collection.samples[::-1], faces, side=64, augmentation=recipe, windows=windows)
        for index in range(len(direct)):
            torch.manual_seed(index)
            first = direct[index][0].int()
            torch.manual_seed(index)
            # Coloring may double a gray level.
            assert (first - cached[len(direct) - 1 - index][0].int()).abs().max() <= 3
    collection.samples[0].path.unlink()
    cached.crop(len(cached) - 1)  # needs no picture any more


def test_large_windows_are_left_to_the_pictures(tmp_path):
    collection = noise_collection(tmp_path, [(1200, 1200), (100, 100)])
    landmarks = np.stack([turned(900, 0, 100, 100), turned(60, 0, 20, 20)])
    windows = keep_windows(collection.samples, faces_of(collection, landmarks=landmarks), tmp_path / "w.bin")
    assert windows.around(0, landmarks[0]) is None
    assert windows.around(1, landmarks[1]) is not None
    assert windows.pixels.stat().st_size <= 100 * 100 * 3


def test_stopped_run_goes_on_and_ends_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "_CHUNK", 3)
    collection = make_collection(tmp_path, train=10, val=0, test=0)
    faces = faces_of(collection)
    whole = keep_windows(collection.samples, faces, tmp_path / "whole.bin")
    cut, seen = keeping._cut_window, []

    def stopping(sample, **known):
        if len(seen) == 8:
            raise KeyboardInterrupt
        seen.append(sample.name)
        return cut(sample, **known)

    monkeypatch.setattr(keeping, "_cut_window", stopping)
    with pytest.raises(KeyboardInterrupt):
        keep_windows(collection.samples, faces, tmp_path / "w.bin")
    assert find_windows(collection.samples, faces, tmp_path / "w.bin") is None
    # What a crash in the middle of a write leaves behind the last index.
    with (tmp_path / "w.bin.partial").open("ab") as file:
        file.write(b"half a window")
    again = []
    monkeypatch.setattr(
        keeping, "_cut_window", lambda sample, **known: (again.append(sample.name), cut(sample, **known))[1]
    )
    windows = keep_windows(collection.samples, faces, tmp_path / "w.bin")
    assert len(again) == 10 - 6
    assert windows.pixels.read_bytes() == whole.pixels.read_bytes()
    np.testing.assert_array_equal(windows.offsets, whole.offsets)
    assert not list(tmp_path.glob("*.partial*"))
    again.clear()
    keep_windows(collection.samples, faces, tmp_path / "w.bin")
    assert not again


def test_windows_of_something_else_are_not_used(tmp_path):
    collection = make_collection(tmp_path, train=3, val=0, test=0)
    faces = faces_of(collection)
    out = tmp_path / "w.bin"
    keep_windows(collection.samples, faces, out)
    others = [
        faces_of(collection, landmarks=faces.landmarks + 1),
        faces_of(collection, counts=np.array([1, 0, 1], np.int32)),
        dataclasses.replace(faces, detector_sha256="e" * 64),
        dataclasses.replace(faces, points_sha256="e" * 64),
    ]
    for other in others:
        assert find_windows(collection.samples, other, out) is None
    assert find_windows(collection.samples[:2], faces, out) is None
    changed = faces.pictures.copy()
    changed[0, 0] ^= 1
    assert find_windows(collection.samples, dataclasses.replace(faces, pictures=changed), out) is None
    renamed = dataclasses.replace(collection.samples[0], name="other.jpg")
    named = dataclasses.replace(faces, names=np.array(["other.jpg", *faces.names[1:]]))
    assert find_windows([renamed, *collection.samples[1:]], named, out) is None
    assert find_windows(collection.samples, faces, out) is not None
    out.write_bytes(out.read_bytes()[:-1])
    assert find_windows(collection.samples, faces, out) is None


def test_damaged_index_is_refused_by_name(tmp_path):
    collection = make_collection(tmp_path, train=1, val=0, test=0)
    (tmp_path / "w.bin").write_bytes(b"")
    buffer = io.BytesIO()
    np.savez(buffer, names=np.zeros(1))
    for content in (b"", b"PK", buffer.getvalue()):
        (tmp_path / "w.bin.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"w\.bin\.npz.*delete it"):
            keep_windows(collection.samples, faces_of(collection), tmp_path / "w.bin")
