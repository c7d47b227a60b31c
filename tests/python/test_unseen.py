"""Figures of pictures that a model was trained on must not be released: by other sets, same splits, or name by name."""

import csv
import shutil

import pytest
from tiny_set import jpeg, write_tar

from agepred_train.archive import index_archive
from agepred_train.curation.manifest import read_manifest, write_manifest
from agepred_train.data import Sample
from agepred_train.storage import sha256_of_file
from agepred_train.unseen import SeenError, how_unseen, pictures_by_set, tables_of

SPLITS = {"a.jpg": "train", "b.jpg": "val", "c.jpg": "test", "d.jpg": "train"}


@pytest.fixture
def data(tmp_path):
    """A packed set, and what an evaluation of its split test says of it."""
    archive = write_tar(tmp_path / "faces.tar", {name: jpeg(number) for number, name in enumerate(SPLITS)})
    write_labels(tmp_path, SPLITS)
    return archive, {"name": "faces", "split": "test", "sha256": hashes(tmp_path)}


def write_labels(folder, splits):
    with (folder / "faces.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "age", "gender", "race", "coral", "split"))
        writer.writerows((name, 30, 0, 0, "", split) for name, split in splits.items())


def hashes(folder):
    return {name: sha256_of_file(folder / name) for name in ("faces.tar", "faces.csv")}


def table_of(archive, dropped=""):
    """The table of `agepred data` on that set, with the last picture dropped or not, and a record's hashes of it."""
    samples = [
        Sample(
            name=name,
            age_min=30,
            age_max=30,
            split=SPLITS[name],
            path=archive,
            offset=stored.offset,
            size=stored.size,
        )
        for name, stored in index_archive(archive).items()
    ]
    table = archive.with_name("table.csv")
    write_manifest(table, samples, ["", "", "", dropped])
    return table, dict(read_manifest(table).hashes)


def test_another_set_is_unseen(data):
    _, evaluated = data
    assert how_unseen(evaluated | {"split": None}, {"utkface.tar": "a" * 64, "faces.csv": "b" * 64}, []) == "other set"


def test_test_split_of_the_same_labels_is_unseen_and_nothing_else(data):
    _, evaluated = data
    trained = {f"faces/{name}": digest for name, digest in evaluated["sha256"].items()}
    assert how_unseen(evaluated, trained, []) == "same splits"
    for split in (None, "val"):
        with pytest.raises(SeenError, match="was trained on this set"):
            how_unseen(evaluated | {"split": split}, trained, [])


def test_pictures_are_looked_up_in_the_table_of_the_training(data):
    archive, evaluated = data
    table, trained = table_of(archive)
    with pytest.raises(SeenError, match="name it with --data"):
        how_unseen(evaluated, trained, [])
    assert how_unseen(evaluated, trained, [table]) == "by name"
    with pytest.raises(SeenError, match="not a table"):
        how_unseen(evaluated, trained | {"table.csv": "0" * 64}, [table])


def test_a_table_is_known_by_its_bytes_as_well(data):
    archive, evaluated = data
    table, trained = table_of(archive)
    older = trained | {table.name: sha256_of_file(table)}
    assert how_unseen(evaluated, older, [table]) == "by name"


def test_a_test_picture_that_the_table_trains_on_is_refused(data):
    archive, _ = data
    table, trained = table_of(archive)
    write_labels(archive.parent, SPLITS | {"d.jpg": "test"})
    evaluated = {"name": "faces", "split": "test", "sha256": hashes(archive.parent)}
    with pytest.raises(SeenError, match=r"1 pictures of its split test were trained on, or chosen by, first d\.jpg"):
        how_unseen(evaluated, trained, [table])


def test_labels_that_have_changed_since_are_refused(data):
    archive, evaluated = data
    table, trained = table_of(archive)
    write_labels(archive.parent, SPLITS | {"d.jpg": "drop"})
    with pytest.raises(SeenError, match="evaluate again"):
        how_unseen(evaluated, trained, [table])


def test_pictures_are_counted_by_set_and_split(data):
    archive, _ = data
    table, _ = table_of(archive, dropped="no_face")
    assert pictures_by_set([table]) == {"faces": {"train": 1, "val": 1, "test": 1, "drop": 1}}


def test_tables_are_told_apart_by_what_they_say(data):
    archive, _ = data
    other = shutil.copyfile(table_of(archive)[0], archive.parent / "other.csv")
    table, trained = table_of(archive, dropped="no_face")
    assert tables_of([other, table], trained) == [table]
