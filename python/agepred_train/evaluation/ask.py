"""Have a model file answer labeled pictures through the C++ core: the same `predict` that a user calls.

How is counted: the largest face answers for its picture; a picture without a face is answered with the median age
of the training split and its group, and so is one that cannot be decoded; ages are not rounded; no picture is left
out.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from agepred_edge import AgeEstimator, Face, FaceDetector, _core
from agepred_edge.model_files import NO_POINTS_MODEL
from agepred_train.archive import DataError
from agepred_train.data import GROUPS, Sample
from agepred_train.evaluation.degradations import DEGRADATIONS
from agepred_train.evaluation.distribution import likeliest_group
from agepred_train.evaluation.labels import LabeledSet, Part
from agepred_train.evaluation.offsets import IntervalOffsets
from agepred_train.evaluation.predictions import (
    Answers,
    Prediction,
    group_of,
    group_of_label,
    load_answers,
    probabilities_file,
    save_answers,
)
from agepred_train.fingerprints import fingerprints
from agepred_train.graph import read_keys, read_model
from agepred_train.prepare import CORRUPT
from agepred_train.progress import progress_bar
from agepred_train.storage import replacing, sha256_of_file, write_json

# What is answered is kept after so many pictures: a few seconds of work are lost at worst.
_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which pictures shall be answered, and how."""

    labeled: LabeledSet
    split: Part = "val"
    """Whose pictures count."""
    limit: int | None = None
    """Pictures at most, spread evenly; None for all."""
    median_age: float
    """Answer in years where there is no face or no readable picture."""

    @property
    def named_split(self) -> str | None:
        """The split as a record names it; None where all pictures count."""
        return self.split if self.split != "all" and self.labeled.has_splits else None

    def samples(self) -> list[Sample]:
        """Return the pictures, in order; DataError where there are none."""
        return self.labeled.part(self.split, self.limit)

    def name(self) -> str:
        """Return the set, the split and the limit in a word that is fit for a file's name."""
        split = f"-{self.named_split}" if self.named_split else ""
        return f"{self.labeled.name}{split}{f'-n{self.limit}' if self.limit else ''}"


def answers_file(folder: Path, model: Path, question: Question, suffix: str = "") -> Path:
    """Return the CSV in which a model's answers are kept: MODEL-DATA-SPLIT.csv, with a limit or a suffix behind."""
    return folder / f"{model.stem}-{question.name()}{f'-{suffix}' if suffix else ''}.csv"


def files_of(answers: Path) -> tuple[Path, ...]:
    """Return all files that `evaluate_file` writes for answers: the CSV, and what lies beside it."""
    return answers, probabilities_file(answers), record_of(answers), _partial_of(answers)


def record_of(answers: Path) -> Path:
    """Return the JSON that names by hash all that bears on answers."""
    return answers.with_suffix(".json")


def evaluate_file(
    model: Path, finder: FaceDetector, question: Question, out: Path, *, degradation: str = "", title: str = ""
) -> tuple[Answers, dict[str, Any]]:
    """Answer all pictures with a model file; what was answered before by the same files is not asked again.

    Writes `out` (a CSV), the distributions beside it (.npz), and last a JSON that names by hash all that bears on
    the answers. A stopped evaluation leaves OUT.partial and goes on from there.

    Args:
        model: the age model.
        finder: whose model files find the faces.
        question: the pictures.
        out: where the CSV goes; its folder is made.
        degradation: one of DEGRADATIONS, done to every picture; empty for none.
        title: of the progress bar.

    Returns:
        The answers and what the JSON holds.

    Raises:
        DataError: there are no pictures, or none can be decoded.
    """
    samples = question.samples()
    identity = _identity(model, finder, question, samples, degradation)
    record = record_of(out)
    finished = _finished(out, identity)
    if finished is not None:
        return finished, json.loads(record.read_text(encoding="utf-8"))
    points_model = finder.points_model or NO_POINTS_MODEL
    estimator = AgeEstimator(model, face_model=finder.face_model, points_model=points_model)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Partial(_partial_of(out), identity)
    answers = ask(estimator, samples, question.median_age, degradation=degradation, partial=partial, title=title)
    answers = with_offsets_of(answers, model)
    if all(row.faces == CORRUPT for row in answers.rows):
        raise DataError(
            f"{samples[0].path}: none of {len(samples)} pictures can be decoded, first {samples[0].name}; "
            "look at the data before anything is measured on it"
        )
    save_answers(out, answers)
    report = identity | {
        "predictions_sha256": sha256_of_file(out),
        "probabilities_sha256": sha256_of_file(probabilities_file(out)),
    }
    write_json(record, report)
    partial.path.unlink(missing_ok=True)
    return answers, report


def with_offsets_of(answers: Answers, model: Path) -> Answers:
    """Return answers that know how the model file moves the ends of its intervals."""
    return dataclasses.replace(answers, offsets=IntervalOffsets.from_keys(read_keys(read_model(model))))


