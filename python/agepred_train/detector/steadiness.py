"""How steady ages and points are while a picture moves and grows a little, and how alike two precisions are."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agepred_edge import Detection, Face, FaceDetector
from agepred_train.archive import StoredPicture
from agepred_train.detector import measure
from agepred_train.detector.annotations import POINT_NAMES, Annotation
from agepred_train.detector.measure import Found, PointError
from agepred_train.detector.survey import Clock, Column, Picture, found_of, look, resized
from agepred_train.progress import progress_bar

SHIFTS = ((1, 0), (0, -1), (2, 1), (-2, 3), (3, -3), (4, 0), (0, 5), (-5, -4), (6, 2), (-7, 6), (8, -8), (-8, 7))
"""Pixels by which a picture is moved right and down; what comes into view repeats the edge. No resampling."""
SCALES = (0.9, 0.925, 0.95, 0.975, 1.025, 1.05, 1.075, 1.1)
"""Sizes of the picture, resampled bicubically (widened by Pillow where it shrinks)."""
FACE_HEIGHTS = (150, 300, 450, 600)
"""Heights in pixels of the faces on which two precisions are compared."""
_UNSHRUNK = 4096  # the detector's largest side: faces shall reach the network at the size that is asked for
_USUAL = 640


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variant:
    """A picture, moved or resized, and how its pixels lie in the original: (x, y) * scale + offset."""

    picture: Picture
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


def steadiness(pictures: Sequence[StoredPicture], columns: Sequence[Column], clock: Clock) -> dict[str, Any]:
    """Return, for each column, how much age and points of one face vary.

    The largest face of each variant counts. A face needs three answers among the variants of a kind; variants without
    an answer are counted as missed. Ages in years: standard deviation over a face's answers, then the mean over faces.
    Points: root mean square distance from their mean place over the distance between the eyes, then the mean.
    """
    asked = {column.name: column.estimator() if column.age_model else column.detector() for column in columns}
    answers: dict[str, list[list[_Answer | None]]] = {column.name: [] for column in columns}
    with progress_bar() as progress:
        for stored in progress.track(pictures, description="steadiness"):
            variants = _variants(stored.read_picture())
            for name, model in asked.items():
                begin = time.perf_counter()
                answers[name].append([_answer(look(model, variant.picture), variant) for variant in variants])
                clock.add(name, time.perf_counter() - begin)
    return {name: spread(of_column) for name, of_column in answers.items()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Answer:
    """The largest face of a variant."""

    points: NDArray[np.float64]
    """In pixels of the original, [5, 2]."""
    age: float
    """Years; NaN where no age was asked for."""


def spread(faces: Sequence[Sequence[_Answer | None]]) -> dict[str, Any]:
    """Return the figures of a column: answers of each face to the original, the shifts and the scales, in order."""
    shifts, scales = slice(0, 1 + len(SHIFTS)), [0, *range(1 + len(SHIFTS), 1 + len(SHIFTS) + len(SCALES))]
    parts = {
        "all": [list(face) for face in faces],
        "shifts": [list(face[shifts]) for face in faces],
        "scales": [[face[number] for number in scales] for face in faces],
    }
    return {
        "faces": len(faces),
        "variants": 1 + len(SHIFTS) + len(SCALES),
        "missed": sum(answer is None for face in faces for answer in face),
        **{name: _spread_of(part) for name, part in parts.items()},
    }


def _spread_of(faces: Sequence[Sequence[_Answer | None]]) -> dict[str, Any]:
    ages, points = [], []
    for face in faces:
        known = [answer for answer in face if answer is not None]
        if len(known) < 3:
            continue
        ages.append(float(np.std([answer.age for answer in known])))
        places = np.stack([answer.points for answer in known])
        mean = places.mean(axis=0)
        apart = np.linalg.norm(mean[1] - mean[0])
        points.append(np.sqrt(((places - mean) ** 2).sum(axis=2).mean(axis=0)) / max(apart, 1e-9))
    if not points:
        return {"faces": 0, "age_stddev": None, "age_stddev_p95": None, "points_stddev": None, "by_point": None}
    by_point = np.mean(points, axis=0)
    with_ages = not np.isnan(ages).any()
    return {
        "faces": len(points),
        "age_stddev": float(np.mean(ages)) if with_ages else None,
        "age_stddev_p95": float(np.percentile(ages, 95)) if with_ages else None,
        "points_stddev": float(by_point.mean()),
        "by_point": {name: float(value) for name, value in zip(POINT_NAMES, by_point, strict=True)},
    }


def large_faces(
    pictures: Sequence[tuple[StoredPicture, Annotation | None]], int8: Column, fp32: Column, clock: Clock
) -> dict[str, dict[str, Any]]:
    """Return how two precisions agree on pictures resized so that the face has each of FACE_HEIGHTS.

    The face is the highest label with five points; without labels it is fp32's surest answer on the picture as it is,
    at the usual longer side.
    Pictures without either are left out and counted. An answer is the face's as in `measure.point_errors`: the largest
    box that holds the center of its points. `int8_error` and `fp32_error` are the mean errors of the points where each
    finds the face; `points` is the mean distance between both answers' points where both do. All are shares of the
    face's distance between the eyes. `large_faces` is at full size, `large_faces_640` at the usual longer side.
    """
    sides = {"large_faces": _UNSHRUNK, "large_faces_640": _USUAL}
    detectors = {
        (kind, column.name): column.detector(max_side=side) for kind, side in sides.items() for column in (int8, fp32)
    }
    tally: dict[tuple[str, int], list[tuple[PointError, PointError, float]]] = {
        (kind, height): [] for kind in sides for height in FACE_HEIGHTS
    }
    without = 0
    with progress_bar() as progress:
        for stored, labels in progress.track(pictures, description="int8 and fp32 on large faces"):
            picture = stored.read_picture()
            face = _labeled_face(labels) if labels is not None else None
            face = face or _surest_face(detectors["large_faces_640", fp32.name], picture)
            if face is None:
                without += 1
                continue
            for height in FACE_HEIGHTS:
                shown, wanted = _with_face(picture, face, height)
                for kind in sides:
                    answers = {}
                    for column in (int8, fp32):
                        begin = time.perf_counter()
                        answers[column.name] = found_of(look(detectors[kind, column.name], shown))
                        clock.add(column.name, time.perf_counter() - begin)
                    tally[kind, height].append(_beside(answers[int8.name], answers[fp32.name], wanted))
    return {
        kind: {
            "pictures": {"asked": len(pictures), "without_face": without},
            **{str(height): _agreement(tally[kind, height]) for height in FACE_HEIGHTS},
        }
        for kind in sides
    }


def _labeled_face(labels: Annotation) -> Annotation | None:
    """Return the highest label whose five points are known."""
    known = np.flatnonzero(~np.isnan(labels.points).any(axis=(1, 2)) & ~labels.ignored)
    if not len(known):
        return None
    highest = known[labels.boxes[known, 3].argmax()]
    return Annotation.of(labels.boxes[[highest]], labels.points[[highest]])


def _surest_face(detector: FaceDetector, picture: Picture) -> Annotation | None:
    found = found_of(look(detector, picture))
    return Annotation.of(found.boxes[:1], found.points[:1]) if len(found.boxes) else None


def _beside(int8: Found, fp32: Found, face: Annotation) -> tuple[PointError, PointError, float]:
    """Return both answers' errors, and how far their points are apart; NaN where not both find the face."""
    one, other = measure.point_errors([int8, fp32], [face, face])
    if one.errors is None or other.errors is None:
        return one, other, float("nan")
    eyes = np.linalg.norm(face.points[0, 1] - face.points[0, 0])
    distances = np.linalg.norm(int8.points[one.detection] - fp32.points[other.detection], axis=1)
    return one, other, float(distances.mean() / max(float(eyes), 1e-9))


