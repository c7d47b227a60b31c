"""The layouts in which labeled pictures are published: each is recognized by what lies there, and read.

Every command that takes labeled pictures reads them here (`labeled_sets` adds the splits of sets that name none).
"""

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agepred_train.archive import DataError, StoredPicture, index_archive
from agepred_train.curation.labeled_table import UNDIVIDED, LabeledTable, read_labeled_table
from agepred_train.curation.labels import Ranges
from agepred_train.curation.manifest import is_manifest, read_manifest
from agepred_train.data import AGES, GENDERS, RACES, Collection, Sample, Split, names_and_sizes
from agepred_train.storage import sha256_of_file
from agepred_train.table import read_header

_PICTURES = {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_FAIRFACE: dict[str, Split] = {"fairface_label_train.csv": "train", "fairface_label_val.csv": "val"}
_AGE_FOLDER = re.compile(r"\d{1,3}")
_UTKFACE_NAME = re.compile(r"(?P<age>\d+)_(?P<gender>[01])_(?P<race>[0-4])_\d+\.jpg(\.chip\.jpg)?")
_UTKFACE_FORM = "age_gender_race_timestamp.jpg[.chip.jpg]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One data set as it was read."""

    name: str
    """Short name: the file's or folder's."""
    layout: str
    """One of LAYOUTS."""
    collection: Collection
    has_splits: bool
    """Whether the set says itself which split a picture belongs to; otherwise all are UNDIVIDED."""
    warnings: tuple[str, ...] = ()
    """What users of the set should know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """How a set shall be read."""

    ranges: Ranges = field(default_factory=dict)
    labels: Path | None = None
    strict: bool = False


def set_name(path: Path) -> str:
    """Return the short name of the set at a path: its file's without the ending, or its folder's.

    `.` and `..` are the folders that they stand for; links keep their own name.
    """
    whole = Path(os.path.abspath(path))
    return (whole.name if whole.is_dir() else whole.stem) or "data"


def read_source(
    path: Path,
    *,
    layout: str | None = None,
    ranges: Ranges | None = None,
    labels: Path | None = None,
    strict: bool = False,
) -> Source:
    """Read the labels of a data set.

    Args:
        path: a folder, an uncompressed tar with its csv beside it, or a csv.
        layout: one of LAYOUTS; None: recognized by what lies there.
        ranges: what named classes of ages stand for.
        labels: the table of a tar or a folder, where it does not lie beside the tar.
        strict: refuse tables with rows that cannot be used, which are left out and listed otherwise.

    Raises:
        FileNotFoundError, NotADirectoryError: something is not there.
        DataError: the layout is unknown, or the data is not what it should be.
    """
    if layout is None:
        layout = recognize(path) if labels is None else "packed"
    if layout not in LAYOUTS:
        raise DataError(f"no layout {layout!r}; there are {', '.join(LAYOUTS)}")
    if labels is not None and layout != "packed":
        raise DataError(f"--labels {labels}: names the table of a tar or a folder; the layout {layout} has its own")
    source = LAYOUTS[layout](path, _Asked(ranges=ranges or {}, labels=labels, strict=strict))
    return dataclasses.replace(source, name=set_name(path), layout=layout)


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


def _packed(data: Path, asked: _Asked) -> Source:
    """Read an uncompressed tar, or a folder, and its table: UTKFace, FairFace, or your own."""
    table = asked.labels or data.with_suffix(".csv")
    if not data.exists():
        raise FileNotFoundError(f"{data}: there is no such file or folder")
    if not table.is_file():
        where = "there is no such table" if asked.labels else f"the table of the labels in {data} is expected there"
        raise FileNotFoundError(f"{table}: {where}; name one with --labels")
    if is_manifest(table):
        raise DataError(f"{table}: a table of `agepred data` says itself where its pictures lie; name it as the data")
    if data.is_dir():
        find = _beside(data)
    else:
        places = index_archive(data)

        def find(name: str) -> StoredPicture | None:
            return places.get(name.removeprefix("./"))

    read = read_labeled_table(table, find, ranges=asked.ranges, strict=asked.strict)
    if data.is_dir():
        return _of_files([table], [read])
    hashes = {path.name: sha256_of_file(path) for path in (data, table)}
    return _source(Collection(samples=read.samples, skipped=read.skipped, hashes=hashes), has_splits=read.has_splits)


def _utkface(folder: Path, asked: _Asked) -> Source:
    """Read a folder of pictures that are named by their labels, as UTKFace's authors and Kaggle give them.

    Pictures may lie in folders of it, as in Kaggle's copies (`UTKFace/`, `crop_part1/`), which hold many of them
    twice: the first of a name counts. Other files are skipped and listed.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: no such folder; give the one that holds UTKFace's .jpg files")
    samples: dict[str, Sample] = {}
    skipped: list[str] = []
    for path in sorted(entry for entry in folder.rglob("*") if entry.is_file()):
        found = _sample_of_name(path)
        if path.name in samples:
            found = "lies in another folder already, under the same name"
        if isinstance(found, Sample):
            samples[path.name] = found
        else:
            skipped.append(f"{path.relative_to(folder)}: {found}")
    if not samples:
        raise DataError(f"{folder}: none of {len(skipped)} files is named {_UTKFACE_FORM}; is it UTKFace?")
    return _of_names(tuple(samples.values()), skipped)


def _sample_of_name(path: Path) -> Sample | str:
    """Return the sample that a file name describes, or why it describes none."""
    match = _UTKFACE_NAME.fullmatch(path.name)
    if match is None:
        return f"not named {_UTKFACE_FORM}"
    age = int(match["age"])
    if age not in AGES:
        return f"age {age} is not within {AGES.start} to {AGES.stop - 1}"
    return Sample(
        name=path.name,
        age_min=age,
        age_max=age,
        split=UNDIVIDED,
        gender=GENDERS[int(match["gender"])],
        race=RACES[int(match["race"])],
        path=path,
        size=path.stat().st_size,
    )


def _fairface(folder: Path, asked: _Asked) -> Source:
    """Read FairFace as its authors give it: `train/1.jpg`, `val/1.jpg` and a table for each."""
    tables = {folder / name: split for name, split in _FAIRFACE.items() if (folder / name).is_file()}
    if not tables:
        raise FileNotFoundError(f"{folder}: holds none of {', '.join(_FAIRFACE)}; is it FairFace?")
    find = _beside(folder)
    parts = [
        read_labeled_table(table, find, ranges=asked.ranges, split=split, strict=asked.strict)
        for table, split in tables.items()
    ]
    return _of_files(tables, parts)


def _faces_age(folder: Path, asked: _Asked) -> Source:
    """Read Kaggle's Faces Age Detection: a table of ID and Class, its pictures somewhere below."""
    tables = _faces_age_tables(folder)
    if not tables:
        raise FileNotFoundError(f"{folder}: no table in it names ID and Class; is it Faces Age Detection?")
    if not asked.ranges:
        raise DataError(
            f"{tables[0]}: the set states no ages for its classes; tell what they stand for, for example "
            "--ranges YOUNG=0-29 --ranges MIDDLE=30-59 --ranges OLD=60-116"
        )
    # The set's folders are named differently in every copy, its pictures are not.
    files = {path.name: _file(path, path.name) for path in _pictures(folder)}
    parts = [read_labeled_table(table, files.get, ranges=asked.ranges, strict=asked.strict) for table in tables]
    return _of_files(tables, parts)


def _face_age(folder: Path, asked: _Asked) -> Source:
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
        samples.append(Sample(name=name, age_min=age, age_max=age, split=UNDIVIDED, path=path, size=size))
    if not samples:
        raise DataError(f"{folder}: holds no pictures in folders that are named by ages, like 001")
    warning = "the set is a copy of UTKFace: beside UTKFace it adds nothing, and beside another split of it, it leaks"
    return dataclasses.replace(_of_names(tuple(samples), skipped), warnings=(warning,))


def _table(table: Path, asked: _Asked) -> Source:
    """Read a csv of paths, relative to its folder, and ages or ranges."""
    read = read_labeled_table(table, _beside(table.parent), ranges=asked.ranges, strict=asked.strict)
    return _of_files([table], [read])


def _manifest(table: Path, asked: _Asked) -> Source:
    """Read what `agepred data` wrote."""
    return _source(read_manifest(table), has_splits=True)


LAYOUTS: dict[str, Callable[[Path, _Asked], Source]] = {
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


def _of_names(samples: tuple[Sample, ...], skipped: Sequence[str]) -> Source:
    """Return pictures that are labeled by their names, or their folders', as a source."""
    hashes = {"names and sizes": names_and_sizes(samples)}
    return _source(Collection(samples=samples, skipped=tuple(skipped), hashes=hashes), has_splits=False)


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
