"""Answers to labeled pictures: a CSV of one row a picture, and the distributions over ages beside it."""

import csv
import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from agepred_train.archive import DataError
from agepred_train.data import GROUPS
from agepred_train.evaluation.offsets import IntervalOffsets
from agepred_train.storage import replacing


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer to one picture beside its labels; one row of the CSV."""

    file: str
    """Name of the picture."""
    age_min: int
    """Lowest labeled age in years."""
    age_max: int
    """Highest; equal for an exact age, 116 for a range without an upper end."""
    gender: str
    """In the set's words; empty where it is not known."""
    race: str
    """In the set's words; empty where it is not known."""
    coral: str
    """Membership in the CORAL split."""
    faces: int
    """Number of faces found, -1 where the picture cannot be decoded; below 1 the answer is the training median."""
    age: float
    """Answered age in years."""
    stddev: float
    """Standard deviation of the answer in years; 0 where there is no distribution."""
    low: float
    """Lower end of the model's own interval in years; the age itself where there is none."""
    high: float
    """Upper end of the interval in years."""
    label_group: str
    """Group that holds the label, such as "26-50"; empty for a range that lies in several."""
    group: str
    """Answered group."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What one model says of all pictures."""

    rows: tuple[Prediction, ...]
    probabilities: NDArray[np.float32] | None = None
    """Distributions over ages, [n, K], zeros where no face was found; None where only ages are known."""
    first_age: int = 0
    """Year of the first column."""
    offsets: IntervalOffsets | None = None
    """By which the model moves the ends of its intervals."""

    def __post_init__(self) -> None:
        """Check that there is a distribution for every row."""
        if self.probabilities is not None and len(self.probabilities) != len(self.rows):
            raise ValueError(f"{len(self.probabilities)} distributions do not belong to {len(self.rows)} answers")

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a numeric column of the rows, [n]."""
        return np.array([getattr(row, name) for row in self.rows], np.float64)

    def where(self, mask: NDArray[np.bool_]) -> "Answers":
        """Return some of the answers; `mask` is [n]."""
        return Answers(
            rows=tuple(row for row, wanted in zip(self.rows, mask, strict=True) if wanted),
            probabilities=None if self.probabilities is None else self.probabilities[mask],
            first_age=self.first_age,
            offsets=self.offsets,
        )

    def is_exact(self) -> NDArray[np.bool_]:
        """Return where the label is one age, [n]."""
        exact: NDArray[np.bool_] = self.column("age_min") == self.column("age_max")
        return exact

    def errors(self) -> NDArray[np.float64]:
        """Return answered minus labeled age in years, [n]; the labels must be exact ages."""
        if not self.is_exact().all():
            raise ValueError("ranges of ages support no exact error")
        return self.column("age") - self.column("age_min")


def group_of(age: float, groups: Iterable[tuple[int, int]] = GROUPS) -> str:
    """Return the name of the group that holds an age in years; 25.5 still belongs to 0-25.

    Raises:
        ValueError: no group does.
    """
    for low, high in groups:
        if low <= age < high + 1:
            return f"{low}-{high}"
    raise ValueError(f"no group holds the age {age}")


def group_of_label(age_min: int, age_max: int, groups: Sequence[tuple[int, int]] = GROUPS) -> str:
    """Return the name of the group that holds all of a range; empty where it lies in several."""
    low, high = group_of(age_min, groups), group_of(age_max, groups)
    return low if low == high else ""


def probabilities_file(path: Path) -> Path:
    """Return the file of the distributions that lies beside a CSV of answers."""
    return path.with_suffix(".npz")


def save_answers(path: Path, answers: Answers) -> None:
    """Write the CSV, and the distributions beside it where they are known: every figure can be computed again."""
    beside = probabilities_file(path)
    if answers.probabilities is None:
        beside.unlink(missing_ok=True)
    else:
        with replacing(beside) as temporary, temporary.open("wb") as file:
            keys = answers.offsets.to_keys() if answers.offsets else {}
            np.savez_compressed(
                file, probabilities=answers.probabilities, first_age=answers.first_age, offsets=json.dumps(keys)
            )
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, [field.name for field in dataclasses.fields(Prediction)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(row) for row in answers.rows)


def load_answers(path: Path) -> Answers:
    """Read what `save_answers` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file has other columns, a malformed row or values that are no numbers, or the distributions
            beside it do not belong to it.
    """
    types: dict[str, type[int] | type[float] | type[str]] = get_type_hints(Prediction)
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        try:
            columns = reader.fieldnames
            rows: list[dict[str, Any]] = []
            if columns == list(types):
                rows += [{name: types[name](row[name]) for name in types} for row in reader]
        except (csv.Error, TypeError, ValueError) as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}; evaluate again") from error
    if columns != list(types):
        raise DataError(f"{path}: the columns are {columns}; it is no file of answers of `agepred eval`")
    beside = probabilities_file(path)
    if not beside.is_file():
        return Answers(rows=tuple(Prediction(**row) for row in rows))
    try:
        with beside.open("rb") as stored, np.load(stored, allow_pickle=False) as arrays:
            return Answers(
                rows=tuple(Prediction(**row) for row in rows),
                probabilities=arrays["probabilities"],
                first_age=int(arrays["first_age"]),
                offsets=IntervalOffsets.from_keys(json.loads(str(arrays["offsets"]))),
            )
    except (ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"{beside}: no distributions of {path.name} ({error}); evaluate again") from error