def _agreement(faces: Sequence[tuple[PointError, PointError, float]]) -> dict[str, Any]:
    apart = [distance for _, _, distance in faces if not np.isnan(distance)]
    answers = {"int8": [one for one, _, _ in faces], "fp32": [other for _, other, _ in faces]}
    errors = {
        name: [float(answer.errors.mean()) for answer in of_model if answer.errors is not None]
        for name, of_model in answers.items()
    }
    return {
        "faces": len(faces),
        **{f"{name}_found": len(known) for name, known in errors.items()},
        **{f"{name}_error": float(np.mean(known)) if known else None for name, known in errors.items()},
        "both_found": len(apart),
        "points": float(np.mean(apart)) if apart else None,
        "points_worst": max(apart) if apart else None,
    }


def _with_face(picture: Picture, face: Annotation, wanted: int) -> tuple[Picture, Annotation]:
    """Return the picture resized so that its face has a height, and the face there."""
    factor = wanted / float(face.boxes[0, 3])
    before = picture.shape[1::-1]
    width, height = (max(1, round(length * factor)) for length in before)
    shown = resized(picture, width, height, Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC)
    scale = np.array([width / before[0], height / before[1]], np.float32)
    return shown, Annotation.of(face.boxes * np.tile(scale, 2), face.points * scale)


def _variants(picture: Picture) -> list[_Variant]:
    """Return the original, the shifted and the scaled ones, in that order."""
    result = [_Variant(picture=picture)]
    result += [_Variant(picture=shifted(picture, *shift), offset=(-shift[0], -shift[1])) for shift in SHIFTS]
    height, width = picture.shape[:2]
    for scale in SCALES:
        size = (round(width * scale), round(height * scale))
        seen = resized(picture, *size, Image.Resampling.BICUBIC)
        result.append(_Variant(picture=seen, scale=(width / size[0], height / size[1])))
    return result


def shifted(picture: Picture, right: int, down: int) -> Picture:
    """Return the picture moved by whole pixels; what comes into view repeats the edge."""
    height, width = picture.shape[:2]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return np.ascontiguousarray(picture[rows][:, columns])


def _answer(faces: Sequence[Detection], variant: _Variant) -> _Answer | None:
    if not faces:
        return None
    points = np.asarray(faces[0].landmarks, np.float64) * variant.scale + variant.offset
    age = faces[0].age if isinstance(faces[0], Face) else float("nan")
    return _Answer(points=points, age=age)
