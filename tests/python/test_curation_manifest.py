"""The manifest: what is written is what training reads, wherever the folder lies."""

import dataclasses
import shutil

import pytest
from tiny_set import jpeg, make_collection, write_tar

from agepred_train.archive import DataError, index_archive
from agepred_train.curation.manifest import COLUMNS, read_manifest, write_manifest
from agepred_train.data import Sample


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
    assert [dataclasses.replace(sample, path=sample.path.resolve()) for sample in samples] == list(read.samples)
    assert {"m.csv", "faces.tar", "names and sizes"} == set(read.hashes)


def test_folder_can_be_moved_with_its_pictures(tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    samples = packed_samples(old)
    write_manifest(old / "m.csv", samples, ["", ""])
    shutil.move(old, tmp_path / "new")
    assert read_manifest(tmp_path / "new" / "m.csv").samples[1].read_bytes() == jpeg(2)


def test_dropping_bears_on_training_alone(tmp_path):
    samples = make_collection(tmp_path, train=2, val=1, test=1).samples
    write_manifest(tmp_path / "m.csv", samples, ["no_face", "", "no_face", "corrupt"])
    assert [sample.split for sample in read_manifest(tmp_path / "m.csv").samples] == ["drop", "train", "val", "test"]


def test_repacked_archive_is_still_found(tmp_path):
    samples = packed_samples(tmp_path)
    write_manifest(tmp_path / "m.csv", samples, ["", ""])
    write_tar(tmp_path / "faces.tar", {"b.jpg": jpeg(2), "a.jpg": jpeg(1)})
    assert [sample.read_bytes() for sample in read_manifest(tmp_path / "m.csv").samples] == [jpeg(1), jpeg(2)]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("n,absent.jpg,,1,1,,,,train,,1,", "absent.jpg is not there"),
        ("n,faces.tar,absent.jpg,1,1,,,,train,,1,", "does not hold absent.jpg"),
        ("n,m.csv,a.jpg,1,1,,,,train,,1,", "not an uncompressed tar"),
        ("n,faces.tar,a.jpg,x,1,,,,train,,1,", "row of n"),
        ("n,faces.tar,a.jpg,1,1,,,,train,,nan,", "weight nan"),
        ("n,faces.tar,a.jpg,1,1,,,,school,,1,", "school"),
    ],
)
def test_faulty_rows_are_refused_by_their_line(tmp_path, row, words):
    packed_samples(tmp_path)
    (tmp_path / "m.csv").write_text(",".join(COLUMNS) + "\n" + row + "\n")
    with pytest.raises(DataError, match=words) as caught:
        read_manifest(tmp_path / "m.csv")
    assert "m.csv, line 2" in str(caught.value)
