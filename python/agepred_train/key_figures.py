"""A few figures of evaluations by short names: what two versions of a model are compared by, line by line."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from agepred_train.archive import DataError

Figures = dict[str, dict[str, dict[str, float | int]]]
"""By set, by column, by figure."""

_DIGITS = 4

# Short name, and where it stands in a column's figures; what an evaluation does not have is left out.
_FIGURES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("pictures", ("n",)),
    ("no_face", ("no_face",)),
    ("mae", ("mae",)),
    ("bias", ("bias",)),
    ("coral_test_mae", ("coral_test_mae",)),
    ("cs5", ("cs@5",)),
    ("group_accuracy", ("group_accuracy",)),
    ("inside", ("ranges", "inside@0")),
    ("inside3", ("ranges", "inside@3")),
    ("worst_decade_mae", ("worst_decade", "mae")),
    ("coverage80", ("calibration", "intervals", "0.8", "coverage")),
    ("coverage90", ("calibration", "intervals", "0.9", "coverage")),
    ("calibration_gap", ("calibration", "gap")),
    ("minors_passing", ("verification", "minors", "share")),
    ("subgroup_gap", ("subgroup_gap", "gap")),
)


def key_figures(documents: Sequence[Mapping[str, Any]]) -> Figures:
    """Return figures that can be compared between versions, from JSON documents of `agepred eval`.

    Years and shares, rounded to four digits. The constant answer, which no training changes, is left out.

    Raises:
        DataError: a document is none of `agepred eval`, or two are of the same pictures.
    """
    result: Figures = {}
    for document in documents:
        name = set_name(document)
        if name in result:
            raise DataError(f"two evaluations are of {name}; name one")
        with reading_document():
            columns = [column for column, row in document["columns"].items() if row["kind"] != "constant"]
            result[name] = {column: _of_column(document, column) for column in columns}
    return result


@contextmanager
def reading_document() -> Iterator[None]:
    """Turn what a missing or malformed part of a document leads to into a DataError that says so."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(f"not what `agepred eval --json` writes: {what}") from error


def set_name(document: Mapping[str, Any]) -> str:
    """Return a name for what a document is of, such as utkface-test or portraits.

    Raises:
        DataError: it is no document of `agepred eval`.
    """
    with reading_document():
        data, _, _ = document["data"], document["columns"], document["figures"]
        return "-".join(filter(None, (data["name"], data["split"], f"n{data['limit']}" if data["limit"] else "")))


def _of_column(document: Mapping[str, Any], column: str) -> dict[str, float | int]:
    known = {name: _at(document["figures"][column], path) for name, path in _FIGURES}
    known["degraded_worst_minus_clean"] = _at(document["degraded"].get(column), ("worst_minus_clean",))
    return {name: round(value, _DIGITS) for name, value in known.items() if value is not None}


def _at(tree: Any, path: Sequence[str]) -> Any:
    for name in path:
        tree = None if tree is None else tree.get(name)
    return tree
