"""Pictures with the boxes and points of their faces: packed sets, WIDER FACE's own layout, and our table of labels."""

import csv
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agepred_train.archive import DataError, StoredPicture, index_archive
from agepred_train.storage import replacing, sha256_of_file

POINT_NAMES = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
"""The five points in the order of all arrays; right is the person's right."""

_BOX = ("x", "y", "w", "h")
_POINTS = tuple(f"{name}_{axis}" for name in POINT_NAMES for axis in "xy")
_TABLE = ("archive", "file", *_BOX, "ignored", *_POINTS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Annotation:
    """The faces of one picture, in pixels of it."""

    boxes: NDArray[np.float32]
    """Left, top, width, height, [n, 4]."""
    points: NDArray[np.float32]
    """Five points a face, [n, 5, 2]; NaN where they are not known."""
    ignored: NDArray[np.bool_]
    """Places that may be a face or not: neither asked for nor punished, [n]."""

    @staticmethod
    def of(
        boxes: NDArray[np.float32], points: NDArray[np.float32] | None = None, ignored: NDArray[np.bool_] | None = None
    ) -> "Annotation":
        """Return an annotation; without points they are unknown, and no face is ignored unless it is said."""
        count = len(boxes)
        return Annotation(
            boxes=np.asarray(boxes, np.float32).reshape(count, 4),
            points=np.full((count, 5, 2), np.nan, np.float32) if points is None else np.asarray(points, np.float32),
            ignored=np.zeros(count, np.bool_) if ignored is None else np.asarray(ignored, np.bool_),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnnotatedPicture:
    """A picture and its faces."""

    stored: StoredPicture
    """The encoded picture."""
    faces: Annotation
    """Its faces."""
    split: str
    """Part of the set: `train`, `val`, `test`, or empty where the set has no parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedSet:
    """The pictures of one set in a fixed order, with what identifies them."""

    name: str
    """Short name, such as `scenes`."""
    pictures: tuple[AnnotatedPicture, ...]
    """All pictures."""
    hashes: Mapping[str, str]
    """SHA-256 of what was read, by file name."""

    def part(self, split: str) -> list[AnnotatedPicture]:
        """Return the pictures of one split, in order."""
        return [picture for picture in self.pictures if picture.split == split]


def read_packed(archive: Path, table: Path) -> AnnotatedSet:
    """Read a tar of pictures and a CSV with a row a face: `file,x,y,w,h`, maybe points and `split`.

    Pictures of the archive without a row have no face.

    Raises:
        FileNotFoundError: one of the files is not there.
        DataError: the table lacks a column or names a picture that the archive does not hold, a number is none,
            or the archive is no uncompressed tar.
    """
    stored = index_archive(archive)
    rows: dict[str, list[_Row]] = {name: [] for name in stored}
    for place, row in read_rows(table, ("file", *_BOX)):
        if row["file"] not in rows:
            raise DataError(f"{place}: {row['file']} is not in {archive}")
        rows[row["file"]].append((place, row))
    pictures = tuple(
        AnnotatedPicture(
            stored=stored[name],
            faces=_annotation(found),
            split=(found[0][1].get("split") or "") if found else "",
        )
        for name, found in rows.items()
    )
    hashes = {path.name: sha256_of_file(path) for path in (archive, table)}
    return AnnotatedSet(name=archive.stem, pictures=pictures, hashes=hashes)


def read_wider(images: Path, ground_truth: Path) -> AnnotatedSet:
    """Read WIDER FACE as its authors publish it: a folder of events and `wider_face_{train,val}_bbx_gt.txt`.

    The text file has, for each picture, its path, the number of faces, and a line a face of `x y w h blur expression
    illumination invalid occlusion pose` (one line of zeros where there is no face). Faces marked invalid are ignored.

    Raises:
        FileNotFoundError: the text file or a picture is not there.
        DataError: the text does not have that form.
    """
    pictures: list[AnnotatedPicture] = []
    for name, faces in _wider_entries(ground_truth):
        path = images / name
        pictures.append(
            AnnotatedPicture(
                stored=StoredPicture(name=name, path=path, size=path.stat().st_size),
                faces=Annotation.of(faces[:, :4], ignored=(faces[:, 7] > 0) | (faces[:, 2:4].min(axis=1) <= 0)),
                split="",
            )
        )
    return AnnotatedSet(
        name=ground_truth.stem, pictures=tuple(pictures), hashes={ground_truth.name: sha256_of_file(ground_truth)}
    )


def write_labels(path: Path, rows: Iterable[tuple[str, str, Annotation]]) -> None:
    """Write a table of labels: (archive's file name, picture's name, faces), a row a face.

    A picture without a face keeps one row whose box is empty, so that the table lists every picture that was looked at.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_TABLE)
        for archive, name, faces in rows:
            if not len(faces.boxes):
                writer.writerow([archive, name, *[""] * (len(_TABLE) - 2)])
            for box, points, ignored in zip(faces.boxes, faces.points, faces.ignored, strict=True):
                numbers = ["" if np.isnan(value) else f"{value:.2f}" for value in points.ravel()]
                writer.writerow([archive, name, *(f"{value:.2f}" for value in box), int(ignored), *numbers])


def read_labels(path: Path) -> dict[tuple[str, str], Annotation]:
    """Return the faces of a table of labels by (archive's file name, picture's name).

    Raises:
        FileNotFoundError: the table is not there.
        DataError: it lacks a column, or a number is none.
    """
    rows: dict[tuple[str, str], list[_Row]] = {}
    for place, row in read_rows(path, _TABLE):
        found = rows.setdefault((row["archive"], row["file"]), [])
        if row["x"]:
            found.append((place, row))
    return {key: _annotation(found) for key, found in rows.items()}


def read_rows(table: Path, columns: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield a table's rows, each with its place for messages.

    Raises:
        FileNotFoundError: the table is not there.
        DataError: it lacks one of the columns, or a row does not have as many fields as the header.
    """
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        try:
            absent = [column for column in columns if column not in (reader.fieldnames or ())]
            if absent:
                raise DataError(f"{table}: column {absent[0]!r} is missing")
            for row in reader:
                place = f"{table}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise DataError(f"{place}: the row has more or fewer fields than the header; mend that line")
                yield place, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(
                f"{table}, line {reader.line_num + 1}: not readable as CSV in UTF-8 ({error}); mend that line"
            ) from error


_Row = tuple[str, dict[str, str]]


def _annotation(rows: list[_Row]) -> Annotation:
    numbers = np.array([_numbers(*row) for row in rows], np.float32).reshape(-1, 14)
    ignored = np.array([row.get("ignored") == "1" for _, row in rows], np.bool_)
    return Annotation.of(numbers[:, :4], numbers[:, 4:].reshape(-1, 5, 2), ignored)


def _numbers(place: str, row: Mapping[str, str]) -> list[float]:
    """Return box and points of a row; a box must be finite, points may be missing."""
    try:
        box = [float(row[key]) for key in _BOX]
        points = [float(row.get(key) or "nan") for key in _POINTS]
    except ValueError as error:
        raise DataError(f"{place}: {error}; mend that number") from error
    if not np.isfinite(box).all():
        raise DataError(f"{place}: a box needs four finite numbers; mend that line")
    return box + points


def _wider_entries(ground_truth: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the pictures' names and the numbers of their faces, [n, 10]."""
    try:
        lines = ground_truth.read_text(encoding="utf-8").rstrip().split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{ground_truth}: not a text in UTF-8 ({error})") from error
    if lines == [""]:
        raise DataError(f"{ground_truth}: no entries; give a wider_face_*_bbx_gt.txt")
    numbered = iter(enumerate((line.strip() for line in lines), start=1))
    for at, name in numbered:
        if not name:
            raise DataError(f"{ground_truth}, line {at}: the name of a picture is expected")
        try:
            count = int(next(numbered)[1])
            rows = [[float(number) for number in line.split()] for _, line in itertools.islice(numbered, max(1, count))]
            if count < 0 or len(rows) != max(1, count) or any(len(row) != 10 for row in rows):
                raise ValueError(f"{count} faces of ten numbers are expected")
        except (ValueError, StopIteration) as error:
            raise DataError(
                f"{ground_truth}, line {at}: the entry of {name} is not as WIDER FACE writes it ({error})"
            ) from error
        yield name, np.array(rows, np.float32)[:count]
