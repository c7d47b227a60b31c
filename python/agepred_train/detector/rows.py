"""The rows of the comparison: each shows its pictures to all detectors and hands what they find to `measure`."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from agepred_train.archive import StoredPicture
from agepred_train.detector import measure
from agepred_train.detector.annotations import AnnotatedPicture, Annotation
from agepred_train.detector.evaluation import Evaluation
from agepred_train.detector.held_out import Absent, Part, held_back_backgrounds, labeled_part, plain_part
from agepred_train.detector.steadiness import large_faces, steadiness
from agepred_train.detector.survey import Column, Picture, View, shrunk, survey, tiles, turned, turned_points, whole
from agepred_train.detector.teach import Teacher, Teaching
from agepred_train.detector.worst import box_cases, false_cases, point_cases
from agepred_train.graph import read_keys, read_model
from agepred_train.progress import progress_bar

LOWEST_SCORE = 0.02
"""Threshold of the runs that precision-recall curves and calibration come from."""
LOW_SCORE = 0.3
"""Second threshold at which answers on backgrounds are counted."""
TILE = 320
"""Side of the squares that backgrounds are cut into."""
TILE_SCALES = (0.5, 1.0, 2.0)
TURNS = (40, -40)
"""Degrees, counterclockwise."""
SMALLEST = 32.0
"""Height in pixels from which answers without a label are counted."""

_CURVE_POINTS = 200
_CHIPS: dict[Part, tuple[str, ...]] = {
    "test": ("fairface_test", "portraits", "utkface"),
    "val": ("fairface", "utkface"),
}


def landmarks(evaluation: Evaluation, data: Path) -> None:
    """Errors of the points, on pictures as packed and shrunk to a quarter."""
    pictures = evaluation.use("landmarks", *labeled_part(data, "landmarks", evaluation.request.split))
    views: dict[str, View] = {"full": whole, "quarter": shrunk(4)}
    found = survey("landmarks", _stored(pictures), views, evaluation.detectors("work"), evaluation.clock)
    sizes = _sizes(pictures)
    quarter = [_shrunk_labels(picture.faces, size, 4) for picture, size in zip(pictures, sizes, strict=True)]
    labels = {"full": [picture.faces for picture in pictures], "quarter": quarter}
    for view, faces in labels.items():
        figures = evaluation.rows.setdefault(f"landmarks_{view}", {})
        for column in evaluation.request.columns:
            answers = found[column.name, "work", view]
            errors = measure.point_errors(answers, faces)
            figures[column.name] = measure.point_figures(errors)
            if view == "full":
                evaluation.cases += point_cases(column.name, pictures, answers, errors)


def rolled(evaluation: Evaluation, data: Path) -> None:
    """Faces found and errors of their points, on whole turned pictures with gray around them."""
    pictures = evaluation.use("landmarks", *labeled_part(data, "landmarks", evaluation.request.split))
    sizes: dict[str, list[tuple[int, int]]] = {str(turn): [] for turn in TURNS}
    views = {str(turn): _noting(turned(turn), sizes[str(turn)]) for turn in TURNS}
    found = survey("turned", _stored(pictures), views, evaluation.detectors("work"), evaluation.clock)
    before = _sizes(pictures)
    figures: dict[str, Any] = {}
    for column in evaluation.request.columns:
        each = {
            turn: measure.point_errors(
                found[column.name, "work", turn],
                [
                    Annotation.of(
                        picture.faces.boxes, turned_points(picture.faces.points, float(turn), size, sizes[turn][number])
                    )
                    for number, (picture, size) in enumerate(zip(pictures, before, strict=True))
                ],
            )
            for turn in views
        }
        both = measure.point_figures([error for errors in each.values() for error in errors])
        figures[column.name] = {**both, "by_turn": {turn: _brief(errors) for turn, errors in each.items()}}
    evaluation.rows["rolled"] = figures


def scenes(evaluation: Evaluation, data: Path) -> None:
    """Average precision and recall of labeled faces, with a longer side of 640 and of 320."""
    pictures = _scan_scenes(evaluation, data)
    for side in (640, 320):
        box_figures(evaluation, f"scenes_{side}", pictures)


def unconfirmed(evaluation: Evaluation, data: Path) -> None:
    """Answers that no label confirms, nor the teacher.

    `unlabeled` meet no label; `unsure` neither a label nor a face of which the teacher is sure (two looks agree, one of
    them above 0.6); `unconfirmed` none of the teacher's merged answers either. A teacher confirms itself: where it is
    also a column, compare `unlabeled` and `unsure`.
    """
    if evaluation.request.teacher is None:
        raise Absent("no teacher: name a face model with --teacher")
    pictures = _scan_scenes(evaluation, data)
    teacher = Teacher(evaluation.request.teacher, Teaching(min_score=LOW_SCORE))
    with progress_bar() as progress:
        known = [
            (picture.faces.boxes, said.boxes[~said.ignored], said.boxes)
            for picture in progress.track(pictures, description="teacher")
            for said, _ in [teacher.faces(picture.stored.read_picture())]
        ]
    figures: dict[str, Any] = {}
    for column in evaluation.request.columns:
        counts = dict.fromkeys(("answers", "unlabeled", "unsure", "unconfirmed"), 0)
        answers = evaluation.answers["scenes_640", column.name, "work"]
        for picture, one, (labels, sure, any_of) in zip(pictures, answers, known, strict=True):
            large = one.boxes[:, 3] >= SMALLEST
            unlabeled = large & ~measure.confirmed(one, labels)
            unsure = unlabeled & ~measure.confirmed(one, sure)
            nobody = unlabeled & ~measure.confirmed(one, any_of)
            for name, kind in zip(counts, (large, unlabeled, unsure, nobody), strict=True):
                counts[name] += int(kind.sum())
            evaluation.cases += false_cases(
                column=column.name,
                kind="answers on scenes that neither a label nor a sure answer of the teacher confirms",
                name=picture.stored.name,
                load=picture.stored.read_picture,
                labels=labels,
                found=one,
                false=np.flatnonzero(unsure),
            )
        shares = {f"{name}_per_picture": count / len(pictures) for name, count in counts.items()}
        figures[column.name] = {"pictures": len(pictures), **counts, **shares}
    evaluation.rows["unconfirmed"] = figures


def calibration(evaluation: Evaluation, data: Path) -> None:
    """How often an answer of each score is a labeled face of the scenes."""
    calibrate(evaluation, "scenes_640", _scan_scenes(evaluation, data), row="calibration")


def backgrounds(evaluation: Evaluation, data: Path) -> None:
    """Answers on pictures without a face, cut into tiles at three scales, mirrored and not."""
    pictures = evaluation.use("backgrounds", *held_back_backgrounds(data, evaluation.request.split))
    places: dict[str, list[tuple[int, int]]] = {}
    plain: dict[str, View] = {}
    views: dict[str, View] = {}
    for scale in TILE_SCALES:
        for mirrored in (False, True):
            name = f"{scale:g}{' mirrored' if mirrored else ''}"
            places[name], plain[name] = [], tiles(TILE, scale, mirrored=mirrored)
            views[name] = _numbered(plain[name], places[name])
    detectors = {**evaluation.detectors("work"), **evaluation.detectors("low", min_score=LOW_SCORE)}
    found = survey("backgrounds", pictures, views, detectors, evaluation.clock)
    figures: dict[str, Any] = {}
    for column in evaluation.request.columns:
        figures[column.name] = {"tiles": sum(len(where) for where in places.values())}
        for purpose, name in (("work", "working"), ("low", f"at_{LOW_SCORE}")):
            counts = {view: sum(len(one.boxes) for one in found[column.name, purpose, view]) for view in views}
            total = sum(counts.values())
            figures[column.name][name] = {
                "answers": total,
                "per_1000_tiles": 1000 * total / figures[column.name]["tiles"],
                "by_view": counts,
            }
        for view, where in places.items():
            for (picture, tile), one in zip(where, found[column.name, "low", view], strict=True):
                evaluation.cases += false_cases(
                    column=column.name,
                    kind="answers on backgrounds",
                    name=pictures[picture].name,
                    load=partial(_piece, pictures[picture], plain[view], tile),
                    labels=np.empty((0, 4), np.float32),
                    found=one,
                    false=np.arange(len(one.boxes)),
                )
    evaluation.rows["backgrounds"] = figures


def chips(evaluation: Evaluation, data: Path) -> None:
    """Pictures of one face in which at least one is found, at full and at half size."""
    figures: dict[str, dict[str, Any]] = {column.name: {} for column in evaluation.request.columns}
    views: dict[str, View] = {"full": whole, "half": shrunk(2)}
    parts = {name: plain_part(data, name, evaluation.request.split) for name in _CHIPS[evaluation.request.split]}
    for name, part in parts.items():
        pictures = evaluation.use(name, *part)
        found = survey(name, pictures, views, evaluation.detectors("work"), evaluation.clock)
        for column in evaluation.request.columns:
            figures[column.name][name] = {
                "pictures": len(pictures),
                **{view: sum(len(one.boxes) > 0 for one in found[column.name, "work", view]) for view in views},
            }
    evaluation.rows["chips"] = figures


def int8_vs_fp32(evaluation: Evaluation, data: Path) -> None:
    """How far an int8 model's points and recall are from those of the fp32 model that it was made of."""
    pairs = _precisions(evaluation.request.columns)
    single = _labeled_single_faces(evaluation, data)
    evaluation.rows["int8_vs_fp32"] = {
        int8.name: {**large_faces(single, int8, fp32, evaluation.clock), **_apart(evaluation, int8, fp32)}
        for int8, fp32 in pairs
    }


