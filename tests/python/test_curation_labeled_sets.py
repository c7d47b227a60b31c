"""One reader and one splitter: `data`, `train` and `eval` see the same pictures, labels, splits and hashes."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image
from tiny_set import faces_of, jpeg, write_tar

from agepred_train.archive import DataError
from agepred_train.curation import curate as curating
from agepred_train.curation.curate import Settings, curate
from agepred_train.curation.labeled_sets import read_sets
from agepred_train.curation.manifest import read_manifest
from agepred_train.curation.sources import read_source, set_name
from agepred_train.evaluation.ask import Question
from agepred_train.evaluation.labels import read_labeled


def noise(seed):
    """A picture that is no near-duplicate of another one."""
    return jpeg(seed, 48)


@pytest.fixture
def folder(tmp_path):
    """Sixty pictures named as UTKFace's, two of them nearly the same."""
    folder = tmp_path / "UTKFace"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number}_{number % 2}_0_{number}.jpg").write_bytes(noise(number))
    Image.open(folder / "3_1_0_3.jpg").save(folder / "90_0_0_99.jpg", quality=60)
    return folder


def splits(samples):
    return {sample.name: sample.split for sample in samples}


@pytest.fixture
def blobs(monkeypatch):
    """In place of the detector: one face in every picture."""
    monkeypatch.setattr(curating, "prepare", lambda collection, finder, out: faces_of(collection))


def test_data_train_and_eval_divide_a_set_alike(folder, tmp_path, blobs):
    curated = curate([read_source(folder)], tmp_path / "m.csv", Settings(), faces_cache=tmp_path / "f.npz")
    trained = read_sets([folder], caches=tmp_path / "one")["UTKFace"].collection
    measured = read_labeled(folder, caches=tmp_path / "two")
    assert splits(trained.samples) == splits(measured.samples) == splits(curated.samples)
    assert trained.hashes == measured.hashes
    counts = [sum(sample.split == split for sample in trained.samples) for split in ("train", "val", "test", "drop")]
    assert counts == pytest.approx([0.7 * 61, 0.15 * 61, 0.15 * 61, 0], abs=2)
    # Near-duplicates stay together, on raw sets as well.
    assert splits(trained.samples)["3_1_0_3.jpg"] == splits(trained.samples)["90_0_0_99.jpg"]
    assert measured.silent == ("UTKFace",)


def test_a_set_is_divided_alike_alone_and_beside_another(folder, tmp_path, blobs):
    """Measured alone, a set must not bring pictures that were trained on beside another."""
    other = tmp_path / "other"
    other.mkdir()
    for number in range(30):
        (other / f"{number}_1_1_{number}.jpg").write_bytes(noise(1000 + number))
    alone = read_labeled(folder, caches=tmp_path)
    both = read_labeled([folder, other], caches=tmp_path)
    expected = {f"UTKFace/{name}": split for name, split in splits(alone.samples).items()}
    assert expected.items() <= splits(both.samples).items()
    assert both.name == "UTKFace+other"
    sources = [read_source(folder), read_source(other)]
    curated = curate(sources, tmp_path / "m.csv", Settings(), faces_cache=tmp_path / "f.npz")
    assert splits(curated.samples) == splits(both.samples)


def test_a_copy_in_two_sets_serves_the_stronger_split_alone(folder, tmp_path, blobs):
    other = tmp_path / "other"
    other.mkdir()
    for name in ("7_1_0_7.jpg", "8_0_0_8.jpg", "9_1_0_9.jpg", "10_0_0_10.jpg"):
        shutil.copy(folder / name, other / name)
    sources = [read_source(folder), read_source(other)]
    curated = curate(sources, tmp_path / "m.csv", Settings(), faces_cache=tmp_path / "f.npz")
    found = splits(curated.samples)
    for name in os.listdir(other):
        kept = {found[f"UTKFace/{name}"], found[f"other/{name}"]} - {"drop"}
        assert len(kept) == 1


def test_other_dealt_splits_are_other_data(folder, tmp_path):
    first = read_labeled(folder, caches=tmp_path).hashes
    shutil.move(folder / "59_1_0_59.jpg", folder / "58_1_0_60.jpg")
    assert read_labeled(folder, caches=tmp_path).hashes["dealt splits"] != first["dealt splits"]


