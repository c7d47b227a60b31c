"""The face cache: complete, resumable, tied to its detector; and the cleaning of training samples."""

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from tiny_set import faces_of, make_collection

from agepred_edge import FaceDetector
from agepred_train import prepare as preparing
from agepred_train.archive import DataError
from agepred_train.curation.sources import read_source
from agepred_train.prepare import CORRUPT, Faces, clean, prepare


@pytest.fixture(scope="module")
def collection(shared):
    """Twelve real chips."""
    whole = read_source(shared / "data/utkface.tar").collection
    return dataclasses.replace(whole, samples=whole.samples[::2000])


@pytest.fixture(scope="module")
def finder(yunet):
    return FaceDetector(yunet, points_model="none")


def test_cache_holds_what_the_detector_finds(collection, yunet, finder, tmp_path):
    faces = prepare(collection, finder, tmp_path / "new" / "faces.npz")
    assert faces.names.tolist() == [sample.name for sample in collection.samples]
    detector = finder
    for row, sample in enumerate(collection.samples):
        found = detector.detect(sample.read_picture(), pixel_format="RGB")
        assert faces.counts[row] == len(found)
        np.testing.assert_array_equal(faces.landmarks[row], found[0].landmarks)
        np.testing.assert_allclose(faces.boxes[row], found[0].box)
    loaded = Faces.load(tmp_path / "new" / "faces.npz")
    for name in Faces.__slots__:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(faces, name))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["faces.npz"]


def test_stopped_run_goes_on_where_it_was(collection, finder, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, "_CHUNK", 5)
    seen = Counter()
    detect = preparing._detect

    def stop_at_eight(finder, sample):
        if seen.total() == 8:
            raise KeyboardInterrupt
        seen[sample.name] += 1
        return detect(finder, sample)

    monkeypatch.setattr(preparing, "_detect", stop_at_eight)
    with pytest.raises(KeyboardInterrupt):
        prepare(collection, finder, tmp_path / "faces.npz")
    assert not (tmp_path / "faces.npz").exists()
    resumed = Counter()

    def count(finder, sample):
        resumed[sample.name] += 1
        return detect(finder, sample)

    monkeypatch.setattr(preparing, "_detect", count)
    faces = prepare(collection, finder, tmp_path / "faces.npz")
    assert list(resumed) == [sample.name for sample in collection.samples[5:]]
    assert len(faces.names) == len(collection.samples)
    resumed.clear()
    prepare(collection, finder, tmp_path / "faces.npz")
    assert not resumed


def test_cache_of_another_detector_is_not_used(collection, yunet, finder, tmp_path):
    path = tmp_path / "faces.npz"
    faces_of(collection).save(path)
    assert prepare(collection, finder, path).detector == yunet.stem
    assert Faces.load(path).detector == yunet.stem


@pytest.fixture
def asked(monkeypatch):
    """Names of the pictures that are looked at, in order; one face is found in each."""
    names = []

    def detect(finder, sample):
        names.append(sample.name)
        return (sample.name, 1, (1.0, 2.0, 50.0, float(sample.size)), 0.9, np.zeros((5, 2), np.float32))

    monkeypatch.setattr(preparing, "_detect", detect)
    return names


def same_size(path):
    """Changes a picture's last bytes only: name and size stay."""
    content = path.read_bytes()
    path.write_bytes(content[:-4] + bytes(255 - byte for byte in content[-4:]))


def test_a_changed_picture_under_an_old_name_is_looked_at_again(finder, tmp_path, asked):
    collection = make_collection(tmp_path, train=6, val=0, test=0)
    first = prepare(collection, finder, tmp_path / "faces.npz")
    asked.clear()
    same_size(collection.samples[2].path)
    changed = prepare(collection, finder, tmp_path / "faces.npz")
    assert asked == ["2.jpg"]
    assert [bool((one == other).all()) for one, other in zip(first.pictures, changed.pictures, strict=True)] == [
        True, True, False, True, True, True,
    ]  # fmt: skip
    asked.clear()
    prepare(collection, finder, tmp_path / "faces.npz")
    assert not asked


def test_pictures_are_known_by_their_bytes_whatever_they_are_called(finder, tmp_path, asked):
    collection = make_collection(tmp_path, train=5, val=0, test=0)
    prepare(collection, finder, tmp_path / "faces.npz")
    asked.clear()
    renamed = [dataclasses.replace(sample, name=f"set/{sample.name}") for sample in collection.samples]
    others = dataclasses.replace(collection, samples=(renamed[3], renamed[1], renamed[1]))
    faces = prepare(others, finder, tmp_path / "faces.npz")
    assert not asked
    assert faces.names.tolist() == ["set/3.jpg", "set/1.jpg", "set/1.jpg"]
    assert faces.boxes[:, 3].tolist() == [renamed[number].size for number in (3, 1, 1)]


def test_a_cache_that_does_not_know_its_pictures_is_not_used(finder, tmp_path, asked):
    collection = make_collection(tmp_path, train=2, val=0, test=0)
    prepare(collection, finder, tmp_path / "faces.npz")
    with np.load(tmp_path / "faces.npz") as arrays:
        columns = {name: arrays[name] for name in arrays.files if name != "pictures"}
    np.savez(tmp_path / "faces.npz", **columns)
    asked.clear()
    prepare(collection, finder, tmp_path / "faces.npz")
    assert len(asked) == 2


def test_undecodable_picture_is_counted_and_not_fatal(finder, yunet, tmp_path):
    collection = make_collection(tmp_path, train=2, val=0, test=0)
    collection.samples[0].path.write_bytes(b"no picture")
    faces = prepare(collection, finder, tmp_path / "faces.npz")
    assert faces.counts[0] == CORRUPT


def test_picture_that_the_core_refuses_does_not_end_the_work(finder, tmp_path):
    collection = make_collection(tmp_path, train=2, val=0, test=0)
    Image.new("L", (70_000, 2)).save(collection.samples[0].path, "PNG")
    enlarged = dataclasses.replace(collection.samples[0], size=collection.samples[0].path.stat().st_size)
    collection = dataclasses.replace(collection, samples=(enlarged, collection.samples[1]))
    assert prepare(collection, finder, tmp_path / "faces.npz").counts[0] == CORRUPT


def test_files_that_are_no_cache_are_refused(tmp_path):
    path = tmp_path / "faces.npz"
    for content in (b"", b"no archive", b"PK\x03\x04 broken"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"faces\.npz"):
            Faces.load(path)
    np.savez(path, names=np.zeros(3))
    with pytest.raises(DataError, match="prepare again"):
        Faces.load(path)


def test_cleaning_drops_and_counts_by_reason(tmp_path):
    collection = make_collection(tmp_path, train=6, val=3, test=0)
    counts = np.array([1, CORRUPT, 0, 2, 1, 1, 0, 0, 0], np.int32)
    boxes = np.tile(np.array([0, 0, 90, 80], np.float32), (9, 1))
    boxes[4, 2] = 39.9
    kept, report = clean(collection, faces_of(collection, counts=counts, boxes=boxes), 40)
    assert [sample.name for sample in kept] == ["0.jpg", "5.jpg"]
    assert dataclasses.asdict(report) == {
        "kept": 2,
        "corrupt": 1,
        "no_face": 1,
        "several_faces": 1,
        "small_face": 1,
        "by_table": 0,
        "min_face_side": 40,
        "skipped_files": 0,
    }
    json.dumps(dataclasses.asdict(report))