def _precisions(columns: Sequence[Column]) -> list[tuple[Column, Column]]:
    """Return each int8 model and its fp32 sibling, measured alike.

    Raises:
        Absent: there is no such pair.
    """
    int8, fp32 = ([column for column in columns if column.model.stem == stem] for stem in ("int8", "fp32"))
    if not int8 or not fp32:
        raise Absent("needs two models whose files are named int8.onnx and fp32.onnx")
    pairs = []
    for one in int8:
        other = next((column for column in fp32 if _terms(column) == _terms(one)), None)
        if other is not None:
            pairs.append((one, other))
    if not pairs:
        raise Absent(
            "int8.onnx and fp32.onnx are not of one training run (agepred.record), or not measured alike: both need "
            "a refiner of one run, or none, and the same threshold"
        )
    return pairs


def _terms(column: Column) -> tuple[str | float | None, ...]:
    """Return what two precisions must share: the training runs of the model and of its refiner, and the threshold."""
    keys, refiner = read_keys(read_model(column.model)), column.refiner()
    score = keys.get("agepred.face.min_score") if column.min_score is None else column.min_score
    points = "none" if refiner is None else read_keys(read_model(refiner)).get("agepred.record", "")
    return keys.get("agepred.record"), points, None if score is None else float(score)


def _apart(evaluation: Evaluation, int8: Column, fp32: Column) -> dict[str, dict[str, float]]:
    """Return int8's figures minus fp32's, in percentage points, of the rows that were measured before."""
    figures: dict[str, dict[str, float]] = {}
    differences = {
        "landmarks_full": ("mean", "p95", "found"),
        "landmarks_quarter": ("mean", "p95", "found"),
        "scenes_640": ("ap", "recall_from_32"),
        "scenes_320": ("ap", "recall_from_32"),
    }
    for row, names in differences.items():
        if row in evaluation.rows:
            one, other = evaluation.rows[row][int8.name], evaluation.rows[row][fp32.name]
            known = [name for name in names if one[name] is not None and other[name] is not None]
            figures[row] = {f"{name}_points": 100 * (one[name] - other[name]) for name in known}
    return figures


