"""Any table of pictures with ages or ranges of ages: the columns are known by their usual names.

The one place where the row of a set's table becomes a labeled picture, whichever command reads the set.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from agepred_train.archive import DataError, StoredPicture
from agepred_train.curation.labels import Ranges, ages_of, bounds_of, gender_of, race_of
from agepred_train.data import Sample, Split
from agepred_train.table import read_header, read_table

UNDIVIDED: Split = "drop"
"""Split of pictures whose set names none, until it is dealt (`own_splits`): forgotten, they serve for nothing."""

# The names of columns, in small letters, the best first.
_FILE = ("file", "path", "filename", "file_name", "image", "img", "id")
_AGE = ("age", "class", "age_range", "age_group")
_GENDER = ("gender", "sex")
_RACE = ("race", "ethnicity")

Find = Callable[[str], StoredPicture | None]
"""Gives the place of the picture that a table names, or None where it is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledTable:
    """The pictures of a table, and what could not be used."""

    samples: tuple[Sample, ...]
    """Usable rows, in their order."""
    skipped: tuple[str, ...]
    """Rows left out, each as `name: reason`."""
    has_splits: bool
    """Whether the table says which split a picture belongs to; otherwise all are UNDIVIDED."""


def read_labeled_table(
    table: Path, find: Find, *, ranges: Ranges, split: Split | None = None, strict: bool = False
) -> LabeledTable:
    """Read a table; rows without a usable label or picture are left out and listed, or refused.

    Args:
        table: CSV whose header names a picture's file and its `age`, or `age_min` and `age_max`; known besides are
            gender, race, split, group, weight and coral.
        find: tells where a picture lies.
        ranges: what named classes of ages stand for.
        split: of all pictures, where it is not in the table but known from elsewhere.
        strict: refuse the table where a row cannot be used.

    Raises:
        FileNotFoundError: the table is not there.
        DataError: it has no such columns, is malformed, has no usable row, or (strict) one that cannot be used.
    """
    names = read_header(table)
    reader = RowReader.of(table, names, ranges=ranges, split=split)
    file = reader.file
    rows = read_table(table, tuple(names), lambda row: row[file])
    samples: list[Sample] = []
    skipped: list[str] = []
    taken: set[tuple[Path, int]] = set()
    wrong = ""
    for line, row in rows.items():
        stored = find(row[file].strip())
        if stored is None:
            skipped.append(f"{row[file]}: the picture is not there (line {line})")
            wrong = wrong or f"{table}, line {line}: row of {row[file]}: the picture is not there"
            continue
        try:
            if (stored.path, stored.offset) in taken:
                raise ValueError("the picture has a row already")
            samples.append(reader.sample(row, stored))
            taken.add((stored.path, stored.offset))
        except ValueError as error:
            skipped.append(f"{row[file]}: {error} (line {line})")
            wrong = wrong or f"{table}, line {line}: row of {row[file]}: {error}"
    if strict and wrong:
        rest = f" ({len(skipped)} of {len(rows)} rows cannot be used)" if len(skipped) > 1 else ""
        raise DataError(f"{wrong}{rest}; mend it, or have `agepred data` leave it out")
    if not samples:
        raise DataError(f"{table}: none of {len(rows)} rows can be used, first {skipped[0]}")
    return LabeledTable(samples=tuple(samples), skipped=tuple(skipped), has_splits=reader.has_splits)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowReader:
    """Makes a labeled picture of a row, by the names of the columns."""

    header: Mapping[str, str]
    """The columns' names as they stand, by the same in small letters."""
    file: str
    """Column that names the picture."""
    age: str | None
    """Column of ages or ranges; None where there are `bounds`."""
    bounds: Sequence[str]
    """Columns of the lowest and the highest age; two, or none."""
    ranges: Ranges
    """What named classes of ages stand for."""
    split: Split | None
    """Of all pictures, where it is not in the table."""

    @staticmethod
    def of(table: Path, names: Sequence[str], *, ranges: Ranges, split: Split | None = None) -> "RowReader":
        """Return the reader of a table with columns of these names; DataError where one is missing that is needed."""
        header = {name.strip().lower(): name for name in names}
        file = _column(header, _FILE)
        age = _column(header, _AGE)
        bounds = [header[name] for name in ("age_min", "age_max") if name in header]
        if file is None or (age is None and len(bounds) < 2):
            raise DataError(
                f"{table}: no column names the {'file' if file is None else 'age'}; the header must name "
                f"one of {', '.join(_FILE)} and one of {', '.join(_AGE)}, or age_min and age_max"
            )
        if len(bounds) == 1:
            raise DataError(f"{table}: {bounds[0]} is there without the other end; name both age_min and age_max")
        return RowReader(header=header, file=file, age=age, bounds=bounds, ranges=ranges, split=split)

    @property
    def has_splits(self) -> bool:
        """Whether it is known which split a picture belongs to."""
        return "split" in self.header or self.split is not None

    def sample(self, row: Mapping[str, str], stored: StoredPicture) -> Sample:
        """Return the picture that lies in `stored` with the row's labels; ValueError where one is none."""
        if self.bounds:
            low, high = bounds_of(*(row[column] for column in self.bounds))
        else:
            low, high = ages_of(row[cast("str", self.age)], self.ranges)
        return Sample(
            name=stored.name,
            age_min=low,
            age_max=high,
            split=self.split or (cast("Split", self._text(row, ("split",))) if "split" in self.header else UNDIVIDED),
            gender=gender_of(self._text(row, _GENDER)),
            race=race_of(self._text(row, _RACE)),
            coral=self._text(row, ("coral",)),
            group=self._text(row, ("group",)),
            weight=float(self._text(row, ("weight",)) or 1),
            path=stored.path,
            offset=stored.offset,
            size=stored.size,
        )

    def _text(self, row: Mapping[str, str], names: Sequence[str]) -> str:
        column = _column(self.header, names)
        return row[column].strip() if column else ""


def _column(header: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((header[name] for name in names if name in header), None)
