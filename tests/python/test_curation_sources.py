"""Layouts of data sets: each is recognized by what lies there and read with its oddities."""

import pytest
from tiny_set import jpeg, write_tar

from agepred_train.archive import DataError
from agepred_train.curation.manifest import write_manifest
from agepred_train.curation.sources import read_source

RANGES = {"YOUNG": (0, 29), "OLD": (60, 116)}


def put(folder, *names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(number))
    return folder


def ages(source):
    return {sample.name: (sample.age_min, sample.age_max) for sample in source.collection.samples}


def test_packed_ranges_with_codes_and_an_open_end(tmp_path):
    archive = write_tar(tmp_path / "fair.tar", {"v1.webp": jpeg(1), "v2.webp": jpeg(2)})
    (tmp_path / "fair.csv").write_text(
        "file,age_min,age_max,gender,race,split\nv1.webp,3,9,0,East Asian,train\nv2.webp,70,,1,Black,val\n"
    )
    source = read_source(archive)
    assert (source.name, source.layout, source.has_splits) == ("fair", "packed", True)
    assert ages(source) == {"v1.webp": (3, 9), "v2.webp": (70, 116)}
    first, second = source.collection.samples
    assert (first.gender, first.race, first.split) == ("male", "East Asian", "train")
    assert (second.gender, second.race, second.split) == ("female", "Black", "val")
    assert second.read_bytes() == jpeg(2)


def test_packed_utkface_keeps_its_codes_and_its_split(tmp_path):
    archive = write_tar(tmp_path / "u.tar", {"a.jpg": jpeg(1)})
    (tmp_path / "u.csv").write_text("file,age,gender,race,coral,group,split,faces\na.jpg,30,1,4,test,7,test,1\n")
    (sample,) = read_source(archive).collection.samples
    assert (sample.gender, sample.race, sample.coral, sample.group) == ("female", "other", "test", "7")


def test_kaggles_nested_utkface_counts_each_picture_once(tmp_path):
    names = ("UTKFace/1_0_0_1.jpg", "UTKFace/2_0_0_2.jpg.chip.jpg", "crop_part1/2_0_0_2.jpg.chip.jpg")
    source = read_source(put(tmp_path / "archive", *names, "utkface_aligned_cropped/UTKFace/1_0_0_1.jpg"))
    assert (source.layout, source.has_splits) == ("utkface", False)
    assert ages(source) == {"1_0_0_1.jpg": (1, 1), "2_0_0_2.jpg.chip.jpg": (2, 2)}
    assert [line.split(":")[0] for line in source.collection.skipped] == [
        "crop_part1/2_0_0_2.jpg.chip.jpg",
        "utkface_aligned_cropped/UTKFace/1_0_0_1.jpg",
    ]


def test_fairface_as_its_authors_give_it(tmp_path):
    folder = put(tmp_path / "FairFace", "train/1.jpg", "train/2.jpg", "val/1.jpg")
    header = "file,age,gender,race,service_test\n"
    (folder / "fairface_label_train.csv").write_text(
        header + "train/1.jpg,50-59,Male,East Asian,True\ntrain/2.jpg,more than 70,Female,Indian,False\n"
    )
    (folder / "fairface_label_val.csv").write_text(header + "val/1.jpg,3-9,Male,East Asian,False\n")
    source = read_source(folder)
    assert (source.layout, source.has_splits) == ("fairface", True)
    assert ages(source) == {"train/1.jpg": (50, 59), "train/2.jpg": (70, 116), "val/1.jpg": (3, 9)}
    assert [sample.split for sample in source.collection.samples] == ["train", "train", "val"]
    assert source.collection.samples[1].gender == "female"


def test_faces_age_detection_needs_to_be_told_its_ranges(tmp_path):
    folder = put(tmp_path / "faces", "Train/377.jpg", "Train/17814.jpg")
    (folder / "train.csv").write_text("ID,Class\n377.jpg,YOUNG\n17814.jpg,OLD\n1.jpg,OLD\n")
    with pytest.raises(DataError, match=r"train\.csv.*--ranges"):
        read_source(folder)
    source = read_source(folder, ranges=RANGES)
    assert source.layout == "faces-age"
    assert ages(source) == {"377.jpg": (0, 29), "17814.jpg": (60, 116)}
    assert source.collection.skipped == ("1.jpg: the picture is not there (line 4)",)
    (folder / "train.csv").write_text("ID,Class\n377.jpg,MIDDLE\n17814.jpg,OLD\n")
    assert "of the classes only YOUNG, OLD" in read_source(folder, ranges=RANGES).collection.skipped[0]


