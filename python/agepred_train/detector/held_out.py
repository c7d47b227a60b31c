"""Which pictures a detector is measured on: the parts of the data that nothing is trained on."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from agepred_train.archive import DataError, StoredPicture, index_archive
from agepred_train.detector.annotations import AnnotatedPicture, read_packed
from agepred_train.storage import sha256_of_file

Part = Literal["val", "test"]

HELD_BACK = (3, 2)
"""Of the backgrounds sorted by name, those whose index leaves 2 when divided by 3 are kept back for tests."""


class Absent(DataError):
    """A set, or its part, that is not there."""


def labeled_part(data: Path, name: str, part: Part) -> tuple[list[AnnotatedPicture], Mapping[str, str]]:
    """Return the pictures of a part of `scenes` or `landmarks`, and the hashes of the set's files.

    Raises:
        Absent: the set's files are not there, or the part is empty.
        DataError: they are not what they should be.
    """
    archive, table = _files(data, name)
    labeled = read_packed(archive, table)
    pictures = labeled.part(part)
    if not pictures:
        raise Absent(f"{table}: no row's split is {part}")
    return pictures, labeled.hashes


def plain_part(data: Path, name: str, part: Part) -> tuple[list[StoredPicture], Mapping[str, str]]:
    """Return the pictures of a part of a set without boxes: those of the table's split, or all where it has none.

    A set without splits is for tests only, so it has no `val`.

    Raises:
        Absent: the set's files are not there, or the part is empty.
        DataError: they are not what they should be.
    """
    archive, table = _files(data, name)
    stored = index_archive(archive)
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    chosen = [row.get("file") or "" for row in rows if row.get("split", "test") == part]
    missing = [file for file in chosen if file not in stored]
    if missing:
        raise DataError(f"{archive}: does not hold {missing[0] or 'what a row of the table names'}, see {table}")
    if not chosen:
        raise Absent(f"{table}: has no pictures for {part}")
    return [stored[file] for file in chosen], {path.name: sha256_of_file(path) for path in (archive, table)}


def held_back_backgrounds(data: Path, part: Part) -> tuple[list[StoredPicture], Mapping[str, str]]:
    """Return the backgrounds that are kept back for tests; there are none for `val`.

    Raises:
        Absent: the archive is not there, or `val` is asked for.
        DataError: it is no archive.
    """
    if part != "test":
        raise Absent("backgrounds are kept back for test only")
    archive = data / "backgrounds.tar"
    if not archive.is_file():
        raise Absent(f"{archive}: there is no such file")
    stored = index_archive(archive)
    count, rest = HELD_BACK
    return [stored[name] for name in sorted(stored)[rest::count]], {archive.name: sha256_of_file(archive)}


def _files(data: Path, name: str) -> tuple[Path, Path]:
    archive, table = data / f"{name}.tar", data / f"{name}.csv"
    for path in (archive, table):
        if not path.is_file():
            raise Absent(f"{path}: there is no such file")
    return archive, table
