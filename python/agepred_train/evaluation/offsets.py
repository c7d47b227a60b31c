"""How far a model moves the ends of its intervals: the keys `agepred.interval.*` of docs/model_contract.md.

What the core does with them is done here too, for intervals at levels other than the file's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_KEYS = ("levels", "ages", "low", "high")
_PREFIX = "agepred.interval."

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IntervalOffsets:
    """Years by which ends of intervals are moved outward, by level and by answered age."""

    levels: Values
    """Ascending, between 0 and 1, [L]."""
    ages: Values
    """Ascending, in years, [A]."""
    low: Values
    """Years downward, [L, A]."""
    high: Values
    """Years upward, [L, A]."""

    def __post_init__(self) -> None:
        """Check shapes and orders."""
        shape = (len(self.levels), len(self.ages))
        if not all(shape) or self.low.shape != shape or self.high.shape != shape:
            raise ValueError(f"offsets of shapes {self.low.shape} and {self.high.shape} for levels and ages {shape}")
        for row in (self.levels, self.ages):
            if (np.diff(row) <= 0).any():
                raise ValueError(f"{row} is not ascending")

    def of(self, level: float, ages: Sequence[float] | Values) -> tuple[Values, Values]:
        """Return the offsets of the low and the high ends at a level for answered ages, [n] each.

        Linear between levels and between ages; nothing is moved at level 0; beyond the last level, and beyond the ages,
        offsets stay as they are.
        """
        rows = []
        for table in (self.low, self.high):
            levels = np.concatenate([[0.0], self.levels])
            columns = np.concatenate([np.zeros((1, len(self.ages))), table])
            at_level = np.array([np.interp(level, levels, column) for column in columns.T])
            rows.append(np.interp(ages, self.ages, at_level))
        return rows[0], rows[1]

    def to_keys(self) -> dict[str, str]:
        """Return the metadata of a model file."""
        texts = (
            _row(self.levels, 4),
            _row(self.ages, 2),
            ";".join(_row(row, 3) for row in self.low),
            ";".join(_row(row, 3) for row in self.high),
        )
        return {_PREFIX + key: text for key, text in zip(_KEYS, texts, strict=True)}

    @staticmethod
    def from_keys(keys: Mapping[str, str]) -> "IntervalOffsets | None":
        """Return the offsets that a model file states; None where it has none.

        Raises:
            ValueError: they are not as docs/model_contract.md wants them; the core refuses such a file, too.
        """
        if not any(_PREFIX + key in keys for key in _KEYS):
            return None
        try:
            levels, ages, low, high = ([_numbers(row) for row in keys[_PREFIX + key].split(";")] for key in _KEYS)
            return IntervalOffsets(
                levels=np.array(levels[0]), ages=np.array(ages[0]), low=np.array(low), high=np.array(high)
            )
        except (KeyError, ValueError) as error:
            raise ValueError(f"the keys {_PREFIX}* are not those of interval offsets ({error!r})") from error


def _row(values: Values, digits: int) -> str:
    return ",".join(f"{value:.{digits}f}".rstrip("0").rstrip(".") for value in values.tolist())


def _numbers(row: str) -> list[float]:
    return [float(part) for part in row.split(",")]
