"""The manifest: what is written is what training reads, wherever the folder lies."""

import dataclasses
import shutil

import numpy as np
import pytest
from tiny_set import faces_of, jpeg, make_collection, write_tar

from agepred_train.archive import DataError, index_archive
from agepred_train.curation.manifest import COLUMNS, is_manifest, read_manifest, write_manifest
from agepred_train.data import Sample
from agepred_train.prepare import clean
from agepred_train.sources import named_by_source, of_source, sources_of
from agepred_train.storage import sha256_of_file


def packed_samples(folder):
    archive = write_tar(folder / "faces.tar", {"a.jpg": jpeg(1), "b.jpg": jpeg(2)})
    return [
        Sample(name=f"set/{name}", age_min=3, age_max=9, split="val", path=archive, offset=at.offset, size=at.size)
        for name, at in index_archive(archive).items()
    ]


def test_comes_back_as_it_was(tmp_path):
    plain = make_collection(tmp_path, train=3, val=1, test=1).samples
    marked = [dataclasses.replace(plain[0], group="4", weight=0.25, coral="train"), *plain[1:]]
    samples = [*marked, *packed_samples(tmp_path)]
    table = tmp_path / "elsewhere" / "m.csv"
    table.parent.mkdir()
    write_manifest(table, samples, [""] * len(samples))
    read = read_manifest(table)
    expected = [dataclasses.replace(sample, path=sample.path.resolve(), dropped="") for sample in samples]
    assert expected == list(read.samples)
    assert {"m.csv", "faces.tar", "names and sizes"} == set(read.hashes)


