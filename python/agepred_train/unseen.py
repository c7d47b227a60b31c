"""That a model was not trained on the pictures it is measured on: checked before a release states the figures."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agepred_train.curation.manifest import is_manifest, read_manifest
from agepred_train.known_sets import digests_of, pictures_of
from agepred_train.storage import sha256_of_file
from agepred_train.table import read_table

OTHER_SET, SAME_SPLITS, BY_NAME = "other set", "same splits", "by name"
"""How it is known: no archive of the evaluation was trained on; its splits are those of the training; or picture by
picture, from the table that the training read."""


class SeenError(ValueError):
    """An evaluation of pictures that the model was trained on, or that nothing proves not to be; says what to do."""


def how_unseen(data: Mapping[str, Any], trained: Mapping[str, str], tables: Sequence[Path]) -> str:
    """Return how it is known that no picture of an evaluation was trained on or chosen by.

    Args:
        data: of the evaluation's JSON: `name`, `split` and the hashes of what was read, `sha256`.
        trained: hashes of what the training read, from its record.
        tables: what `agepred data` wrote for the training; needed where the evaluation reads an archive of the training
            by other splits than the training did.

    Raises:
        SeenError: a picture was seen, or that cannot be told.
        FileNotFoundError: a table, or the labels of an archive that it names, are not there.
        DataError: one of them is malformed.
    """
    hashes: Mapping[str, str] = data["sha256"]
    if not digests_of(hashes) & digests_of(trained):
        return OTHER_SET
    if data["split"] != "test":
        raise SeenError(f"{data['name']}: the model was trained on this set; evaluate on its split test")
    if set(hashes.values()) <= set(trained.values()):
        return SAME_SPLITS
    if not tables:
        raise SeenError(
            f"{data['name']}: the model was trained on these pictures by another table; name it with --data, so that "
            "it can be told which ones"
        )
    for table in tables:
        if not is_table_of(table, trained):
            raise SeenError(f"{table} is not a table that the model was trained on; name those")
    seen = {_picture(row) for table in tables for row in _rows(table) if row["split"] in ("train", "val")}
    for archive in _archives(tables, hashes):
        if both := [name for name in _test_names(archive, hashes) if (archive.name, name) in seen]:
            raise SeenError(
                f"{archive}: {len(both)} pictures of its split test were trained on, or chosen by, first {both[0]}; "
                "evaluate on the test split of the table"
            )
    return BY_NAME


def is_table_of(table: Path, trained: Mapping[str, str]) -> bool:
    """Return whether a training read this table of `agepred data`, by the hashes in its record.

    Raises:
        FileNotFoundError: the table, or an archive that it names, is not there.
        DataError: it is malformed.
    """
    if not is_manifest(table):
        return False
    # By the reader's own hash, whatever that covers; records of older trainings have the file's.
    return bool({read_manifest(table).hashes[table.name], sha256_of_file(table)} & set(trained.values()))


def tables_of(tables: Sequence[Path], trained: Mapping[str, str]) -> list[Path]:
    """Return those of some tables that a training read; raises as `is_table_of` does."""
    return [table for table in tables if is_table_of(table, trained)]


def pictures_by_set(tables: Sequence[Path]) -> dict[str, dict[str, int]]:
    """Return how many pictures of each set tables of `agepred data` give to train, val and test, and drop.

    Sets are named by their archives, those in files of their own by their folders.
    """
    counts: dict[str, dict[str, int]] = {}
    for row in (row for table in tables for row in _rows(table)):
        path = Path(row["path"])
        name = path.stem if row["member"] else path.parent.name
        dropped = row["split"] == "drop" or (row["dropped"] and row["split"] == "train")
        of_set = counts.setdefault(name, dict.fromkeys(("train", "val", "test", "drop"), 0))
        of_set["drop" if dropped else row["split"]] += 1
    return counts


def _rows(table: Path) -> Iterator[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _picture(row: Mapping[str, str]) -> tuple[str, str]:
    path = Path(row["path"])
    return path.name, row["member"] or path.name


def _archives(tables: Sequence[Path], hashes: Mapping[str, str]) -> list[Path]:
    """Return the archives of tables that an evaluation read; a folder cannot be told from its copies by name."""
    paths = {table.parent / row["path"] for table in tables for row in _rows(table) if row["member"]}
    found = sorted(path for path in paths if path.name in hashes)
    if len(found) < len(pictures_of(hashes)):
        named = " and ".join(str(table) for table in tables)
        raise SeenError(f"{', '.join(hashes)}: not archives of {named}; evaluate on the tables' test split")
    return found


def _test_names(archive: Path, hashes: Mapping[str, str]) -> list[str]:
    """Return the names of the pictures that the labels beside an archive put into `test`."""
    labels = archive.with_suffix(".csv")
    if sha256_of_file(labels) != hashes.get(labels.name):
        raise SeenError(f"{labels}: not the labels that the evaluation read; evaluate again")
    rows = read_table(labels, ("file", "split"), lambda row: row["file"])
    # As the readers of sets do: spaces and ./ are no part of a name.
    return [row["file"].strip().removeprefix("./") for row in rows.values() if row["split"].strip() == "test"]
