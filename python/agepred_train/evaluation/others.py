"""Answers that no model file gives: a constant, other people's predictions, and the average of several models."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agepred_train.archive import DataError
from agepred_train.data import GROUPS, Sample
from agepred_train.evaluation.ask import answer_of, bare_answer
from agepred_train.evaluation.distribution import intervals, likeliest_group, mean_and_stddev
from agepred_train.evaluation.predictions import Answers

ENSEMBLE_LEVEL = 0.8
"""Of the intervals of an average of models, which has no file that could name another one."""

_GROUPS = tuple(f"{low}-{high}" for low, high in GROUPS)


def constant(samples: Sequence[Sample], age: float) -> Answers:
    """Return the same age in years for every picture: what a model must beat."""
    return Answers(rows=tuple(bare_answer(sample, 1, age) for sample in samples))


def read_predictions(path: Path, samples: Sequence[Sample], median_age: float) -> Answers:
    """Read other people's answers: a CSV with the columns `file` and `age` (years, any real number).

    An empty age means that no face was found: the median answers, as it does for every model. Rows of other pictures
    do not matter; every one of `samples` must be there. A column `group` holds the likeliest of the four groups, such
    as 26-50; where there is none, or it is empty, the group is the age's.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: a column, a row or a number is not as it must be, or a picture is missing.
    """
    ages: dict[str, float | None] = {}
    groups: dict[str, str] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        try:
            columns = reader.fieldnames or []
            if not {"file", "age"} <= set(columns):
                raise DataError(f"{path}: the columns are {list(columns)}; there must be file and age")
            for row in reader:
                place = f"{path}, line {reader.line_num}"
                if row["file"] in ages:
                    raise DataError(f"{place}: {row['file']} is answered twice; remove one of the two")
                ages[row["file"]] = _age(row["age"], place)
                groups[row["file"]] = _group(row.get("group"), place)
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path}, line {reader.line_num + 1}: not readable as CSV in UTF-8 ({error})") from error
    missing = [sample.name for sample in samples if sample.name not in ages]
    if missing:
        raise DataError(
            f"{path}: {len(missing)} of {len(samples)} pictures are not answered, first {missing[0]}; "
            "add them, with an empty age where no face was found"
        )
    return Answers(
        rows=tuple(
            bare_answer(sample, 0, median_age)
            if (age := ages[sample.name]) is None
            else bare_answer(sample, 1, age, groups[sample.name])
            for sample in samples
        )
    )


def ensemble(members: Sequence[Answers], samples: Sequence[Sample], median_age: float) -> Answers:
    """Return the answers of averaged distributions; of each picture, those members count that found a face.

    Raises:
        ValueError: there are fewer than two members, or their distributions are not over the same ages.
    """
    distributions = [member.probabilities for member in members if member.probabilities is not None]
    shapes = {(p.shape[1], member.first_age) for p, member in zip(distributions, members, strict=False)}
    if len(members) < 2 or len(distributions) < len(members) or len(shapes) > 1:
        raise ValueError("an ensemble needs two models or more whose distributions are over the same ages")
    first = members[0].first_age
    total = np.sum([p.astype(np.float64) for p in distributions], axis=0)
    sums = total.sum(axis=1, keepdims=True)
    p = np.divide(total, sums, out=np.zeros_like(total), where=sums > 0)
    found = sums[:, 0] > 0
    rows = [
        bare_answer(sample, min(row.faces, 0), median_age) for sample, row in zip(samples, members[0].rows, strict=True)
    ]
    (age, stddev), [(low, high)] = mean_and_stddev(p[found], first), intervals(p[found], first, [ENSEMBLE_LEVEL])
    group = likeliest_group(p[found], first, GROUPS)
    for place, number in enumerate(np.flatnonzero(found).tolist()):
        rows[number] = answer_of(
            samples[number],
            max(member.rows[number].faces for member in members),
            age=float(age[place]),
            stddev=float(stddev[place]),
            low=float(low[place]),
            high=float(high[place]),
            group=group[place],
        )
    return Answers(rows=tuple(rows), probabilities=p.astype(np.float32), first_age=first)


def _group(text: str | None, place: str) -> str:
    name = (text or "").strip()
    if name and name not in _GROUPS:
        raise DataError(
            f"{place}: group {name!r} is none of {', '.join(_GROUPS)}; empty, or without the column, it is the age's"
        )
    return name


def _age(text: str | None, place: str) -> float | None:
    if text is None or not text.strip():
        return None
    try:
        age = float(text)
    except ValueError as error:
        raise DataError(f"{place}: age {text!r} is no number; leave it empty where there is no answer") from error
    if not math.isfinite(age):
        raise DataError(f"{place}: age {text!r} is no age; leave it empty where there is no answer")
    return age