class Partial:
    """The answers of a stopped evaluation."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        """`identity` is JSON-ready: answers of another one are of no use."""
        self.path = path
        self._identity = json.dumps(identity, sort_keys=True)

    def save(self, rows: Sequence[Prediction], distributions: Sequence[NDArray[np.float32]]) -> None:
        """Keep what was answered so far."""
        text = json.dumps([dataclasses.asdict(row) for row in rows])
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, identity=self._identity, rows=text, distributions=np.array(distributions, np.float32))

    def load(self) -> tuple[list[Prediction], list[NDArray[np.float32]]]:
        """Return what was kept; nothing where there is none, or where it is another evaluation's."""
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                if str(arrays["identity"]) != self._identity:
                    return [], []
                rows = [Prediction(**row) for row in json.loads(str(arrays["rows"]))]
                return rows, list(arrays["distributions"])
        except (FileNotFoundError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
            return [], []


def ask(
    estimator: AgeEstimator,
    samples: Sequence[Sample],
    median_age: float,
    *,
    degradation: str = "",
    partial: Partial | None = None,
    title: str = "",
) -> Answers:
    """Ask the estimator for the age in every picture, in order; arguments as in `evaluate_file`."""
    rows, distributions = partial.load() if partial else ([], [])
    kept = len(rows)
    try:
        with progress_bar() as progress:
            task = progress.add_task(f"asking {title}".rstrip(), total=len(samples), completed=kept)
            for sample in samples[kept:]:
                row, distribution = _predict(estimator, sample, median_age, degradation)
                rows.append(row)
                distributions.append(distribution)
                progress.advance(task)
                if partial and len(rows) % _CHUNK == 0:
                    partial.save(rows, distributions)
                    kept = len(rows)
    except BaseException:  # Ctrl-C above all
        if partial and len(rows) > kept:
            partial.save(rows[: len(distributions)], distributions)
        raise
    return Answers(rows=tuple(rows), probabilities=np.stack(distributions), first_age=estimator.info.first_age)


def answer_of(sample: Sample, faces: int, **answer: Any) -> Prediction:
    """Return the row of a picture: its labels beside an answer of `age`, `stddev`, `low`, `high` and `group`."""
    return Prediction(
        file=sample.name,
        age_min=sample.age_min,
        age_max=sample.age_max,
        gender=sample.gender,
        race=sample.race,
        coral=sample.coral,
        faces=faces,
        label_group=group_of_label(sample.age_min, sample.age_max),
        **answer,
    )


def bare_answer(sample: Sample, faces: int, age: float, group: str = "") -> Prediction:
    """Return the row of a picture of which nothing but an age is answered, and maybe a group; else it is the age's."""
    # Another network's age may lie outside of the years that groups are made of.
    group = group or group_of(min(max(age, 0.0), float(GROUPS[-1][1])))
    return answer_of(sample, faces, age=float(age), stddev=0.0, low=float(age), high=float(age), group=group)


def _predict(
    estimator: AgeEstimator, sample: Sample, median_age: float, degradation: str
) -> tuple[Prediction, NDArray[np.float32]]:
    faces, count = _faces_in(estimator, sample, degradation)
    info = estimator.info
    if not faces:
        return bare_answer(sample, count, median_age), np.zeros(info.age_count, np.float32)
    face = faces[0]
    p = np.asarray(face.probabilities, np.float32)
    group = face.group if info.groups == GROUPS else likeliest_group(p[None], info.first_age, GROUPS)[0]
    low, high = face.interval
    return answer_of(sample, count, age=face.age, stddev=face.stddev, low=low, high=high, group=group), p


def _faces_in(estimator: AgeEstimator, sample: Sample, degradation: str) -> tuple[list[Face], int]:
    """Return the faces and their number: CORRUPT for a picture that cannot be decoded or that the core refuses."""
    try:
        picture = sample.read_picture()
        if degradation:
            picture = DEGRADATIONS[degradation](picture)
        faces = estimator.predict(picture, pixel_format="RGB")
    except ValueError:
        # One bad file must not undo the minutes spent on the others; it is counted, so that nobody overlooks it.
        return [], CORRUPT
    return faces, len(faces)


def _identity(
    model: Path, finder: FaceDetector, question: Question, samples: Sequence[Sample], degradation: str
) -> dict[str, Any]:
    """Return all that bears on the answers, JSON-ready."""
    return {
        "model_sha256": sha256_of_file(model),
        "detector_sha256": sha256_of_file(finder.face_model),
        "points_sha256": sha256_of_file(finder.points_model) if finder.points_model else "",
        "core_sha256": sha256_of_file(Path(_core.__file__)),
        "data_sha256": dict(question.labeled.hashes),
        "split": question.named_split,
        "limit": question.limit,
        "pictures": len(samples),
        # The data's own hashes know pictures in files of their own by name and size alone.
        "pictures_sha256": hashlib.sha256(fingerprints(samples).tobytes()).hexdigest(),
        "degradation": degradation,
        "median_train_age": question.median_age,
    }


def _partial_of(answers: Path) -> Path:
    return answers.with_name(answers.name + ".partial")


def _finished(out: Path, identity: dict[str, Any]) -> Answers | None:
    """Return the answers that are there, if they are whole and of this identity."""
    try:
        report = dict(json.loads(record_of(out).read_text(encoding="utf-8")))
        files = {"predictions_sha256": out, "probabilities_sha256": probabilities_file(out)}
        whole = all(report.get(key) == sha256_of_file(path) for key, path in files.items())
        same = all(report.get(key) == value for key, value in identity.items())
        return load_answers(out) if whole and same else None
    except (OSError, ValueError, TypeError):
        return None
