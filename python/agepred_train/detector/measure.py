"""Figures of a face detector from what it found and what was labeled: arithmetic only, no picture and no model.

How is counted. Answers are taken from the surest to the least sure. Each belongs to the labeled face that it overlaps
most; it is a hit where the overlap (intersection over union) reaches 0.5 and no surer answer has that face. What falls
on an ignored place is neither hit nor false.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agepred_train.detector.annotations import POINT_NAMES, Annotation
from agepred_train.detector.boxes import covered, overlaps

LEAST_OVERLAP = 0.5
"""Of an answer with a label, for a hit."""
HEIGHTS = ((0.0, 32.0), (32.0, 64.0), (64.0, 128.0), (128.0, np.inf))
"""Sizes of faces by which recall is reported: height in pixels of the picture, from and below."""
POINT_HEIGHTS = ((0.0, 32.0), (32.0, 64.0), (64.0, 128.0), (128.0, 192.0), (192.0, np.inf))
"""Sizes of faces by which the points' errors are reported."""
ROLLS = ((0.0, 10.0), (10.0, 20.0), (20.0, 30.0), (30.0, 45.0), (45.0, np.inf))
"""Degrees by which the line between the eyes is turned, either way."""
ERROR_EDGES = tuple(np.round(np.arange(0.0, 0.31, 0.01), 2).tolist())
"""Edges of the histograms of point errors, shares of the eyes' distance; the last bin takes what is beyond."""

