"""Labeled pictures: packed sets, our tables of labels, WIDER FACE's text; and what is wrong with them, by line."""

import numpy as np
import pytest
from tiny_set import jpeg, write_tar

from agepred_train.archive import DataError
from agepred_train.detector.annotations import (
    POINT_NAMES,
    Annotation,
    read_labels,
    read_packed,
    read_wider,
    write_labels,
)
from agepred_train.storage import sha256_of_file

POINTS = ",".join(f"{name}_{axis}" for name in POINT_NAMES for axis in "xy")


@pytest.fixture
def archive(tmp_path):
    return write_tar(tmp_path / "party.tar", {name: jpeg(1, 32) for name in ("a.jpg", "b.jpg", "c.jpg")})


def table(tmp_path, *lines):
    path = tmp_path / "party.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_packed_set_is_read_in_the_archives_order(archive, tmp_path):
    path = table(tmp_path, "file,x,y,w,h,split", "c.jpg,1,2,3,4,val", "a.jpg,5.5,6,7,8,train", "c.jpg,-1,0,9,9,val")
    found = read_packed(archive, path)
    assert (found.name, [picture.stored.name for picture in found.pictures]) == ("party", ["a.jpg", "b.jpg", "c.jpg"])
    assert [picture.faces.boxes.tolist() for picture in found.pictures] == [
        [[5.5, 6, 7, 8]],
        [],
        [[1, 2, 3, 4], [-1, 0, 9, 9]],
    ]
    assert [picture.split for picture in found.pictures] == ["train", "", "val"]
    assert [picture.stored.name for picture in found.part("val")] == ["c.jpg"]
    assert all(np.isnan(picture.faces.points).all() and not picture.faces.ignored.any() for picture in found.pictures)
    assert [picture.faces.points.shape for picture in found.pictures] == [(1, 5, 2), (0, 5, 2), (2, 5, 2)]
    assert found.hashes == {path.name: sha256_of_file(path) for path in (archive, path)}
    assert found.pictures[2].stored.read_picture().shape == (32, 32, 3)


