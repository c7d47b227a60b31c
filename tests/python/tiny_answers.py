"""Answers made up for tests of figures: rows with labels, and distributions around them."""

import numpy as np

from agepred_train.data import GROUPS
from agepred_train.evaluation.predictions import Answers, Prediction, group_of, group_of_label


def row(label, age, **changed):
    """One answer; `label` is an age, or a pair for a range."""
    low, high = label if isinstance(label, tuple) else (label, label)
    values = {
        "file": f"{label}-{age}",
        "age_min": low,
        "age_max": high,
        "gender": "male",
        "race": "Black",
        "coral": "",
        "faces": 1,
        "age": age,
        "stddev": 2.0,
        "low": age - 3,
        "high": age + 5,
        "label_group": group_of_label(low, high),
        "group": group_of(min(max(age, 0), 116), GROUPS),
    }
    return Prediction(**(values | changed))


def answers(*rows, probabilities=None, first_age=0, offsets=None):
    return Answers(rows=tuple(rows), probabilities=probabilities, first_age=first_age, offsets=offsets)


def normal(mean, stddev, ages=117):
    """Distributions over the years from 0 on, [n, ages]."""
    mean = np.asarray(mean, float)[:, None]
    p = np.exp(-((np.arange(ages) - mean) ** 2) / (2 * stddev**2))
    return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