def test_undivided_sets_count_whole(folder):
    labeled = read_labeled(folder)
    assert not labeled.has_splits
    for split in ("all", "val"):
        assert len(labeled.part(split)) == 61
        question = Question(labeled=labeled, split=split, median_age=29)
        assert (question.name(), question.named_split) == ("UTKFace", None)


def test_manifest_is_read_by_all(folder, tmp_path, blobs):
    curate([read_source(folder)], tmp_path / "m.csv", Settings(), faces_cache=tmp_path / "f.npz")
    manifest = read_manifest(tmp_path / "m.csv")
    labeled = read_labeled(tmp_path / "m.csv")
    assert labeled.samples == manifest.samples == read_sets([tmp_path / "m.csv"], caches=None)["m"].collection.samples
    assert labeled.hashes == manifest.hashes
    assert (labeled.has_splits, labeled.silent) == (True, ())


def test_every_layout_can_be_measured_on(tmp_path):
    fair = tmp_path / "FairFace"
    for name in ("train/1.jpg", "val/1.jpg", "val/2.jpg"):
        (fair / name).parent.mkdir(parents=True, exist_ok=True)
        (fair / name).write_bytes(jpeg(len(name)))
    header = "file,age,gender,race,service_test\n"
    (fair / "fairface_label_train.csv").write_text(header + "train/1.jpg,50-59,Male,East Asian,True\n")
    (fair / "fairface_label_val.csv").write_text(
        header + "val/1.jpg,3-9,Male,Black,False\nval/2.jpg,more than 70,Female,White,False\n"
    )
    labeled = read_labeled(fair)
    assert [(sample.age_min, sample.age_max) for sample in labeled.part("val")] == [(3, 9), (70, 116)]
    assert labeled.part("val")[0].gender == "male"
    faces = tmp_path / "faces"
    (faces / "Train").mkdir(parents=True)
    (faces / "Train" / "377.jpg").write_bytes(jpeg(1))
    (faces / "train.csv").write_text("ID,Class\n377.jpg,YOUNG\n")
    (sample,) = read_labeled(faces, ranges={"YOUNG": (0, 29)}).part("all")
    assert (sample.age_min, sample.age_max) == (0, 29)
    (tmp_path / "mine.csv").write_text("path,age,split\nfaces/Train/377.jpg,30,test\n")
    assert [sample.age for sample in read_labeled(tmp_path / "mine.csv").part("test")] == [30]


def test_rows_that_cannot_be_used_are_refused_where_nobody_would_see_them(tmp_path):
    write_tar(tmp_path / "set.tar", {"a.jpg": jpeg(1)})
    (tmp_path / "set.csv").write_text("file,age\na.jpg,3\nb.jpg,4\n")
    assert len(read_source(tmp_path / "set.tar").collection.skipped) == 1
    for reader in (read_labeled, lambda path: read_sets([path], caches=None)):
        with pytest.raises(DataError, match=r"set\.csv, line 3: row of b\.jpg: the picture is not there; mend"):
            reader(tmp_path / "set.tar")


def test_sets_have_names_and_each_its_own(tmp_path, monkeypatch):
    folder = tmp_path / "some.set"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert [set_name(folder.__class__(path)) for path in (".", "..", "../some.set", "x.tar", "/")] == [
        "some.set", tmp_path.name, "some.set", "x", "data",
    ]  # fmt: skip
    (folder / "1_0_0_1.jpg").write_bytes(jpeg(1))
    assert read_labeled(folder.__class__(".")).name == "some.set"
    with pytest.raises(DataError, match=r"two sources are named some\.set"):
        read_sets([folder, folder], caches=None)
    with pytest.raises(DataError, match="table of one set, 2 are named"):
        read_sets([folder, tmp_path], labels=folder / "x.csv", caches=None)


def test_labels_fit_tars_and_folders_only(tmp_path):
    (tmp_path / "m.csv").write_text("file,age\nm.csv,3\n")
    with pytest.raises(DataError, match="the layout table has its own"):
        read_source(tmp_path / "m.csv", layout="table", labels=tmp_path / "m.csv")
    with pytest.raises(FileNotFoundError, match=r"absent\.csv: there is no such table"):
        read_source(tmp_path, labels=tmp_path / "absent.csv")


def test_pictures_are_not_alike(folder):
    """What the tests above take for granted of their pictures."""
    pictures = [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())[:5]]
    assert len({picture.tobytes() for picture in pictures}) == 5