def test_folders_named_by_ages_are_known_as_a_copy_of_utkface(tmp_path):
    source = read_source(put(tmp_path / "x", "face_age/001/1.png", "face_age/110/1.png", "face_age/117/1.png"))
    assert source.layout == "face-age"
    assert ages(source) == {"face_age/001/1.png": (1, 1), "face_age/110/1.png": (110, 110)}
    assert "117" in source.collection.skipped[0]
    assert "UTKFace" in source.warnings[0]


def test_names_that_are_no_text_are_listed(tmp_path):
    folder = put(tmp_path / "face_age", "001/1.png", "001/\udcff.png")
    source = read_source(folder)
    assert ages(source) == {"001/1.png": (1, 1)}
    assert len(source.collection.skipped) == 1


def test_plain_table_lists_what_it_cannot_use(tmp_path):
    put(tmp_path, *(f"p/{number}.jpg" for number in range(6)))
    table = tmp_path / "mine.csv"
    table.write_text(
        "Path,Age,Sex\np/0.jpg,30,m\np/1.jpg,130,m\np/2.jpg,,f\np/3.jpg,9-3,f\np/4.jpg,20-29,f\np/absent.jpg,3,f\n"
    )
    source = read_source(table)
    assert (source.layout, source.has_splits) == ("table", False)
    assert ages(source) == {"p/0.jpg": (30, 30), "p/4.jpg": (20, 29)}
    for line, words in zip(
        source.collection.skipped, ("130", "neither", "9 to 3 are no range", "not there"), strict=True
    ):
        assert words in line


def test_a_row_with_an_unknown_split_or_weight_is_no_training_picture(tmp_path):
    put(tmp_path, "0.jpg", "1.jpg", "2.jpg", "3.jpg")
    table = tmp_path / "mine.csv"
    table.write_text("file,age,split,weight\n0.jpg,3,val,0.5\n1.jpg,3,training,1\n2.jpg,3,train,nan\n3.jpg,3,train,2\n")
    source = read_source(table)
    assert [(sample.name, sample.weight) for sample in source.collection.samples] == [("0.jpg", 0.5)]
    assert len(source.collection.skipped) == 3


def test_a_manifest_is_known_by_its_columns(tmp_path):
    put(tmp_path, "1_0_0_1.jpg", "2_0_0_1.jpg")
    samples = read_source(tmp_path).collection.samples
    write_manifest(tmp_path / "m.csv", samples, ["", ""])
    assert read_source(tmp_path / "m.csv").layout == "manifest"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "absent.tar", "no such file"),
        (lambda folder: put(folder / "empty"), "no such file"),
        (lambda folder: put(folder, "holiday/beach.jpg") / "holiday", "is it UTKFace"),
        (lambda folder: write_tar(folder / "alone.tar", {}), r"alone\.csv"),
    ],
)
def test_what_is_no_data_set_is_refused_by_name(tmp_path, make, words):
    with pytest.raises((DataError, OSError), match=words):
        read_source(make(tmp_path))


@pytest.mark.parametrize("layout", ["fairface", "faces-age", "face-age", "utkface", "packed", "manifest", "pony"])
def test_a_named_layout_that_does_not_fit_is_refused(tmp_path, layout):
    folder = put(tmp_path / "set", "notes/beach.jpg")
    with pytest.raises((DataError, OSError)):
        read_source(folder, layout=layout)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "first line is empty"),
        (b"\xff\xfe\x00", "CSV in UTF-8"),
        (b"name,years\n", "no column names the file"),
        (b"file,years\n", "no column names the age"),
        (b"file,age_min\n", "no column names the age"),
        (b"file,age,age_max\na.jpg,3,9\n", "age_max is there without the other end"),
        (b"file,age\n", "no rows"),
        (b"file,age\na.jpg\n", "has 1 fields"),
        (b"file,age\na.jpg,3\na.jpg,4\n", "listed on line 2 already"),
        (b"file,age\na.jpg,3\n", "none of 1 rows"),
        (b"file,age\n..,3\n", "none of 1 rows"),
        (b"file,age\n\x00,3\n", "."),
    ],
)
def test_faulty_tables_are_refused_by_name(tmp_path, content, words):
    table = tmp_path / "labels.csv"
    table.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_source(table)
    assert "labels.csv" in str(caught.value)
