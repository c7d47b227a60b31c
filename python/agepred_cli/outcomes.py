"""What became of each picture, as JSON and as a table."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import agepred_edge
from agepred_edge import Face, ModelInfo

_WIDTH_OF_FILES = 200  # columns, where the table goes to a file or a pipe and needs no folding


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one picture."""

    photo: Path
    """As it was named."""
    faces: list[Face] | None = None
    """Largest first, empty where there is none; None where the picture could not be judged."""
    error: str | None = None
    """What went wrong, in words."""
    saved: Path | None = None
    """Where the annotated picture lies."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; what there is none of is left out."""
        result: dict[str, Any] = {"picture": str(self.photo)}
        if self.faces is not None:
            result["faces"] = [face.to_dict() for face in self.faces]
        if self.saved is not None:
            result["saved"] = str(self.saved)
        if self.error is not None:
            result["error"] = self.error
        return result


def document(info: ModelInfo, outcomes: list[Outcome]) -> dict[str, Any]:
    """All outcomes as one JSON-ready document; ages belong to the model that info describes."""
    return {
        "agepred": agepred_edge.__version__,
        "model": {"version": info.version, "interval_level": round(info.interval_level, 4)},
        "pictures": [outcome.to_dict() for outcome in outcomes],
    }


def print_table(info: ModelInfo, outcomes: list[Outcome]) -> None:
    """Prints a row a face on standard output, and where pictures were saved."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("photo", overflow="fold")
    interval = f"{info.interval_level:.0%} interval"
    for heading in ("face", "age", "±", interval, "group", "box", "score"):
        table.add_column(heading, justify="right", no_wrap=True)
    photos = {outcome.photo for outcome in outcomes}
    names_suffice = len({photo.name for photo in photos}) == len(photos)
    for outcome in outcomes:
        # Folders are left out where the names alone tell the pictures apart: they leave no room for ages.
        name = _shown(outcome.photo.name if names_suffice else outcome.photo)
        for number, face in enumerate(outcome.faces or [], start=1):
            table.add_row(escape(name), str(number), *_cells(face))
        if outcome.faces == []:
            table.add_row(escape(name), "-", "no face")
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    if table.row_count:
        console.print(table)
    for outcome in outcomes:
        if outcome.saved is not None:
            console.print(f"saved {_shown(outcome.saved)}", markup=False, highlight=False, soft_wrap=True)


def _shown(path: str | Path) -> str:
    """A path as text that any terminal takes: names on disk need not be valid UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def _cells(face: Face) -> list[str]:
    low, high = face.interval
    x, y, width, height = face.box
    return [
        f"{face.age:.1f}",
        f"{face.stddev:.1f}",
        f"{low:.0f} to {high:.0f}",
        face.group,
        f"{width:.0f}x{height:.0f} at {x:.0f},{y:.0f}",
        f"{face.score:.2f}",
    ]
