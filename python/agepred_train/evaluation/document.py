"""One evaluation: several models on the same pictures, their figures side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import agepred_edge
from agepred_edge import FaceDetector
from agepred_train.data import Sample
from agepred_train.evaluation.ask import Question, answers_file, evaluate_file, files_of, record_of
from agepred_train.evaluation.bootstrap import LEVEL, RESAMPLES, SEED
from agepred_train.evaluation.comparison import compare
from agepred_train.evaluation.degradations import DEGRADATIONS
from agepred_train.evaluation.figures import brief, measure
from agepred_train.evaluation.others import constant, ensemble, read_predictions
from agepred_train.evaluation.predictions import Answers
from agepred_train.storage import sha256_of_file, write_json

ENSEMBLE = "ensemble"
MEDIAN = "median"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What shall be measured."""

    question: Question
    models: Mapping[str, Path]
    """Age models by the name of their column, in order."""
    outputs: Mapping[str, Path]
    """Folder for each model's answers."""
    predictions: Mapping[str, Path] = field(default_factory=dict)
    """Other people's answers, by the name of their column."""
    ensemble: bool = False
    """Whether the average of all models is one more column."""
    degrade: bool = False
    """Whether every model answers the degraded pictures, too."""

    def __post_init__(self) -> None:
        """Check what can be checked without a file."""
        if not self.models and not self.predictions:
            raise ValueError("nothing to measure: name a model, or predictions")
        taken = {*self.models, *((ENSEMBLE,) if self.ensemble else ()), MEDIAN}
        if clash := taken & set(self.predictions) or {ENSEMBLE, MEDIAN} & set(self.models):
            raise ValueError(
                f"two columns would be called {min(clash)!r}; give the predictions or the file another name"
            )
        if self.ensemble and len(self.models) < 2:
            raise ValueError("an ensemble needs two models or more")

    def answers_of(self, name: str, degradation: str = "") -> Path:
        """Return the CSV of a column's answers; `degradation` is one of DEGRADATIONS, or empty."""
        return answers_file(self.outputs[name], self.models[name], self.question, degradation)

    def files(self) -> tuple[Path, ...]:
        """Return the files that a measurement reads or writes beside the pictures: nothing else may go into them."""
        kinds = ("", *(DEGRADATIONS if self.degrade else ()))
        written = [path for name in self.models for kind in kinds for path in files_of(self.answers_of(name, kind))]
        return (*written, *self.models.values(), *self.predictions.values())


@dataclass(slots=True, kw_only=True)
class Evaluation:
    """What was measured."""

    request: Request
    samples: Sequence[Sample]
    answers: dict[str, Answers] = field(default_factory=dict)
    """By column."""
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each column is, with hashes; JSON-ready."""
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What `measure` says, by column."""
    degraded: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Figures of degraded pictures, by column."""
    compared: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The first column against each other one."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the answers, JSON-ready."""
        question = self.request.question
        return {
            "agepred": agepred_edge.__version__,
            "data": {
                "name": question.labeled.name,
                "split": question.named_split,
                "limit": question.limit,
                "pictures": len(self.samples),
                "sha256": dict(question.labeled.hashes),
            },
            "median_train_age": question.median_age,
            "bootstrap": {"resamples": RESAMPLES, "level": LEVEL, "seed": SEED},
            "columns": self.columns,
            "figures": self.figures,
            "degraded": self.degraded,
            "compared": self.compared,
        }


def evaluate(request: Request, finder: FaceDetector) -> Evaluation:
    """Measure all columns: models, their ensemble, other people's predictions, the constant median.

    Each model's answers are written to `outputs`, and read from there where they stand already.

    Raises:
        AgepredError: a model cannot be used.
        DataError: there are no pictures, or predictions are not what they must be.
    """
    question = request.question
    evaluation = Evaluation(request=request, samples=question.samples())
    # Read first: a faulty file is told before the minutes that the models take.
    others = {
        name: read_predictions(path, evaluation.samples, question.median_age)
        for name, path in request.predictions.items()
    }
    for name, model in request.models.items():
        _ask_model(evaluation, finder, name, model)
    if request.ensemble:
        members = [evaluation.answers[name] for name in request.models]
        _add(evaluation, ENSEMBLE, ensemble(members, evaluation.samples, question.median_age), {"kind": "ensemble"})
    for name, answers in others.items():
        path = request.predictions[name]
        described = {"kind": "predictions", "file": path.name, "sha256": sha256_of_file(path)}
        _add(evaluation, name, answers, described)
    _add(evaluation, MEDIAN, constant(evaluation.samples, question.median_age), {"kind": "constant"})
    first, *rest = evaluation.answers
    evaluation.compared = {
        name: compare(evaluation.answers[first], evaluation.answers[name]) for name in rest if name != MEDIAN
    }
    return evaluation


def _ask_model(evaluation: Evaluation, finder: FaceDetector, name: str, model: Path) -> None:
    request = evaluation.request
    out = request.answers_of(name)
    answers, record = evaluate_file(model, finder, request.question, out, title=name)
    described = {
        "kind": "model",
        "file": model.name,
        "sha256": record["model_sha256"],
        "bytes": model.stat().st_size,
        **{key: record[key] for key in ("detector_sha256", "points_sha256", "core_sha256", "predictions_sha256")},
    }
    _add(evaluation, name, answers, described)
    # A release reads the figures of this model alone.
    write_json(record_of(out), record | {"figures": evaluation.figures[name]})
    if request.degrade:
        evaluation.degraded[name] = _degraded(evaluation, finder, name, model)


def _degraded(evaluation: Evaluation, finder: FaceDetector, name: str, model: Path) -> dict[str, Any]:
    """Return figures by degradation, and the worst MAE minus that of the pictures as they are, in years."""
    request = evaluation.request
    rows = {}
    for degradation in DEGRADATIONS:
        out = request.answers_of(name, degradation)
        answers, _ = evaluate_file(
            model, finder, request.question, out, degradation=degradation, title=f"{name}, {degradation}"
        )
        rows[degradation] = brief(answers)
    clean = evaluation.figures[name]["mae"]
    worst = max(rows, key=lambda key: rows[key]["mae"]) if clean is not None else None
    return {
        "rows": rows,
        "worst": worst,
        "worst_minus_clean": rows[worst]["mae"] - clean if worst is not None else None,
    }


def _add(evaluation: Evaluation, name: str, answers: Answers, described: dict[str, Any]) -> None:
    evaluation.answers[name] = answers
    evaluation.columns[name] = described
    evaluation.figures[name] = measure(answers)