def steady(evaluation: Evaluation, data: Path) -> None:
    """How much age and points of one face vary while the picture moves and grows a little."""
    pictures = _single_faces(evaluation, data)
    evaluation.rows["steadiness"] = steadiness(pictures, evaluation.request.columns, evaluation.clock)


def scan(evaluation: Evaluation, name: str, pictures: Sequence[AnnotatedPicture], max_side: int) -> None:
    """Keep what every detector finds at the lowest threshold and at the working one."""
    detectors = {
        **evaluation.detectors("curve", min_score=LOWEST_SCORE, max_side=max_side),
        **evaluation.detectors("work", max_side=max_side),
    }
    found = survey(name, _stored(pictures), {"": whole}, detectors, evaluation.clock)
    evaluation.answers.update({(name, column, purpose): found[column, purpose, ""] for column, purpose in detectors})


def box_figures(evaluation: Evaluation, name: str, pictures: Sequence[AnnotatedPicture]) -> None:
    """Fill the row of a scanned set: average precision, curve, recall by height, precision at the threshold."""
    labels = [picture.faces for picture in pictures]
    figures = evaluation.rows.setdefault(name, {})
    for column in evaluation.request.columns:
        curve = measure.precision_recall(evaluation.answers[name, column.name, "curve"], labels)
        working = evaluation.answers[name, column.name, "work"]
        recall = measure.recall_by_height(working, labels)
        _, hits = measure.judged(working, labels)
        thinned = np.unique(np.linspace(0, max(0, len(curve.scores) - 1), _CURVE_POINTS).astype(int))
        kept = thinned[: len(curve.scores)]
        figures[column.name] = {
            "ap": curve.average_precision,
            "faces": recall["all"]["faces"],
            "recall_from_32": recall[">=32"]["recall"],
            "recall": recall,
            "answers": len(hits),
            "precision": measure.share(hits),
            "curve": {
                "score": [round(float(value), 4) for value in curve.scores[kept]],
                "recall": [round(float(value), 5) for value in curve.recall[kept]],
                "precision": [round(float(value), 5) for value in curve.precision[kept]],
            },
        }
        if name != "scenes_320":  # the same pictures again
            evaluation.cases += box_cases(column.name, pictures, working)


