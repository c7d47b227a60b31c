"""Tables of labels: CSV with a header, every row whole, no picture listed twice."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agepred_train.archive import DataError


def read_table(
    table: Path, columns: Sequence[str], key: Callable[[Mapping[str, str]], str]
) -> dict[int, dict[str, str]]:
    """Return the rows by the number of the line on which each ends.

    Args:
        table: CSV in UTF-8, a header first.
        columns: that the header must name.
        key: what tells a row's picture from all others.

    Raises:
        FileNotFoundError: the table is not there.
        DataError: it lacks columns or rows, is no CSV, or a row is malformed or names a picture twice.
    """
    rows: dict[int, dict[str, str]] = {}
    line_of: dict[str, int] = {}
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        try:
            absent = [column for column in columns if column not in (reader.fieldnames or ())]
            if absent:
                raise DataError(f"{table}: column {absent[0]!r} is missing; the header must name {tuple(columns)}")
            for row in reader:
                place = f"{table}, line {reader.line_num}"
                _check_row(row, place)
                # Listed twice, a picture could be in `train` and in `test` at once.
                name = key(row)
                first = line_of.setdefault(name, reader.line_num)
                if first != reader.line_num:
                    raise DataError(f"{place}: {name} is listed on line {first} already; remove one of the two")
                rows[reader.line_num] = row
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(
                f"{table}, line {reader.line_num + 1}: not readable as CSV in UTF-8 ({error}); mend that line"
            ) from error
    if not rows:
        raise DataError(f"{table}: there are no rows below the header")
    return rows


def read_header(table: Path) -> list[str]:
    """Return the names of a table's columns.

    Raises:
        FileNotFoundError: the table is not there.
        DataError: its first line is no CSV in UTF-8, or empty.
    """
    with table.open(newline="", encoding="utf-8-sig") as file:
        try:
            header = next(csv.reader(file), [])
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{table}, line 1: not readable as CSV in UTF-8 ({error}); is it a table?") from error
    if not header:
        raise DataError(f"{table}: the first line is empty; it must name the columns")
    return header


def _check_row(row: Mapping[Any, Any], place: str) -> None:
    """Refuse a row with fewer or more fields than the header, which DictReader fills or collects with None."""
    if None in row or None in row.values():
        count = sum(value is not None for key, value in row.items() if key is not None) + len(row.get(None, ()))
        expected = sum(key is not None for key in row)
        raise DataError(f"{place}: the row has {count} fields, the header {expected}; mend that line")
