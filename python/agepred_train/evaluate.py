"""Judge a model file through the C++ core: the same `predict` that a user calls, on every picture.

How is counted: the largest face answers for its picture; a picture without a face is answered with the
median age of the training split and its group, and so is one that cannot be decoded; ages are not rounded;
no picture is left out.
"""

import csv
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from agepred_edge import AgeEstimator, Face, FaceDetector
from agepred_edge.model_files import NO_POINTS_MODEL
from agepred_train.archive import DataError
from agepred_train.data import GENDERS, RACES, Collection, Sample, Split, median_age
from agepred_train.prepare import CORRUPT
from agepred_train.progress import progress_bar
from agepred_train.storage import replacing, sha256_of_file, write_json

# Bands of age in which errors are reported: first and last year.
BANDS = ((0, 3), (4, 8), (9, 18), (19, 28), (29, 40), (41, 60), (61, 80), (81, 116))

# Errors in years at which the cumulative score is reported.
SCORES = (1, 3, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer to one picture beside its labels; one row of the CSV."""

    name: str
    label: int
    """Labeled age in years."""
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
    """Standard deviation of the answer in years; 0 without a face."""
    low: float
    """Lower end of the interval in years; the age itself without a face."""
    high: float
    """Upper end of the interval in years."""
    label_group: str
    """Group that holds the label, such as "26-50"."""
    group: str
    """Answered group."""


def evaluate(estimator: AgeEstimator, samples: Sequence[Sample], *, median_age: float) -> list[Prediction]:
    """Ask the estimator for the age in every picture, in order.

    Args:
        estimator: model and detector under test.
        samples: labeled pictures; all are answered.
        median_age: in years, the answer where there is no face or no readable picture.
    """
    with progress_bar() as progress:
        tracked = progress.track(samples, description="evaluating")
        return [_predict(estimator, sample, median_age) for sample in tracked]


def evaluate_file(model: Path, finder: FaceDetector, collection: Collection, split: Split, out: Path) -> dict[str, Any]:
    """Evaluate a model file on a split and write `out` (a CSV of predictions) and a JSON of figures beside it.

    Faces are found with the model files of `finder`.

    The JSON names the split and, by hash, all model files, the data and the CSV. Returns what it holds.

    Raises:
        DataError: the split or the training split has no pictures, or none of the split's can be decoded.
    """
    samples = collection.part(split)
    if not samples:
        raise DataError(f"no picture belongs to the split {split}; choose another split or other data")
    median = median_age(collection.part("train"))
    points_model = finder.points_model or NO_POINTS_MODEL
    estimator = AgeEstimator(model, face_model=finder.face_model, points_model=points_model)
    predictions = evaluate(estimator, samples, median_age=median)
    if all(prediction.faces == CORRUPT for prediction in predictions):
        raise DataError(
            f"{samples[0].path}: none of {len(samples)} pictures can be decoded, first {samples[0].name}; "
            "look at the data before anything is measured on it"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    save_predictions(out, predictions)
    report = {
        "model_sha256": sha256_of_file(model),
        "detector_sha256": sha256_of_file(finder.face_model),
        "points_sha256": sha256_of_file(finder.points_model) if finder.points_model else "",
        "split": split,
        "pictures": len(samples),
        "data_sha256": collection.hashes,
        "predictions_sha256": sha256_of_file(out),
        "median_train_age": median,
        "figures": measure(predictions),
    }
    write_json(out.with_suffix(".json"), report)
    return report


def measure(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Return all figures of a set of predictions: years for errors and widths, shares from 0 to 1.

    `no_face` counts what was answered with the median: pictures without a face, and the `unreadable` ones.
    `coral_test_mae` is over the pictures of the CORAL test list, None where there are none. Intervals are
    judged where there was a face.

    Raises:
        ValueError: there are no predictions.
    """
    if not predictions:
        raise ValueError("no predictions: there is nothing to measure")
    errors = _errors(predictions)
    found = [prediction for prediction in predictions if prediction.faces > 0]
    inside = [prediction.low <= prediction.label <= prediction.high for prediction in found]
    return {
        "n": len(predictions),
        "no_face": len(predictions) - len(found),
        "unreadable": sum(prediction.faces == CORRUPT for prediction in predictions),
        "mae": float(errors.mean()),
        **{f"cs@{limit}": float((errors <= limit).mean()) for limit in SCORES},
        "group_accuracy": float(np.mean([row.group == row.label_group for row in predictions])),
        "coral_test_mae": _part(predictions, lambda row: row.coral == "test")["mae"],
        "interval_coverage": float(np.mean(inside)) if found else None,
        "interval_width": float(np.mean([row.high - row.low for row in found])) if found else None,
        "bands": {f"{low}-{high}": _band(predictions, low, high) for low, high in BANDS},
        "genders": {word: _part(predictions, _has("gender", word)) for word in GENDERS},
        "races": {word: _part(predictions, _has("race", word)) for word in RACES},
    }


def compare(first: Sequence[Prediction], second: Sequence[Prediction]) -> dict[str, float]:
    """Return how two models differ on the same pictures, in years.

    `mae_difference` is the first's MAE minus the second's; the others are mean and largest |age - age|.

    Raises:
        ValueError: the predictions are not of the same pictures in the same order.
    """
    if [row.name for row in first] != [row.name for row in second]:
        raise ValueError("the two sets of predictions are not of the same pictures")
    differences = np.abs(_column(first, "age") - _column(second, "age"))
    return {
        "mae_difference": float(_errors(first).mean() - _errors(second).mean()),
        "mean_age_difference": float(differences.mean()),
        "max_age_difference": float(differences.max()),
    }


def save_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write one row per picture, so that every figure can be computed again."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Prediction)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(prediction) for prediction in predictions)


def load_predictions(path: Path) -> list[Prediction]:
    """Read what `save_predictions` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file has other columns, a malformed row or values that are no numbers.
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
        raise DataError(f"{path}: the columns are {columns}; it is no file of predictions")
    return [Prediction(**row) for row in rows]


def group_of(age: float, groups: Iterable[tuple[int, int]]) -> str:
    """Return the name of the group that holds an age in years; 25.5 still belongs to 0-25.

    Raises:
        ValueError: no group does.
    """
    for low, high in groups:
        if low <= age < high + 1:
            return f"{low}-{high}"
    raise ValueError(f"no group holds the age {age}")


def _predict(estimator: AgeEstimator, sample: Sample, median_age: float) -> Prediction:
    faces, count = _faces_in(estimator, sample)
    groups = estimator.info.groups
    answer: dict[str, Any]
    if faces:
        low, high = faces[0].interval
        face = faces[0]
        answer = {"age": face.age, "stddev": face.stddev, "low": low, "high": high, "group": face.group}
    else:
        median = float(median_age)
        answer = {"age": median, "stddev": 0.0, "low": median, "high": median}
        answer["group"] = group_of(median, groups)
    return Prediction(
        name=sample.name,
        label=sample.age,
        gender=sample.gender,
        race=sample.race,
        coral=sample.coral,
        faces=count,
        label_group=group_of(sample.age, groups),
        **answer,
    )


def _faces_in(estimator: AgeEstimator, sample: Sample) -> tuple[list[Face], int]:
    """Return the faces and their number, which is CORRUPT for a picture that cannot be decoded."""
    try:
        picture = sample.read_picture()
    except DataError:
        # One bad file must not undo the minutes spent on the others; it is counted, so that nobody overlooks it.
        return [], CORRUPT
    faces = estimator.predict(picture, pixel_format="RGB")
    return faces, len(faces)


def _column(predictions: Sequence[Prediction], name: str) -> NDArray[np.float64]:
    return np.array([getattr(prediction, name) for prediction in predictions], np.float64)


def _errors(predictions: Sequence[Prediction]) -> NDArray[np.float64]:
    return np.abs(_column(predictions, "age") - _column(predictions, "label"))


def _has(field: str, word: str) -> Callable[[Prediction], bool]:
    return lambda row: getattr(row, field) == word


def _band(predictions: Sequence[Prediction], low: int, high: int) -> dict[str, Any]:
    return _part(predictions, lambda row: low <= row.label <= high)


def _part(predictions: Sequence[Prediction], belongs: Callable[[Prediction], bool]) -> dict[str, Any]:
    """Return number, MAE and mean signed error (positive: taken for older) of some of the predictions."""
    rows = [row for row in predictions if belongs(row)]
    if not rows:
        return {"n": 0, "mae": None, "bias": None}
    bias = _column(rows, "age") - _column(rows, "label")
    return {"n": len(rows), "mae": float(np.abs(bias).mean()), "bias": float(bias.mean())}