def test_packed_points_are_read_and_the_unknown_are_nan(archive, tmp_path):
    known = ",".join(str(number) for number in range(10))
    path = table(tmp_path, f"file,x,y,w,h,{POINTS}", f"a.jpg,1,2,3,4,{known}", f"a.jpg,1,2,3,4,{',' * 9}")
    points = read_packed(archive, path).pictures[0].faces.points
    assert points[0].tolist() == np.arange(10).reshape(5, 2).tolist()
    assert np.isnan(points[1]).all()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["file,x,y,w", "a.jpg,1,2,3"], r"party\.csv: column 'h' is missing"),
        (["file,x,y,w,h", "a.jpg,1,2,3,4", "d.jpg,1,2,3,4"], r"party\.csv, line 3: d\.jpg is not in .*party\.tar"),
        (["file,x,y,w,h", "a.jpg,1,2,3,4", "a.jpg,1,two,3,4"], r"party\.csv, line 3: .*'two'"),
        (["file,x,y,w,h", "a.jpg,1,2,,4"], r"party\.csv, line 2: "),
        (["file,x,y,w,h", "a.jpg,1,nan,3,4"], r"party\.csv, line 2: a box needs four finite numbers"),
        (["file,x,y,w,h", "a.jpg,1,inf,3,4"], r"party\.csv, line 2: a box needs four finite numbers"),
        (["file,x,y,w,h", "a.jpg,1,2,3"], r"party\.csv, line 2: the row has more or fewer fields"),
        (["file,x,y,w,h", "a.jpg,1,2,3,4,5"], r"party\.csv, line 2: the row has more or fewer fields"),
        (["file,x,y,w,h", "a" * 200_000 + ",1,2,3,4"], r"party\.csv, line 2: not readable as CSV"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_by_line(archive, tmp_path, lines, words):
    with pytest.raises(DataError, match=words):
        read_packed(archive, table(tmp_path, *lines))


def test_table_in_another_encoding_is_refused(archive, tmp_path):
    path = table(tmp_path, "file,x,y,w,h")
    path.write_bytes(path.read_bytes() + b"\xff.jpg,1,2,3,4\n")
    with pytest.raises(DataError, match=r"party\.csv, line .*UTF-8"):
        read_packed(archive, path)


def test_labels_survive_their_table(tmp_path):
    rng = np.random.default_rng(0)
    points = rng.uniform(-5, 900, (3, 5, 2)).astype(np.float32)
    points[1] = np.nan
    rows = [
        ("scenes.tar", "one, two.webp", Annotation.of(rng.uniform(-9, 400, (3, 4)), points, np.array([0, 1, 0], bool))),
        ("scenes.tar", "nobody.webp", Annotation.of(np.empty((0, 4), np.float32))),
        ("chips.tar", "one, two.webp", Annotation.of(np.array([[0, 1, 2, 3]], np.float32))),
    ]
    write_labels(tmp_path / "labels.csv", rows)
    read = read_labels(tmp_path / "labels.csv")
    assert list(read) == [(archive, name) for archive, name, _ in rows]
    for archive, name, faces in rows:
        found = read[archive, name]
        np.testing.assert_allclose(found.boxes, faces.boxes, atol=0.0051)
        np.testing.assert_allclose(found.points, faces.points, atol=0.0051)
        assert (found.ignored.tolist(), found.points.shape) == (faces.ignored.tolist(), (len(faces.boxes), 5, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]


def test_stopped_labeling_leaves_no_table(tmp_path):
    def rows():
        yield "a.tar", "a.jpg", Annotation.of(np.array([[0, 1, 2, 3]], np.float32))
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_labels(tmp_path / "labels.csv", rows())
    assert list(tmp_path.iterdir()) == []


def test_labels_with_a_bad_number_are_named_by_line(tmp_path):
    write_labels(tmp_path / "labels.csv", [("a.tar", "a.jpg", Annotation.of(np.array([[7, 1, 2, 3]], np.float32)))])
    text = (tmp_path / "labels.csv").read_text()
    (tmp_path / "labels.csv").write_text(text.replace("7.00", "seven"))
    with pytest.raises(DataError, match=r"labels\.csv, line 2: .*'seven'"):
        read_labels(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text(text.replace("ignored", "ignore"))
    with pytest.raises(DataError, match=r"labels\.csv: column 'ignored' is missing"):
        read_labels(tmp_path / "labels.csv")


@pytest.fixture
def wider(tmp_path):
    """A folder of three pictures, and what writes their text."""
    for name in ("0--Parade/a.jpg", "0--Parade/b.jpg", "1--Handshaking/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(jpeg(2, 32))

    def write(*lines):
        path = tmp_path / "wider_face_val_bbx_gt.txt"
        path.write_text("\n".join(lines))
        return path

    return write


A = ["0--Parade/a.jpg", "2", "1 2 30 40 0 0 0 0 0 0 ", "5 6 7 8 2 0 0 1 2 0"]
NOBODY = ["0--Parade/b.jpg", "0", "0 0 0 0 0 0 0 0 0 0 "]
C = ["1--Handshaking/c.jpg", "2", "9 9 0 4 0 0 0 0 0 0", "1 1 4 4 0 0 0 0 0 0"]


@pytest.mark.parametrize("end", [[], [""], ["", ""]])
def test_wider_is_read_as_it_is_published(wider, tmp_path, end):
    found = read_wider(tmp_path, wider(*A, *NOBODY, *C, *end))
    assert [picture.stored.name for picture in found.pictures] == [A[0], NOBODY[0], C[0]]
    boxes = [picture.faces.boxes.tolist() for picture in found.pictures]
    assert boxes == [[[1, 2, 30, 40], [5, 6, 7, 8]], [], [[9, 9, 0, 4], [1, 1, 4, 4]]]
    # The second is marked invalid, the third has no width.
    assert [picture.faces.ignored.tolist() for picture in found.pictures] == [[False, True], [], [True, False]]
    assert found.pictures[0].stored.read_picture().shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([*NOBODY, A[0], "two", *A[2:]], r"wider_face_val_bbx_gt\.txt, line 4: the entry of 0--Parade/a\.jpg"),
        ([*NOBODY, A[0], "-1", *A[2:]], "line 4"),
        ([*NOBODY, A[0]], "line 4"),
        ([*A[:3]], "line 1.*2 faces of ten numbers"),
        ([*A[:3], *C], "line 1"),
        ([A[0], "2", "1 2 30 40 0", "5 6 7 8 2"], "line 1.*ten numbers"),
        ([*A, "", *C], "line 5: the name of a picture"),
        ([""], "no entries"),
    ],
)
def test_what_is_wrong_with_widers_text_is_said_by_line(wider, tmp_path, lines, words):
    with pytest.raises(DataError, match=words):
        read_wider(tmp_path, wider(*lines))


def test_a_missing_picture_of_wider_is_named(wider, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"d\.jpg"):
        read_wider(tmp_path, wider(*A, "0--Parade/d.jpg", *NOBODY[1:]))
