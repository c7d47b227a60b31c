"""The cases that a detector does worst, as pictures."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from agepred_train.detector.annotations import AnnotatedPicture
from agepred_train.detector.boxes import overlaps
from agepred_train.detector.measure import Found, PointError
from agepred_train.detector.survey import Picture

SHOWN = 12
"""Cases of each kind and column."""
LABEL_COLOR, ANSWER_COLOR = "#00c853", "#ff1744"
_SIDE = 200  # pixels of a thumbnail's longer side
_AROUND = 2.2  # sides of the box in question that a thumbnail shows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One answer, or the lack of one, worth looking at."""

    column: str
    kind: str
    """Such as `missed faces and poor boxes`."""
    badness: tuple[float, ...]
    """The larger the worse."""
    caption: str
    load: Callable[[], Picture]
    """Gives the picture, RGB, in whose pixels the rest is."""
    focus: NDArray[np.float32]
    """The box in question, [4]."""
    labels: NDArray[np.float32]
    """Labeled boxes, [n, 4]."""
    answers: NDArray[np.float32]
    """Answered boxes, [m, 4]."""
    label_points: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 2), np.float32))
    """Labeled points, [k, 2]."""
    answer_points: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 2), np.float32))
    """Answered points, [k, 2]."""


def worst(cases: Sequence[Case]) -> list[Case]:
    """Return the worst few of each kind and column, the worst first."""
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.kind, case.column), []).append(case)
    return [
        case for group in groups.values() for case in sorted(group, key=lambda case: case.badness, reverse=True)[:SHOWN]
    ]


def box_cases(
    column: str, pictures: Sequence[AnnotatedPicture], found: Sequence[Found], *, smallest: float = 32
) -> list[Case]:
    """Return the labeled faces of at least `smallest` pixels height that no box fits well."""
    cases = []
    for picture, one in zip(pictures, found, strict=True):
        labels = picture.faces.boxes
        best = overlaps(labels, one.boxes).max(axis=1, initial=0)
        for row in np.flatnonzero((labels[:, 3] >= smallest) & ~picture.faces.ignored & (best < 0.6)):
            cases.append(  # noqa: PERF401
                Case(
                    column=column,
                    kind="missed faces and poor boxes",
                    load=picture.stored.read_picture,
                    focus=labels[row],
                    badness=(-float(best[row]), float(labels[row, 3])),
                    caption=f"overlap {best[row]:.2f}, {labels[row, 3]:.0f} px: {picture.stored.name}",
                    labels=labels,
                    answers=one.boxes,
                )
            )
    return cases


def point_cases(
    column: str, pictures: Sequence[AnnotatedPicture], found: Sequence[Found], errors: Sequence[PointError]
) -> list[Case]:
    """Return the faces whose points are farthest off, those that were not found first."""
    cases = []
    for error in errors:
        picture, one = pictures[error.picture], found[error.picture]
        mean = np.inf if error.errors is None else float(error.errors.mean())
        words = "not found" if error.errors is None else f"{mean:.1%} of the eyes' distance"
        points = picture.faces.points[error.face]
        low, high = points.min(axis=0), points.max(axis=0)
        around = (high - low).max()
        cases.append(
            Case(
                column=column,
                kind="points",
                load=picture.stored.read_picture,
                focus=np.array([*(low + high - around) / 2, around, around], np.float32),
                badness=(mean,),
                caption=f"{words}: {picture.stored.name}",
                labels=picture.faces.boxes,
                answers=one.boxes[[error.detection]] if error.detection >= 0 else one.boxes[:0],
                label_points=points,
                answer_points=one.points[error.detection] if error.detection >= 0 else one.points[:0].reshape(-1, 2),
            )
        )
    return cases


def false_cases(
    *,
    column: str,
    kind: str,
    name: str,
    load: Callable[[], Picture],
    labels: NDArray[np.float32],
    found: Found,
    false: NDArray[np.intp],
) -> list[Case]:
    """Return the answers of the given indices, the surest is the worst."""
    return [
        Case(
            column=column,
            kind=kind,
            load=load,
            focus=found.boxes[row],
            badness=(float(found.scores[row]),),
            caption=f"score {found.scores[row]:.2f}, {found.boxes[row, 3]:.0f} px: {name}",
            labels=labels,
            answers=found.boxes[[row]],
        )
        for row in false
    ]


def thumbnail(case: Case) -> bytes:
    """Return a JPEG of the place in question: labels in green, answers in red."""
    picture = case.load()
    x, y, width, height = (float(value) for value in case.focus)
    side = max(16.0, _AROUND * max(width, height))
    left = round(min(max(0.0, x + (width - side) / 2), picture.shape[1] - 1))
    top = round(min(max(0.0, y + (height - side) / 2), picture.shape[0] - 1))
    part = Image.fromarray(picture[top : top + round(side), left : left + round(side)])
    factor = _SIDE / max(part.size)
    part = part.resize((max(1, round(part.width * factor)), max(1, round(part.height * factor))))
    draw = ImageDraw.Draw(part)
    for boxes, color in ((case.labels, LABEL_COLOR), (case.answers, ANSWER_COLOR)):
        for box in boxes:
            low = (box[:2] - (left, top)) * factor
            high = low + np.maximum(box[2:], 0) * factor
            draw.rectangle([*low.tolist(), *high.tolist()], outline=color, width=2)
    for points, color in ((case.label_points, LABEL_COLOR), (case.answer_points, ANSWER_COLOR)):
        for point in (points - (left, top)) * factor:
            draw.ellipse([*(point - 2.5).tolist(), *(point + 2.5).tolist()], fill=color)
    buffer = io.BytesIO()
    part.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