# A box that lies almost whole inside a face and fills a good part of it is a tight box of that face.
_SAME_FACE, _INSIDE, _PART = 0.4, 0.8, 0.15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """What a detector answers about one picture, the surest first, in pixels of the picture."""

    boxes: NDArray[np.float32]
    """Left, top, width, height, [n, 4]."""
    scores: NDArray[np.float32]
    """0 to 1, [n]."""
    points: NDArray[np.float32]
    """Five points, [n, 5, 2]."""

    @staticmethod
    def of(boxes: ArrayLike, scores: ArrayLike, points: ArrayLike) -> "Found":
        """Return answers in order of their scores."""
        order = np.argsort(-np.asarray(scores, np.float32), kind="stable")
        return Found(
            boxes=np.asarray(boxes, np.float32).reshape(-1, 4)[order],
            scores=np.asarray(scores, np.float32)[order],
            points=np.asarray(points, np.float32).reshape(-1, 5, 2)[order],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matches:
    """What became of the answers about one picture."""

    hit: NDArray[np.bool_]
    """Whether the answer is a labeled face's, [n]."""
    counted: NDArray[np.bool_]
    """False for answers that fell on ignored places, [n]."""
    faces: NDArray[np.bool_]
    """Whether each labeled face was found, [m]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """Precision and recall, from the surest answer on."""

    scores: NDArray[np.float64]
    """Threshold, [n]."""
    recall: NDArray[np.float64]
    """Share of labeled faces that were found at that threshold or above, [n]."""
    precision: NDArray[np.float64]
    """Share of answers that are labeled faces, [n]."""

    @property
    def average_precision(self) -> float:
        """The area below the curve, where precision is the best at that recall or a higher one (VOC since 2010)."""
        best = np.maximum.accumulate(self.precision[::-1])[::-1]
        return float((np.diff(self.recall, prepend=0.0) * best).sum())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointError:
    """How far the points of one labeled face are off."""

    picture: int
    """Index of the picture."""
    face: int
    """Index of the face among the picture's labels."""
    height: float
    """Of the labeled face, in pixels of the picture as it was shown."""
    roll: float
    """Degrees from upright, either way."""
    errors: NDArray[np.float64] | None
    """Distance of each point from its label over the distance between the labeled eyes, [5]; None: not found."""
    detection: int
    """Which answer it is; -1: not found."""


def match(found: Found, labels: Annotation, least_overlap: float = LEAST_OVERLAP) -> Matches:
    """Return which answers are labeled faces."""
    count = len(found.boxes)
    taken = np.zeros(len(labels.boxes), np.bool_)
    hit, counted = np.zeros(count, np.bool_), np.ones(count, np.bool_)
    if not len(labels.boxes) or not count:
        return Matches(hit=hit, counted=counted, faces=taken)
    overlap = overlaps(found.boxes, labels.boxes)
    asked = np.where(labels.ignored, -1.0, overlap)
    spared = np.where(labels.ignored, np.maximum(overlap, covered(found.boxes, labels.boxes)), -1.0)
    for row in range(count):
        best = int(asked[row].argmax())
        if asked[row, best] >= least_overlap and not taken[best]:
            hit[row] = taken[best] = True
        else:
            counted[row] = spared[row].max() < least_overlap
    return Matches(hit=hit, counted=counted, faces=taken)


def precision_recall(found: Sequence[Found], labels: Sequence[Annotation]) -> Curve:
    """Return the curve over all pictures."""
    scores, hits = judged(found, labels)
    order = np.argsort(-scores, kind="stable")
    good = np.cumsum(hits[order])
    asked = sum(int((~faces.ignored).sum()) for faces in labels)
    return Curve(
        scores=scores[order], recall=good / max(1, asked), precision=good / np.maximum(1, np.arange(1, len(good) + 1))
    )


def judged(found: Sequence[Found], labels: Sequence[Annotation]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the scores of all answers that count, and whether each is a labeled face."""
    matches = [match(one, faces) for one, faces in zip(found, labels, strict=True)]
    scores = [one.scores[matched.counted] for one, matched in zip(found, matches, strict=True)]
    hits = [matched.hit[matched.counted] for matched in matches]
    return np.concatenate([np.empty(0), *scores]), np.concatenate([np.empty(0, np.bool_), *hits])


def recall_by_height(found: Sequence[Found], labels: Sequence[Annotation]) -> dict[str, dict[str, Any]]:
    """Return number, found ones and recall of the faces of each size, and of all from 32 pixels on."""
    heights = np.concatenate([np.empty(0), *(faces.boxes[~faces.ignored, 3] for faces in labels)])
    hits = np.concatenate(
        [np.empty(0, np.bool_)]
        + [match(one, faces).faces[~faces.ignored] for one, faces in zip(found, labels, strict=True)]
    )
    parts = {span_name(span): _within(heights, span) for span in HEIGHTS}
    parts |= {">=32": heights >= 32, "all": heights >= 0}
    return {
        name: {"faces": int(part.sum()), "found": int(hits[part].sum()), "recall": share(hits[part])}
        for name, part in parts.items()
    }


def confirmed(found: Found, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which answers mean one of the boxes: overlap of 0.4, or 0.15 where 80 % of the answer lies inside, [n]."""
    if not len(boxes):
        return np.zeros(len(found.boxes), np.bool_)
    overlap = overlaps(found.boxes, boxes)
    tight = (overlap >= _PART) & (covered(found.boxes, boxes) >= _INSIDE)
    return np.asarray(((overlap >= _SAME_FACE) | tight).any(axis=1), np.bool_)


def calibration(found: Sequence[Found], labels: Sequence[Annotation], bins: int = 10) -> dict[str, Any]:
    """Return, for each range of scores, how often an answer is a labeled face; and the mean gap to the score.

    The gap is weighted by the number of answers (expected calibration error).
    """
    scores, hits = judged(found, labels)
    at = np.clip((scores * bins).astype(int), 0, bins - 1)
    table = [
        {
            "from": number / bins,
            "to": (number + 1) / bins,
            "answers": int((at == number).sum()),
            "mean_score": _mean(scores[at == number]),
            "hits": share(hits[at == number]),
        }
        for number in range(bins)
    ]
    gaps = [abs(float((scores - hits)[at == number].sum())) for number in range(bins)]
    return {"bins": table, "expected_error": sum(gaps) / len(scores) if len(scores) else None}


def point_errors(found: Sequence[Found], labels: Sequence[Annotation]) -> list[PointError]:
    """Return the errors of every labeled face whose five points are known.

    A face's answer is the largest box that holds the center of its labeled points; without one it is missed, which is
    counted, and bears on no error.
    """
    result = []
    for picture, (one, faces) in enumerate(zip(found, labels, strict=True)):
        for face in np.flatnonzero(~np.isnan(faces.points).any(axis=(1, 2)) & ~faces.ignored):
            points = faces.points[face]
            across = np.asarray(points[1] - points[0], np.float64)
            answer = holder(one, points.mean(axis=0))
            off = np.linalg.norm(one.points[answer] - points, axis=1) / np.hypot(*across) if answer >= 0 else None
            roll = abs(float(np.degrees(np.arctan2(across[1], across[0]))))
            result.append(
                PointError(
                    picture=picture,
                    face=int(face),
                    height=float(faces.boxes[face, 3]),
                    roll=roll,
                    errors=off,
                    detection=answer,
                )
            )
    return result


def holder(found: Found, place: NDArray[np.float32]) -> int:
    """Return the index of the largest box that holds a place (x, y); -1 where none does."""
    low, high = found.boxes[:, :2], found.boxes[:, :2] + found.boxes[:, 2:]
    holds = ((low <= place) & (place <= high)).all(axis=1)
    return int((found.boxes[:, 2] * found.boxes[:, 3] * holds).argmax()) if holds.any() else -1


def point_figures(faces: Sequence[PointError]) -> dict[str, Any]:
    """Return all figures of the points: mean over a face's five points, then mean, median and 95th percentile."""
    of_faces = np.array([_mean_error(face) for face in faces], np.float64)
    known = ~np.isnan(of_faces)
    heights, rolls = np.array([face.height for face in faces]), np.array([face.roll for face in faces])
    each = np.array([face.errors for face in faces if face.errors is not None]).reshape(-1, 5)
    return {
        **_faces(of_faces),
        "by_point": {name: _summary(each[:, number]) for number, name in enumerate(POINT_NAMES)},
        "by_height": _by(heights, POINT_HEIGHTS, lambda part: _faces(of_faces[part])),
        "by_roll": _by(rolls, ROLLS, lambda part: _faces(of_faces[part])),
        "histogram": {
            "edges": list(ERROR_EDGES),
            "all": histogram(of_faces[known]),
            "by_point": {name: histogram(each[:, number]) for number, name in enumerate(POINT_NAMES)},
            "by_height": _by(heights, POINT_HEIGHTS, lambda part: histogram(of_faces[part & known])),
            "by_roll": _by(rolls, ROLLS, lambda part: histogram(of_faces[part & known])),
        },
    }


def histogram(errors: NDArray[np.float64]) -> list[int]:
    """Return how many errors lie between the edges; those beyond the last edge count in the last bin."""
    inside = np.minimum(errors, ERROR_EDGES[-1] - 1e-6)
    return [int(count) for count in np.histogram(inside, np.array(ERROR_EDGES))[0]]


def share(values: NDArray[np.bool_]) -> float | None:
    """Return the share of true ones; None of nothing."""
    return float(values.mean()) if len(values) else None


def span_name(span: tuple[float, float]) -> str:
    """Return the name of a range of whole numbers: `<32`, `32-63`, `>=128`."""
    low, high = span
    if np.isinf(high):
        return f">={low:.0f}"
    return f"<{high:.0f}" if low == 0 else f"{low:.0f}-{high - 1:.0f}"


def _mean_error(face: PointError) -> float:
    return float("nan") if face.errors is None else float(face.errors.mean())


def _faces(errors: NDArray[np.float64]) -> dict[str, Any]:
    """Return the figures of some faces; an error that is no number is a missed face."""
    missed = int(np.isnan(errors).sum())
    return {
        "faces": len(errors),
        "missed": missed,
        "found": (len(errors) - missed) / len(errors) if len(errors) else None,
        **_summary(errors[~np.isnan(errors)]),
    }


def _summary(values: NDArray[np.float64]) -> dict[str, float | None]:
    if not len(values):
        return {"mean": None, "median": None, "p95": None}
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "p95": float(np.percentile(values, 95)),
    }


def _by(
    values: NDArray[np.float64], spans: Sequence[tuple[float, float]], figure: Callable[[NDArray[np.bool_]], Any]
) -> dict[str, Any]:
    return {span_name(span): figure(_within(values, span)) for span in spans}


def _within(values: NDArray[np.float64], span: tuple[float, float]) -> NDArray[np.bool_]:
    return (values >= span[0]) & (values < span[1])


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None
