"""Measure face detectors side by side, through the C++ core: on the held-out data, or on any labeled set.

`test` is for the end: every choice is made on `val`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agepred_train.archive import DataError
from agepred_train.detector.annotations import AnnotatedSet
from agepred_train.detector.evaluation import Evaluation, Request
from agepred_train.detector.held_out import Absent
from agepred_train.detector.rows import LOWEST_SCORE, ROWS, box_figures, calibrate, point_figures_of, scan
from agepred_train.detector.survey import survey, whole
from agepred_train.detector.teach import Teacher, Teaching
from agepred_train.detector.wider import WiderSet, wider_figures
from agepred_train.detector.worst import worst


def evaluate_rows(request: Request, data: Path, rows: Sequence[str] | None = None) -> Evaluation:
    """Measure the named rows, or all, for which there are data and models, each once, in the order of ROWS.

    Those that cannot be measured are noted in `left_out`.

    Raises:
        AgepredError: a model cannot be used.
        DataError: a set is damaged, or nothing can be measured.
        ValueError: there is no such row.
    """
    unknown = [row for row in rows or () if row not in ROWS]
    if unknown:
        raise ValueError(f"no row {unknown[0]!r}; there are {', '.join(ROWS)}")
    _try_models(request)
    evaluation = Evaluation(request=request)
    for name, measure_row in ROWS.items():
        if rows is not None and name not in rows:
            continue
        try:
            measure_row(evaluation, data)
        except Absent as reason:
            evaluation.left_out[name] = str(reason)
    if not evaluation.rows:
        raise DataError(f"{data}: nothing to measure there; {next(iter(evaluation.left_out.values()))}")
    evaluation.cases = worst(evaluation.cases)
    return evaluation


def evaluate_set(request: Request, labeled: AnnotatedSet) -> Evaluation:
    """Measure on any labeled set: curve, recall by size, calibration, and points where they are known.

    All pictures count, or those of the split where the set names splits.

    Raises:
        DataError: no picture belongs to the split, or one cannot be decoded.
    """
    evaluation = Evaluation(request=request, source="set")
    divided = has_splits(labeled)
    part = labeled.part(request.split) if divided else labeled.pictures
    if not part:
        raise DataError(f"{labeled.name}: no picture's split is {request.split}; choose another split")
    _try_models(request)
    pictures = evaluation.use(labeled.name, part, labeled.hashes)
    evaluation.data[labeled.name]["split"] = request.split if divided else None
    scan(evaluation, labeled.name, pictures, request.max_side)
    box_figures(evaluation, labeled.name, pictures)
    calibrate(evaluation, labeled.name, pictures)
    if any(not np.isnan(picture.faces.points).all() for picture in pictures):
        point_figures_of(evaluation, labeled.name, pictures)
    evaluation.cases = worst(evaluation.cases)
    return evaluation


def evaluate_wider(request: Request, wider: WiderSet) -> Evaluation:
    """Measure easy, medium and hard average precision on all of WIDER FACE's validation pictures.

    Raises:
        ValueError: a limit is set: the authors' figures are of all pictures.
    """
    if request.limit is not None:
        raise ValueError("--limit cannot be used with WIDER FACE: its figures are of all pictures")
    _try_models(request)
    evaluation = Evaluation(request=request, source="wider")
    pictures = evaluation.use("wider", wider.labeled.pictures, wider.labeled.hashes)
    found = survey(
        "WIDER FACE",
        [picture.stored for picture in pictures],
        {"": whole},
        evaluation.detectors("curve", min_score=LOWEST_SCORE, max_side=request.max_side),
        evaluation.clock,
    )
    evaluation.rows["wider"] = {
        column.name: wider_figures(found[column.name, "curve", ""], wider) for column in request.columns
    }
    return evaluation


def has_splits(labeled: AnnotatedSet) -> bool:
    """Return whether a set names splits, so that only a part of it counts."""
    return any(picture.split for picture in labeled.pictures)


def _try_models(request: Request) -> None:
    """Open every model, so that one that cannot be used is told before the first row and not after the last."""
    for column in request.columns:
        column.detector()
        if column.age_model is not None:
            column.estimator()
    if request.teacher is not None:
        Teacher(request.teacher, Teaching())
