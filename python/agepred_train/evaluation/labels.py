"""A labeled set: pictures in a tar or a folder, and a CSV of their ages or ranges of ages."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from agepred_train.archive import DataError, StoredPicture, index_archive
from agepred_train.data import AGES, GENDERS, RACES, Sample, Split, median_age, read_utkface_folder
from agepred_train.storage import sha256_of_file
from agepred_train.table import read_header, read_table

OPEN_END = AGES.stop - 1
"""Highest age of a range without an upper end, such as 70+."""
MEDIAN_AGE = 29.0
"""Median age of UTKFace's split `train`, the answer where there is no face and a set has no exact ages to train on."""

_NEEDED = "file and age, or file, age_min and age_max"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledSet:
    """Labeled pictures in a fixed order."""

    name: str
    samples: tuple[Sample, ...]
    has_splits: bool
    """Whether the labels say which split a picture belongs to; without, all of them count."""
    hashes: dict[str, str]
    """sha256 of what was read, by file name."""

    def part(self, split: Split, limit: int | None = None) -> list[Sample]:
        """Return the pictures that count, in order; at most `limit`, spread evenly over them.

        Raises:
            DataError: there are none.
        """
        chosen = [sample for sample in self.samples if not self.has_splits or sample.split == split]
        if not chosen:
            raise DataError(f"{self.name}: no picture belongs to the split {split}; choose another split or other data")
        asked = min(limit or len(chosen), len(chosen))
        return [chosen[number * len(chosen) // asked] for number in range(asked)]

    def median_train_age(self) -> float:
        """Return the median of the exact ages of the split `train` in years; MEDIAN_AGE where there are none."""
        exact = [sample for sample in self.samples if sample.split == "train" and sample.age_min == sample.age_max]
        return float(median_age(exact)) if self.has_splits and exact else MEDIAN_AGE


def read_labeled(data: Path, labels: Path | None = None) -> LabeledSet:
    """Read a labeled set.

    Args:
        data: an uncompressed tar, or a folder.
        labels: CSV with the columns `file` and either `age` or `age_min` and `age_max` (empty: open), in years;
            optionally `gender`, `race` (words, or UTKFace's codes), `split`, `coral`, `group`. None: the CSV beside
            the tar; a folder without one must be UTKFace's, whose names tell the labels.

    Raises:
        FileNotFoundError: a file is not there.
        DataError: the labels lack columns or rows, a row is malformed or names a picture twice or one that is not
            there.
    """
    if not data.exists():
        raise FileNotFoundError(f"{data}: there is no such archive or folder")
    if labels is None and data.is_dir():
        collection = read_utkface_folder(data)
        return LabeledSet(
            name=data.absolute().name, samples=collection.samples, has_splits=True, hashes=collection.hashes
        )
    table = labels or data.with_suffix(".csv")
    if not table.is_file():
        raise FileNotFoundError(f"{table}: there are no labels there; name a CSV with the columns {_NEEDED}")
    columns = set(read_header(table))
    if "file" not in columns or not ("age" in columns or {"age_min", "age_max"} <= columns):
        raise DataError(f"{table}: the columns are {sorted(columns)}; there must be {_NEEDED}")
    rows = read_table(table, ("file",), lambda row: row["file"])
    places = _files_of(data, [row["file"] for row in rows.values()]) if data.is_dir() else index_archive(data)
    missing = [row["file"] for row in rows.values() if row["file"] not in places]
    if missing:
        raise DataError(
            f"{data}: {len(missing)} of the pictures listed in {table} are missing, first {missing[0]}; "
            "use pictures and labels that belong together"
        )
    samples = tuple(_sample(row, places[row["file"]], f"{table}, line {line}") for line, row in rows.items())
    return LabeledSet(
        name=data.absolute().stem,
        samples=samples,
        has_splits="split" in columns,
        hashes=_hash_of(data, samples) | {table.name: sha256_of_file(table)},
    )


def _sample(row: Mapping[str, str], stored: StoredPicture, place: str) -> Sample:
    try:
        low = _years(row["age"] if "age" in row else row["age_min"])
        # An age alone is exact; a range may lack its upper end.
        high = low if "age" in row else (_years(row["age_max"]) if row["age_max"] else OPEN_END)
        return Sample(
            name=row["file"],
            age_min=low,
            age_max=high,
            # A set without splits is for tests; LabeledSet.part then takes all of it.
            split=cast("Split", row.get("split", "test")),
            gender=_word(row.get("gender", ""), GENDERS),
            race=_word(row.get("race", ""), RACES),
            coral=row.get("coral", ""),
            group=row.get("group", ""),
            path=stored.path,
            offset=stored.offset,
            size=stored.size,
        )
    except ValueError as error:
        raise DataError(f"{place}: row of {row['file']}: {error}; mend that line") from error


def _years(text: str) -> int:
    """Return an age in whole years; some tables write 29 as 29.0."""
    years = float(text)
    if not years.is_integer():
        raise ValueError(f"age {text} is no whole number of years")
    return int(years)


def _word(text: str, words: tuple[str, ...]) -> str:
    """Return the word that UTKFace's code stands for, other texts as they are; empty for -1, which is unknown."""
    if text == "-1":
        return ""
    if not text.isdecimal():
        return text
    if int(text) >= len(words):
        raise ValueError(f"code {text} stands for none of {', '.join(words)}")
    return words[int(text)]


def _files_of(folder: Path, names: list[str]) -> dict[str, StoredPicture]:
    paths = {name: folder / name for name in names}
    return {
        name: StoredPicture(name=name, path=path, size=path.stat().st_size)
        for name, path in paths.items()
        if path.is_file()
    }


def _hash_of(data: Path, samples: tuple[Sample, ...]) -> dict[str, str]:
    if not data.is_dir():
        return {data.name: sha256_of_file(data)}
    # Names and sizes: to read every picture would take as long as to find its faces.
    listing = "\n".join(f"{sample.name} {sample.size}" for sample in samples)
    return {"names and sizes": hashlib.sha256(listing.encode()).hexdigest()}
