"""The table that `agepred data` writes and training reads: one row a picture, with the reason where it is dropped."""

import csv
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agepred_train.archive import DataError, StoredPicture, index_archive
from agepred_train.curation.labeled_table import RowReader
from agepred_train.data import Collection, Sample, names_and_sizes
from agepred_train.sources import JoinedCollection
from agepred_train.storage import replacing, sha256_of_file
from agepred_train.table import read_header, read_table

COLUMNS = (
    "name", "path", "member", "age_min", "age_max", "gender", "race", "coral", "split", "group", "weight", "dropped",
    "set",
)  # fmt: skip
"""In this order; docs/training.md tells what each holds."""

_NEEDED = COLUMNS[:-1]
"""Those that make a table a manifest: the first ones did not name sets."""


def write_manifest(table: Path, samples: Sequence[Sample], dropped: Sequence[str], sets: Sequence[str] = ()) -> None:
    """Write the table; a file of that name is replaced only once the new one is whole.

    Args:
        table: the file. Paths in it are relative to its folder.
        samples: all pictures, each with its final split, group and weight.
        dropped: why training leaves a picture out, one a sample; empty where it does not.
        sets: name of each picture's set; with several sets the pictures' names begin with it and a slash. Empty: one
            set without a name.
    """
    folder = table.parent.resolve()
    members = _members(samples)
    relative = {path: os.path.relpath(path.resolve(), folder) for path in {sample.path for sample in samples}}
    with replacing(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for sample, reason, origin in zip(samples, dropped, sets or [""] * len(samples), strict=True):
            writer.writerow(
                {
                    "name": sample.name,
                    "path": relative[sample.path],
                    "member": members.get((sample.path, sample.offset), ""),
                    "age_min": sample.age_min,
                    "age_max": sample.age_max,
                    "gender": sample.gender,
                    "race": sample.race,
                    "coral": sample.coral,
                    "split": sample.split,
                    "group": sample.group,
                    "weight": f"{sample.weight:g}",
                    "dropped": reason,
                    "set": origin,
                }
            )


def is_manifest(table: Path) -> bool:
    """Return whether a table is a manifest, by its columns."""
    return set(_NEEDED) <= set(read_header(table))


def read_manifest(table: Path) -> Collection:
    """Read a manifest; pictures of several sets come as a JoinedCollection of these.

    Raises:
        FileNotFoundError: the table or an archive is not there.
        DataError: the table is malformed, or a picture is not where it says.
    """
    rows = read_table(table, _NEEDED, lambda row: row["name"])
    finder = _Finder(table.parent.resolve())
    reader = RowReader.of(table, read_header(table), ranges={})
    samples = tuple(_sample(row, f"{table}, line {line}", finder, reader) for line, row in rows.items())
    hashes = {table.name: _sha256_of_rows(rows.values())}
    for archive in finder.archives:
        number = sum(name.partition(" (")[0] == archive.name for name in hashes)
        hashes[f"{archive.name} ({number + 1})" if number else archive.name] = sha256_of_file(archive)
    if plain := [sample for sample in samples if sample.path not in finder.archives]:
        hashes["names and sizes"] = names_and_sizes(plain)
    sets = tuple(dict.fromkeys(row.get("set", "") for row in rows.values()))
    if len(sets) < 2:
        return Collection(samples=samples, hashes=hashes)
    for line, row in rows.items():
        if not row["set"] or not row["name"].startswith(f"{row['set']}/"):
            raise DataError(f"{table}, line {line}: {row['name']} is of the set {row['set']!r} and must begin with it")
    return JoinedCollection(samples=samples, hashes=hashes, sources=sets)


def _sha256_of_rows(rows: Iterable[Mapping[str, str]]) -> str:
    """Return a hash of what a manifest says; it is the same in every folder, though paths are relative to that.

    Of a path the last name counts: the pictures' bytes, or names and sizes, have hashes of their own.
    """
    listing = [[Path(row["path"]).name if name == "path" else row.get(name, "") for name in COLUMNS] for row in rows]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def _members(samples: Sequence[Sample]) -> dict[tuple[Path, int], str]:
    """Return the names inside their archives of the pictures that lie in one, by archive and first byte."""
    # A tar's first member begins behind a header, a file of its own at 0.
    archives = {sample.path for sample in samples if sample.offset}
    return {(archive, member.offset): name for archive in archives for name, member in index_archive(archive).items()}


class _Finder:
    """Finds pictures from a folder on; archives are indexed once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.archives: dict[Path, Mapping[str, StoredPicture]] = {}

    def find(self, path: str, member: str) -> StoredPicture:
        """Return the place of a picture; DataError where it is not there."""
        file = Path(os.path.normpath(self._folder / path))
        if not file.is_file():
            raise DataError(f"{file} is not there; run `agepred data` again where the pictures are")
        if not member:
            return StoredPicture(name=file.name, path=file, size=file.stat().st_size)
        if file not in self.archives:
            self.archives[file] = index_archive(file)
        if member not in self.archives[file]:
            raise DataError(f"{file} does not hold {member}; run `agepred data` again on that archive")
        return self.archives[file][member]


def _sample(row: Mapping[str, str], place: str, finder: _Finder, reader: RowReader) -> Sample:
    try:
        sample = reader.sample(row, finder.find(row["path"], row["member"]))
    except ValueError as error:
        raise DataError(f"{place}: row of {row['name']}: {error}") from error
    return dataclasses.replace(sample, name=row["name"], dropped=row["dropped"])
