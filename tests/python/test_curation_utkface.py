"""UTKFace as it is packed and as a folder: bytes, hashes, and every way in which a table or a name can be wrong."""

import csv
import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from tiny_set import jpeg, write_tar

from agepred_train.archive import DataError
from agepred_train.curation.labeled_table import UNDIVIDED
from agepred_train.curation.sources import read_source
from agepred_train.data import AGES, Sample

COLUMNS = ("file", "age", "gender", "race", "coral", "group", "split", "faces")


@pytest.fixture
def packed(tmp_path):
    """Three pictures in a tar and a function that writes their table with chosen changes."""
    members = {f"{number}.jpg": jpeg(number) for number in range(3)}
    archive = write_tar(tmp_path / "faces.tar", members)

    def table(**changes):
        path = tmp_path / "faces.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            for number, split in enumerate(("train", "val", "test")):
                row = dict(zip(COLUMNS, (f"{number}.jpg", 20 + number, 1, -1, "", 0, split, 1), strict=True))
                writer.writerow(row | (changes if number == 1 else {}))
        return path

    return archive, table, members


def read(archive):
    return read_source(archive, strict=True).collection


def test_packed_pictures_come_back_byte_for_byte(packed):
    archive, table, members = packed
    table()
    collection = read(archive)
    assert [(sample.age, sample.split) for sample in collection.samples] == [(20, "train"), (21, "val"), (22, "test")]
    with ThreadPoolExecutor(4) as pool:
        contents = pool.map(Sample.read_bytes, collection.samples * 20)
        assert list(contents) == list(members.values()) * 20


def test_hashes_are_those_of_the_files(packed):
    archive, table, _ = packed
    table()
    hashes = read(archive).hashes
    assert hashes["faces.tar"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert set(hashes) == {"faces.tar", "faces.csv"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"file": "absent.jpg"}, "line 3: row of absent.jpg: the picture is not there"),
        ({"age": "old"}, "1.jpg"),
        ({"age": "117"}, "117"),
        ({"split": "training"}, "training"),
        ({"split": ""}, "line 3: row of 1.jpg: split ''"),
        ({"gender": "2"}, "line 3: row of 1.jpg: gender 2"),
        ({"race": "5"}, "line 3: row of 1.jpg: race 5"),
        ({"race": "-2"}, "race -2"),
        ({"file": "0.jpg"}, "line 3: 0.jpg is listed on line 2 already"),
        ({"coral": "x" * 200_000}, "line 3: not readable as CSV"),
    ],
)
def test_wrong_table_is_refused_by_name(packed, change, words):
    archive, table, _ = packed
    table(**change)
    with pytest.raises(DataError, match=words) as caught:
        read(archive)
    assert "faces.csv" in str(caught.value)


def test_all_wrong_rows_are_counted(packed):
    archive, table, _ = packed
    path = table(age="old")
    path.write_text(path.read_text() + "3.jpg,3,1,1,,0,test,1\n")
    with pytest.raises(DataError, match=r"line 3: row of 1\.jpg: .* \(2 of 4 rows cannot be used\); mend it, or have"):
        read(archive)


@pytest.mark.parametrize(
    ("row", "words"),
    [("3.jpg,23", "has 2 fields, the header 8"), ("3.jpg,23,1,1,,0,test,1,2,3", "has 10 fields, the header 8")],
)
def test_row_of_another_length_is_refused_by_its_line(packed, row, words):
    archive, table, _ = packed
    path = table()
    path.write_text(path.read_text() + row + "\n")
    with pytest.raises(DataError, match=rf"faces\.csv, line 5: the row {words}; mend"):
        read(archive)


def test_table_in_another_encoding_is_refused(packed):
    archive, table, _ = packed
    path = table()
    path.write_bytes(path.read_bytes() + b"caf\xe9.jpg,23,1,1,,0,test,1\n")
    with pytest.raises(DataError, match=r"faces\.csv, line .*UTF-8"):
        read(archive)


def test_unknown_gender_and_race_are_fine(packed):
    archive, table, _ = packed
    table(gender=-1, race=-1)
    assert read(archive).samples[1].gender == ""


def test_files_that_are_something_else_are_refused(packed, tmp_path):
    _, table, _ = packed
    text = tmp_path / "notes.txt"
    text.write_text("file,age\n1.jpg,3\n")
    with pytest.raises(DataError, match="tar"):
        read_source(text, labels=table())
    with pytest.raises(FileNotFoundError):
        read_source(tmp_path / "absent.tar", labels=table())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("61_1_20170109142408075.jpg.chip.jpg", "not named"),
        ("24_0_1_20170116220224657 .jpg", "not named"),
        ("24_0_5_20170116220224657.jpg", "not named"),
        ("_0_1_20170116220224657.jpg", "not named"),
        ("24_0_1_20170116220224657.png", "not named"),
        ("117_0_1_20170116220224657.jpg", "age 117"),
        ("notes.txt", "not named"),
    ],
)
def test_odd_names_in_a_folder_are_skipped_and_listed(tmp_path, name, reason):
    good = ["1_0_2_20161219140623097.jpg", "116_1_3_20170117213500903.jpg.chip.jpg"]
    for file in (*good, name):
        (tmp_path / file).write_bytes(jpeg(1))
    (tmp_path / "24_0_1_1.jpg").mkdir()
    collection = read(tmp_path)
    assert sorted(sample.name for sample in collection.samples) == sorted(good)
    labels = {(sample.age, sample.gender, sample.race, sample.split) for sample in collection.samples}
    assert labels == {(1, "male", "Asian", UNDIVIDED), (116, "female", "Indian", UNDIVIDED)}
    assert len(collection.skipped) == 1
    assert collection.skipped[0].startswith(f"{name}: {reason}")


def test_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(DataError, match=r"readme|none of 1"):
        read(tmp_path)


def test_real_set_has_the_published_sizes(shared):
    collection = read(shared / "data/utkface.tar")
    sizes = {split: len(collection.part(split)) for split in ("train", "val", "test", "drop")}
    assert sizes == {"train": 16894, "val": 1862, "test": 4778, "drop": 174}
    assert {sample.age for sample in collection.samples} <= set(AGES)
    picture = collection.samples[-1].read_picture()
    assert picture.shape == (200, 200, 3)
