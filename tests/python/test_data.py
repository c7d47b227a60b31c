"""Readers of labeled pictures: the packed set and the plain folder."""

import csv
import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from tiny_set import jpeg, write_tar

from agepred_train.archive import DataError
from agepred_train.data import AGES, Sample, median_age, read_utkface, read_utkface_folder

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


def test_packed_pictures_come_back_byte_for_byte(packed):
    archive, table, members = packed
    collection = read_utkface(archive, table())
    assert [(sample.age, sample.split) for sample in collection.samples] == [
        (20, "train"),
        (21, "val"),
        (22, "test"),
    ]
    with ThreadPoolExecutor(4) as pool:
        contents = pool.map(Sample.read_bytes, collection.samples * 20)
        assert list(contents) == list(members.values()) * 20


def test_hashes_are_those_of_the_files(packed):
    archive, table, _ = packed
    hashes = read_utkface(archive, table()).hashes
    assert hashes["faces.tar"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert set(hashes) == {"faces.tar", "faces.csv"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"file": "absent.jpg"}, "absent.jpg"),
        ({"age": "old"}, "1.jpg"),
        ({"age": "117"}, "117"),
        ({"split": "training"}, "training"),
        ({"gender": "2"}, "line 3: row of 1.jpg: gender 2"),
        ({"race": "5"}, "line 3: row of 1.jpg: race 5"),
        ({"race": "-2"}, "race -2"),
        ({"file": "0.jpg"}, "line 3: 0.jpg is listed on line 2 already"),
        ({"coral": "x" * 200_000}, "line 3: not readable as CSV"),
    ],
)
def test_wrong_table_is_refused_by_name(packed, change, words):
    archive, table, _ = packed
    with pytest.raises(DataError, match=words) as caught:
        read_utkface(archive, table(**change))
    assert "faces.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [("3.jpg,23", "has 2 fields, the header 8"), ("3.jpg,23,1,1,,0,test,1,2,3", "has 10 fields, the header 8")],
)
def test_row_of_another_length_is_refused_by_its_line(packed, row, words):
    archive, table, _ = packed
    path = table()
    path.write_text(path.read_text() + row + "\n")
    with pytest.raises(DataError, match=rf"faces\.csv, line 5: the row {words}; mend"):
        read_utkface(archive, path)


def test_table_in_another_encoding_is_refused(packed):
    archive, table, _ = packed
    path = table()
    path.write_bytes(path.read_bytes() + b"caf\xe9.jpg,23,1,1,,0,test,1\n")
    with pytest.raises(DataError, match=r"faces\.csv, line .*UTF-8"):
        read_utkface(archive, path)


def test_unknown_gender_and_race_are_fine(packed):
    archive, table, _ = packed
    assert read_utkface(archive, table(gender=-1, race=-1)).samples[1].gender == ""


def test_files_that_are_something_else_are_refused(packed, tmp_path):
    archive, table, _ = packed
    text = tmp_path / "notes.txt"
    text.write_text("file,age\n1.jpg,3\n")
    with pytest.raises(DataError, match="gender"):
        read_utkface(archive, text)
    with pytest.raises(DataError, match="tar"):
        read_utkface(text, table())
    with pytest.raises(FileNotFoundError):
        read_utkface(tmp_path / "absent.tar", table())


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
    collection = read_utkface_folder(tmp_path)
    assert sorted(sample.name for sample in collection.samples) == sorted(good)
    labels = {(sample.age, sample.gender, sample.race) for sample in collection.samples}
    assert labels == {(1, "male", "Asian"), (116, "female", "Indian")}
    assert len(collection.skipped) == 1
    assert collection.skipped[0].startswith(f"{name}: {reason}")


def test_folder_splits_depend_on_the_name_alone(tmp_path):
    for number in range(1500):
        (tmp_path / f"{number % 117}_0_0_{number}.jpg").write_bytes(b"")
    first = {sample.name: sample.split for sample in read_utkface_folder(tmp_path).samples}
    shares = {split: sum(found == split for found in first.values()) / 1500 for split in ("train", "val", "test")}
    # Three standard deviations of a share among 1500 names are 0.03 at most.
    assert shares == pytest.approx({"train": 0.80, "val": 0.08, "test": 0.12}, abs=0.03)
    for number in range(0, 1500, 2):
        (tmp_path / f"{number % 117}_0_0_{number}.jpg").unlink()
    second = {sample.name: sample.split for sample in read_utkface_folder(tmp_path).samples}
    assert second.items() <= first.items()


def test_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(DataError, match=r"readme|none of 1"):
        read_utkface_folder(tmp_path)
    with pytest.raises(NotADirectoryError, match="absent"):
        read_utkface_folder(tmp_path / "absent")


@pytest.mark.parametrize("content", [b"", b"no picture", jpeg(1)[:300]])
def test_damaged_picture_is_named(tmp_path, content):
    path = tmp_path / "damaged.jpg"
    path.write_bytes(content)
    sample = Sample(name="damaged.jpg", age_min=3, age_max=3, split="train", path=path, size=len(content))
    with pytest.raises(DataError, match=r"damaged\.jpg"):
        sample.read_picture()


def test_pictures_come_as_upright_rgb(tmp_path):
    path = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # the picture must be turned clockwise to stand upright
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(path, exif=exif)
    sample = Sample(name="turned", age_min=3, age_max=3, split="train", path=path, size=path.stat().st_size)
    assert sample.read_picture().shape == (30, 20, 3)


def test_median_is_a_label_that_occurs(tmp_path):
    def samples(*ages):
        return [Sample(name="", age_min=age, age_max=age, split="train", path=tmp_path, size=0) for age in ages]

    assert median_age(samples(30, 1, 50)) == 30
    assert median_age(samples(30, 1, 50, 40)) == 30
    with pytest.raises(DataError):
        median_age([])


def test_real_set_has_the_published_sizes(shared):
    collection = read_utkface(shared / "data/utkface.tar", shared / "data/utkface.csv")
    sizes = {split: len(collection.part(split)) for split in ("train", "val", "test", "drop")}
    assert sizes == {"train": 16894, "val": 1862, "test": 4778, "drop": 174}
    assert {sample.age for sample in collection.samples} <= set(AGES)
    picture = collection.samples[-1].read_picture()
    assert picture.shape == (200, 200, 3)


def test_a_label_may_be_a_range(tmp_path):
    labels = {"name": "a", "split": "train", "path": tmp_path, "size": 0}
    assert Sample(age_min=7, age_max=7, **labels).age == 7
    with pytest.raises(ValueError, match="a: labeled with a range, 3 to 9 years"):
        _ = Sample(age_min=3, age_max=9, **labels).age
    for ages in ((9, 3), (-1, 3), (3, 117)):
        with pytest.raises(DataError, match=r"range|within"):
            Sample(age_min=ages[0], age_max=ages[1], **labels)
    with pytest.raises(DataError, match="weight 2"):
        Sample(age_min=3, age_max=3, weight=2, **labels)
