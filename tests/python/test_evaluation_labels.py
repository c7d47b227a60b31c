"""What an evaluation is asked about: which pictures count, and what is wrong with labels told by file and line."""

import pytest
from tiny_set import jpeg, write_tar

from agepred_train.archive import DataError
from agepred_train.evaluation.labels import MEDIAN_AGE, read_labeled


def write_set(folder, table, names=("a.jpg", "b.jpg", "c.jpg")):
    data = write_tar(folder / "set.tar", {name: jpeg(number, 16) for number, name in enumerate(names)})
    (folder / "set.csv").write_text(table)
    return data


def test_codes_become_words_and_ranges_may_be_open(tmp_path):
    data = write_set(
        tmp_path,
        "file,age_min,age_max,gender,race,split\na.jpg,20,29.0,1,2,val\nb.jpg,70,,male,Latino_Hispanic,train\n"
        "c.jpg,3,9,-1,-1,val\n",
    )
    labeled = read_labeled(data)
    first, second, third = labeled.samples
    assert (first.age_min, first.age_max, first.gender, first.race) == (20, 29, "female", "Asian")
    assert (second.age_min, second.age_max, second.gender, second.race) == (70, 116, "male", "Latino_Hispanic")
    assert (third.gender, third.race) == ("", "")
    assert [sample.name for sample in labeled.part("val")] == ["a.jpg", "c.jpg"]
    assert labeled.median_train_age() == MEDIAN_AGE  # the ages of `train` are ranges
    assert (labeled.name, labeled.has_splits, list(labeled.hashes)) == ("set", True, ["set.tar", "set.csv"])


def test_set_without_splits_counts_whole_and_folders_are_like_archives(tmp_path):
    table = "file,age\na.jpg,20\nb.jpg,30\nc.jpg,40\n"
    packed = read_labeled(write_set(tmp_path, table))
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, name in enumerate(("a.jpg", "b.jpg", "c.jpg")):
        (folder / name).write_bytes(jpeg(number, 16))
    plain = read_labeled(folder, tmp_path / "set.csv")
    for labeled in (packed, plain):
        assert [sample.age for sample in labeled.part("all")] == [20, 30, 40]
        assert [sample.age for sample in labeled.part("all", 2)] == [20, 30]
        assert not labeled.has_splits
    assert [sample.read_bytes() for sample in packed.samples] == [sample.read_bytes() for sample in plain.samples]


def test_folder_of_utkface_tells_its_labels_by_name(tmp_path):
    (tmp_path / "31_1_2_20170116174525125.jpg").write_bytes(jpeg(0, 16))
    (sample,) = read_labeled(tmp_path).samples
    assert (sample.age, sample.gender, sample.race) == (31, "female", "Asian")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("name,age\na.jpg,20\n", r"set\.csv: no column names the file"),
        ("file,age_min\na.jpg,20\n", "age_min and age_max"),
        ("file,age\n", "no rows"),
        ("file,age\na.jpg\n", "line 2: the row has 1 fields, the header 2"),
        ("file,age\na.jpg,20,7\n", "line 2: the row has 3 fields, the header 2"),
        ("file,age\na.jpg,old\n", "line 2: row of a.jpg"),
        ("file,age\na.jpg,20.5\n", "line 2: .*20.5.*neither a number"),
        ("file,age\na.jpg,117\n", "line 2: .*117"),
        ("file,age_min,age_max\na.jpg,30,20\n", "line 2: .*30 to 20"),
        ("file,age,gender\na.jpg,20,7\n", "line 2: .*gender 7 is no code"),
        ("file,age,split\na.jpg,20,dev\n", "line 2: .*dev"),
        ("file,age\na.jpg,20\na.jpg,30\n", "line 3: a.jpg is listed on line 2"),
        ("file,age\nz.jpg,20\n", "line 2: row of z.jpg: the picture is not there"),
        ("file,age\n" + "x" * 200_000 + ",2\n", "line 2: not readable"),
    ],
)
def test_faulty_labels_are_named_with_their_line(tmp_path, table, words):
    with pytest.raises(DataError, match=words):
        read_labeled(write_set(tmp_path, table))


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_labeled(tmp_path / "nowhere.tar")
    data = write_set(tmp_path, "file,age,split\na.jpg,20,val\n")
    with pytest.raises(DataError, match="split test"):
        read_labeled(data).part("test")
    (tmp_path / "set.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"set\.csv"):
        read_labeled(data)


def test_all_leaves_out_what_belongs_nowhere(tmp_path):
    table = "file,age,split\na.jpg,20,train\nb.jpg,30,drop\nc.jpg,40,test\n"
    labeled = read_labeled(write_set(tmp_path, table))
    assert [sample.age for sample in labeled.part("all")] == [20, 40]
    assert labeled.median_train_age() == 20