def test_folder_can_be_moved_with_its_pictures(tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    samples = packed_samples(old)
    write_manifest(old / "m.csv", samples, ["", ""])
    shutil.move(old, tmp_path / "new")
    assert read_manifest(tmp_path / "new" / "m.csv").samples[1].read_bytes() == jpeg(2)


def test_the_hash_is_of_what_a_manifest_says_wherever_it_lies(tmp_path):
    samples = [*make_collection(tmp_path, train=3, val=1, test=1).samples, *packed_samples(tmp_path)]
    found = []
    for folder in ("here", "there/and/deeper"):
        (tmp_path / folder).mkdir(parents=True)
        write_manifest(tmp_path / folder / "m.csv", samples, [""] * len(samples))
        found.append(read_manifest(tmp_path / folder / "m.csv").hashes)
    assert found[0] == found[1]
    assert (tmp_path / "here/m.csv").read_bytes() != (tmp_path / "there/and/deeper/m.csv").read_bytes()
    write_manifest(tmp_path / "here/m.csv", samples, ["no_face", *[""] * (len(samples) - 1)])
    changed = read_manifest(tmp_path / "here/m.csv").hashes
    assert changed != found[0]
    assert changed["names and sizes"] == found[0]["names and sizes"]


def test_archives_of_one_name_have_a_hash_each(tmp_path):
    samples = []
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        archive = write_tar(tmp_path / folder / "faces.tar", {"a.jpg": jpeg(number)})
        (at,) = index_archive(archive).values()
        samples.append(
            Sample(name=folder, age_min=3, age_max=9, split="val", path=archive, offset=at.offset, size=at.size)
        )
    write_manifest(tmp_path / "m.csv", samples, ["", ""])
    hashes = read_manifest(tmp_path / "m.csv").hashes
    assert [hashes["faces.tar"], hashes["faces.tar (2)"]] == [sha256_of_file(sample.path) for sample in samples]


def test_what_is_dropped_keeps_its_split(tmp_path):
    """Training leaves it out; an evaluation of `train` does not."""
    samples = make_collection(tmp_path, train=2, val=1, test=1).samples
    write_manifest(tmp_path / "m.csv", samples, ["no_face", "", "no_face", "corrupt"])
    read = read_manifest(tmp_path / "m.csv")
    assert [sample.split for sample in read.samples] == ["train", "train", "val", "test"]
    kept, report = clean(read, faces_of(read), 40)
    assert [sample.name for sample in kept] == ["1.jpg"]
    assert (report.kept, report.no_face) == (1, 1)


def test_the_table_decides_what_training_drops(tmp_path):
    """Small faces, and several of them, were judged by `agepred data` and its options; crops need a face."""
    samples = make_collection(tmp_path, train=5, val=0, test=0).samples
    write_manifest(tmp_path / "m.csv", samples, ["", "", "small_face", "conflict", ""])
    read = read_manifest(tmp_path / "m.csv")
    faces = faces_of(
        read,
        counts=np.array([1, 2, 1, 1, 0], np.int32),
        boxes=np.tile(np.array([0, 0, 30, 30], np.float32), (5, 1)),
    )
    kept, report = clean(read, faces, 40)
    assert [sample.name for sample in kept] == ["0.jpg", "1.jpg"]
    assert (report.small_face, report.by_table, report.no_face, report.several_faces) == (1, 1, 1, 0)


def test_sets_are_known_again(tmp_path):
    samples = make_collection(tmp_path, train=4, val=0, test=0).samples
    named = [*named_by_source("one", samples[:3]), *named_by_source("two", samples[3:])]
    write_manifest(tmp_path / "m.csv", named, [""] * 4, ["one", "one", "one", "two"])
    read = read_manifest(tmp_path / "m.csv")
    assert sources_of(read) == ("one", "two")
    assert [len(of_source(read.samples, source)) for source in ("one", "two")] == [3, 1]
    write_manifest(tmp_path / "m.csv", samples, [""] * 4, ["alone"] * 4)
    assert sources_of(read_manifest(tmp_path / "m.csv")) == ("",)
    write_manifest(tmp_path / "m.csv", samples, [""] * 4, ["one", "one", "one", "two"])
    with pytest.raises(DataError, match=r"m\.csv, line 2: 0\.jpg is of the set 'one' and must begin with it"):
        read_manifest(tmp_path / "m.csv")


def test_tables_of_before_sets_are_read(tmp_path):
    samples = make_collection(tmp_path, train=2, val=0, test=0).samples
    write_manifest(tmp_path / "m.csv", samples, ["", ""])
    lines = (tmp_path / "m.csv").read_text().splitlines()
    (tmp_path / "m.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    assert is_manifest(tmp_path / "m.csv")
    assert len(read_manifest(tmp_path / "m.csv").samples) == 2


def test_repacked_archive_is_still_found(tmp_path):
    samples = packed_samples(tmp_path)
    write_manifest(tmp_path / "m.csv", samples, ["", ""])
    write_tar(tmp_path / "faces.tar", {"b.jpg": jpeg(2), "a.jpg": jpeg(1)})
    assert [sample.read_bytes() for sample in read_manifest(tmp_path / "m.csv").samples] == [jpeg(1), jpeg(2)]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("n,absent.jpg,,1,1,,,,train,,1,,", "absent.jpg is not there"),
        ("n,faces.tar,absent.jpg,1,1,,,,train,,1,,", "does not hold absent.jpg"),
        ("n,m.csv,a.jpg,1,1,,,,train,,1,,", "not an uncompressed tar"),
        ("n,faces.tar,a.jpg,x,1,,,,train,,1,,", "row of n"),
        ("n,faces.tar,a.jpg,1,1,,,,train,,nan,,", "weight nan"),
        ("n,faces.tar,a.jpg,1,1,,,,school,,1,,", "school"),
    ],
)
def test_faulty_rows_are_refused_by_their_line(tmp_path, row, words):
    packed_samples(tmp_path)
    (tmp_path / "m.csv").write_text(",".join(COLUMNS) + "\n" + row + "\n")
    with pytest.raises(DataError, match=words) as caught:
        read_manifest(tmp_path / "m.csv")
    assert "m.csv, line 2" in str(caught.value)
