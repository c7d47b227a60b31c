"""The pictures that a model answers worst."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agepred_train.archive import DataError
from agepred_train.data import Sample
from agepred_train.evaluation.predictions import Answers

SHOWN = 16
_SIDE = 200  # pixels of a thumbnail's longer side


def distances(answers: Answers) -> NDArray[np.float64]:
    """Return by how many years each answer misses its label or leaves its labeled range, [n]."""
    age = answers.column("age")
    return np.maximum(0, np.maximum(answers.column("age_min") - age, age - answers.column("age_max")))


def worst(answers: Answers, count: int = SHOWN) -> list[int]:
    """Return the rows with the largest distances, the worst first."""
    return [int(row) for row in np.argsort(-distances(answers), kind="stable")[:count]]


def caption(answers: Answers, row: int) -> str:
    """Return what was labeled and what was answered."""
    answer = answers.rows[row]
    label = f"{answer.age_min}" if answer.age_min == answer.age_max else f"{answer.age_min} to {answer.age_max}"
    spread = f" ± {answer.stddev:.0f}" if answer.stddev else ""
    words = " ".join(word for word in (answer.gender, answer.race) if word)
    face = "" if answer.faces > 0 else " (no face: the median)"
    return f"{label}, answered {answer.age:.0f}{spread}{face}: {f'{words}, ' if words else ''}{answer.file}"


def thumbnail(sample: Sample) -> bytes:
    """Return the picture as a small JPEG; a gray square for one that cannot be decoded."""
    try:
        picture = Image.fromarray(sample.read_picture())
    except DataError:
        picture = Image.new("RGB", (_SIDE, _SIDE), "gray")
    picture.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
