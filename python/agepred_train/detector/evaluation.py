"""What is asked of an evaluation of face detectors, and what it gathers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import agepred_edge
from agepred_edge import FaceDetector
from agepred_train.detector.held_out import Part
from agepred_train.detector.measure import Found
from agepred_train.detector.survey import Clock, Column
from agepred_train.detector.worst import Case
from agepred_train.storage import sha256_of_file

_P = TypeVar("_P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What shall be measured."""

    columns: tuple[Column, ...]
    """Detectors, at least one, under different names."""
    split: Part = "val"
    """Part of the held-out data, or of a labeled set that names splits."""
    limit: int | None = None
    """Pictures of each set at most, spread evenly; None for all."""
    teacher: Path | None = None
    """Face model that confirms what labels leave out."""
    max_side: int = 640
    """Longer side at which any one labeled set and WIDER FACE are shown."""

    def __post_init__(self) -> None:
        """Check what can be checked without a file."""
        names = [column.name for column in self.columns]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"the detectors' names {names} are not different ones")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit {self.limit} is not at least 1")


@dataclass(slots=True, kw_only=True)
class Evaluation:
    """What was measured, filled row by row."""

    request: Request
    source: Literal["data", "set", "wider"] = "data"
    """What is measured on: the held-out data, one labeled set, or WIDER FACE."""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By row and column; JSON-ready."""
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Number of pictures and hashes of each set that was read."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Rows that could not be measured, and why."""
    cases: list[Case] = field(default_factory=list)
    """The worst of each kind."""
    clock: Clock = field(default_factory=Clock)
    answers: dict[tuple[str, str, str], list[Found]] = field(default_factory=dict)
    """What was found, by set, column and purpose: several rows read it."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the pictures, JSON-ready."""
        request = self.request
        return {
            "agepred": agepred_edge.__version__,
            "columns": {column.name: column.describe() for column in request.columns},
            "options": {
                "split": request.split if self.source == "data" else None,
                "limit": request.limit,
                "max_side": request.max_side,
                "teacher": str(request.teacher) if request.teacher else None,
                "teacher_sha256": sha256_of_file(request.teacher) if request.teacher else None,
            },
            "data": self.data,
            "rows": self.rows,
            "left_out": self.left_out,
            "detection_seconds": self.clock.seconds,
        }

    def use(self, name: str, pictures: Sequence[_P], hashes: Mapping[str, str]) -> list[_P]:
        """Note a set as read, and return as many of its pictures as are asked for, spread over all of them."""
        count = len(pictures)
        asked = min(self.request.limit or count, count)
        chosen = [pictures[number * count // asked] for number in range(asked)]
        self.data[name] = {"pictures": len(chosen), "of": count, "sha256": dict(hashes)}
        return chosen

    def detectors(self, purpose: str, **settings: Any) -> dict[tuple[str, str], FaceDetector]:
        """Return every column's detector for a purpose."""
        return {(column.name, purpose): column.detector(**settings) for column in self.request.columns}
