"""The layouts in which labeled pictures are published: each is recognized by what lies there, and read."""

import dataclasses
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from agepred_train.archive import DataError, StoredPicture, index_archive
from agepred_train.curation.labeled_table import LabeledTable, read_labeled_table
from agepred_train.curation.labels import Ranges
from agepred_train.curation.manifest import is_manifest, read_manifest
from agepred_train.data import (
    AGES,
    Collection,
    Sample,
    Split,
    names_and_sizes,
    read_utkface,
    read_utkface_folder,
    split_of_name,
)
from agepred_train.storage import sha256_of_file
from agepred_train.table import read_header

_PICTURES = {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_FAIRFACE: dict[str, Split] = {"fairface_label_train.csv": "train", "fairface_label_val.csv": "val"}
_AGE_FOLDER = re.compile(r"\d{1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One data set as it was read."""

    name: str
    """Short name: the file's or folder's."""
    layout: str
    """One of LAYOUTS."""
    collection: Collection
    has_splits: bool
    """Whether the set says itself which split a picture belongs to; otherwise a hash of its name does."""
    warnings: tuple[str, ...] = ()
    """What users of the set should know."""


def read_source(path: Path, *, layout: str | None = None, ranges: Ranges | None = None) -> Source:
    """Read the labels of a data set.

    Args:
        path: a folder, an uncompressed tar with its csv beside it, or a csv.
        layout: one of LAYOUTS; None: recognized by what lies there.
        ranges: what named classes of ages stand for.

    Raises:
        FileNotFoundError, NotADirectoryError: something is not there.
        DataError: the layout is unknown, or the data is not what it should be.
    """
    if layout is None:
        layout = recognize(path)
    if layout not in LAYOUTS:
        raise DataError(f"no layout {layout!r}; there are {', '.join(LAYOUTS)}")
    source = LAYOUTS[layout](path, ranges or {})
    return dataclasses.replace(source, name=path.resolve().stem, layout=layout)


def recognize(path: Path) -> str:
    """Return the layout of what lies at `path`.

    Raises:
        FileNotFoundError: nothing does.
        DataError: it is no CSV.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    if path.suffix == ".csv":
        return "manifest" if is_manifest(path) else "table"
    if not path.is_dir():
        return "packed"
    if any((path / name).is_file() for name in _FAIRFACE):
        return "fairface"
    if _faces_age_tables(path):
        return "faces-age"
    return "face-age" if _age_folders(path) else "utkface"


def _packed(archive: Path, ranges: Ranges) -> Source:
    """Read an uncompressed tar with its table beside it: UTKFace with codes and splits, or any labeled table."""
    table = archive.with_suffix(".csv")
    if not archive.is_file():
        raise FileNotFoundError(f"{archive}: there is no such file")
    if not table.is_file():
        raise DataError(f"{archive}: its table of labels and splits is expected beside it as {table}")
    if {"coral", "gender", "race", "split"} <= set(read_header(table)):
        return _source(read_utkface(archive, table), has_splits=True)
    places = index_archive(archive)
    read = read_labeled_table(table, lambda name: places.get(name.removeprefix("./")), ranges=ranges)
    hashes = {path.name: sha256_of_file(path) for path in (archive, table)}
    return _source(Collection(samples=read.samples, skipped=read.skipped, hashes=hashes), has_splits=read.has_splits)


def _utkface(folder: Path, ranges: Ranges) -> Source:
    """Read a folder of pictures that are named by their labels, as UTKFace's authors and Kaggle give them."""
    return _source(read_utkface_folder(folder), has_splits=False)


def _fairface(folder: Path, ranges: Ranges) -> Source:
    """Read FairFace as its authors give it: `train/1.jpg`, `val/1.jpg` and a table for each."""
    tables = {folder / name: split for name, split in _FAIRFACE.items() if (folder / name).is_file()}
    if not tables:
        raise FileNotFoundError(f"{folder}: holds none of {', '.join(_FAIRFACE)}; is it FairFace?")
    parts = [read_labeled_table(table, _beside(folder), ranges=ranges, split=split) for table, split in tables.items()]
    return _of_files(tables, parts)


def _faces_age(folder: Path, ranges: Ranges) -> Source:
    """Read Kaggle's Faces Age Detection: a table of ID and Class, its pictures somewhere below."""
    tables = _faces_age_tables(folder)
    if not tables:
        raise FileNotFoundError(f"{folder}: no table in it names ID and Class; is it Faces Age Detection?")
    if not ranges:
        raise DataError(
            f"{tables[0]}: the set states no ages for its classes; tell what they stand for, for example "
            "--ranges YOUNG=0-29 --ranges MIDDLE=30-59 --ranges OLD=60-116"
        )
    # The set's folders are named differently in every copy, its pictures are not.
    files = {path.name: _file(path, path.name) for path in _pictures(folder)}
    return _of_files(tables, [read_labeled_table(table, files.get, ranges=ranges) for table in tables])


def _face_age(folder: Path, ranges: Ranges) -> Source:
    """Read Kaggle's face_age (facial-age): a folder of pictures for each age."""
    samples: list[Sample] = []
    skipped: list[str] = []
    for path in _pictures(folder):
        name = str(path.relative_to(folder))
        if not _AGE_FOLDER.fullmatch(path.parent.name) or int(path.parent.name) not in AGES:
            skipped.append(f"{name}: its folder's name is no age within {AGES.start} to {AGES.stop - 1}")
            continue
        if not name.isprintable():
            skipped.append(f"{name}: its name cannot be written into a table")
            continue
        age = int(path.parent.name)
        size = path.stat().st_size
        split = split_of_name(name)
        samples.append(Sample(name=name, age_min=age, age_max=age, split=split, path=path, size=size))
    if not samples:
        raise DataError(f"{folder}: holds no pictures in folders that are named by ages, like 001")
    collection = Collection(
        samples=tuple(samples), skipped=tuple(skipped), hashes={"names and sizes": names_and_sizes(samples)}
    )
    warning = "the set is a copy of UTKFace: beside UTKFace it adds nothing, and beside another split of it, it leaks"
    return dataclasses.replace(_source(collection, has_splits=False), warnings=(warning,))


def _table(table: Path, ranges: Ranges) -> Source:
    """Read a csv of paths, relative to its folder, and ages or ranges."""
    return _of_files([table], [read_labeled_table(table, _beside(table.parent), ranges=ranges)])


def _manifest(table: Path, ranges: Ranges) -> Source:
    """Read what `agepred data` wrote."""
    return _source(read_manifest(table), has_splits=True)


LAYOUTS: dict[str, Callable[[Path, Ranges], Source]] = {
    "packed": _packed,
    "utkface": _utkface,
    "fairface": _fairface,
    "faces-age": _faces_age,
    "face-age": _face_age,
    "table": _table,
    "manifest": _manifest,
}
"""Readers by the names of their layouts."""


def _source(collection: Collection, *, has_splits: bool) -> Source:
    return Source(name="", layout="", collection=collection, has_splits=has_splits)


def _of_files(tables: Iterable[Path], parts: list[LabeledTable]) -> Source:
    """Return tables of pictures in files of their own as one source."""
    samples = tuple(sample for part in parts for sample in part.samples)
    skipped = tuple(line for part in parts for line in part.skipped)
    hashes = {table.name: sha256_of_file(table) for table in tables}
    hashes["names and sizes"] = names_and_sizes(samples)
    collection = Collection(samples=samples, skipped=skipped, hashes=hashes)
    return _source(collection, has_splits=all(part.has_splits for part in parts))


def _beside(folder: Path) -> Callable[[str], StoredPicture | None]:
    """Return what finds a picture by its path from `folder`."""

    def find(name: str) -> StoredPicture | None:
        path = folder / name
        return _file(path, name) if path.is_file() else None

    return find


def _file(path: Path, name: str) -> StoredPicture:
    return StoredPicture(name=name, path=path, size=path.stat().st_size)


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICTURES and path.is_file())


def _age_folders(folder: Path) -> bool:
    """Return whether pictures lie in folders named by ages, in this folder or one below."""
    return any(_AGE_FOLDER.fullmatch(path.name) and path.is_dir() for path in [*folder.glob("*"), *folder.glob("*/*")])


def _faces_age_tables(folder: Path) -> list[Path]:
    tables = sorted([*folder.glob("*.csv"), *folder.glob("*/*.csv")])
    return [table for table in tables if {"ID", "Class"} <= set(_header_or_nothing(table))]


def _header_or_nothing(table: Path) -> list[str]:
    try:
        return read_header(table)
    except (DataError, OSError):
        return []  # some other file; nobody named it