def calibrate(evaluation: Evaluation, name: str, pictures: Sequence[AnnotatedPicture], row: str | None = None) -> None:
    """Fill the row of the score's calibration on a scanned set."""
    labels = [picture.faces for picture in pictures]
    evaluation.rows[row or f"{name}_calibration"] = {
        column.name: measure.calibration(evaluation.answers[name, column.name, "curve"], labels)
        for column in evaluation.request.columns
    }


def point_figures_of(evaluation: Evaluation, name: str, pictures: Sequence[AnnotatedPicture]) -> None:
    """Fill the row of the points' errors on a scanned set."""
    labels = [picture.faces for picture in pictures]
    figures = evaluation.rows.setdefault(f"{name}_points", {})
    for column in evaluation.request.columns:
        answers = evaluation.answers[name, column.name, "work"]
        errors = measure.point_errors(answers, labels)
        figures[column.name] = measure.point_figures(errors)
        evaluation.cases += point_cases(column.name, pictures, answers, errors)


def _scan_scenes(evaluation: Evaluation, data: Path) -> list[AnnotatedPicture]:
    """Return the pictures, scanned once for all rows."""
    pictures = evaluation.use("scenes", *labeled_part(data, "scenes", evaluation.request.split))
    for side in (640, 320):
        if not any(name == f"scenes_{side}" for name, _, _ in evaluation.answers):
            scan(evaluation, f"scenes_{side}", pictures, side)
    return pictures


def _single_faces(evaluation: Evaluation, data: Path) -> list[StoredPicture]:
    """Return portraits; they are for tests only, so `val` takes the pictures of labeled points."""
    return [stored for stored, _ in _labeled_single_faces(evaluation, data)]


def _labeled_single_faces(evaluation: Evaluation, data: Path) -> list[tuple[StoredPicture, Annotation | None]]:
    """Return the pictures of `_single_faces`, with the labels of those that have some."""
    if evaluation.request.split == "test":
        return [(stored, None) for stored in evaluation.use("portraits", *plain_part(data, "portraits", "test"))]
    pictures = evaluation.use("landmarks", *labeled_part(data, "landmarks", evaluation.request.split))
    return [(picture.stored, picture.faces) for picture in pictures]


def _stored(pictures: Sequence[AnnotatedPicture]) -> list[StoredPicture]:
    return [picture.stored for picture in pictures]


def _sizes(pictures: Sequence[AnnotatedPicture]) -> list[tuple[int, int]]:
    """Return width and height of each picture."""
    shapes = [picture.stored.read_picture().shape for picture in pictures]
    return [(shape[1], shape[0]) for shape in shapes]


def _shrunk_labels(faces: Annotation, size: tuple[int, int], divisor: int) -> Annotation:
    factor = np.array([max(1, round(length / divisor)) / length for length in size], np.float32)
    return Annotation.of(faces.boxes * np.tile(factor, 2), faces.points * factor, faces.ignored)


def _noting(view: View, sizes: list[tuple[int, int]]) -> View:
    """Return the view, which notes width and height of what it shows."""

    def see(picture: Picture) -> Sequence[Picture]:
        shown = view(picture)
        sizes.extend((piece.shape[1], piece.shape[0]) for piece in shown)
        return shown

    return see


def _numbered(view: View, places: list[tuple[int, int]]) -> View:
    """Return the view, which notes the picture's and the piece's number of each piece that it shows."""

    def see(picture: Picture) -> Sequence[Picture]:
        shown = view(picture)
        number = places[-1][0] + 1 if places else 0
        places.extend((number, piece) for piece in range(len(shown)))
        return shown

    return see


def _piece(stored: StoredPicture, view: View, piece: int) -> Picture:
    """Return one of the pieces that a view shows of a picture."""
    return view(stored.read_picture())[piece]


def _brief(errors: Sequence[measure.PointError]) -> dict[str, Any]:
    figures = measure.point_figures(errors)
    return {name: figures[name] for name in ("faces", "missed", "found", "mean", "median", "p95")}


ROWS: dict[str, Callable[[Evaluation, Path], None]] = {
    "landmarks": landmarks,
    "rolled": rolled,
    "scenes": scenes,
    "unconfirmed": unconfirmed,
    "calibration": calibration,
    "backgrounds": backgrounds,
    "chips": chips,
    "int8_vs_fp32": int8_vs_fp32,
    "steadiness": steady,
}
"""By name, in the order of the report; int8_vs_fp32 reads the rows before it."""
