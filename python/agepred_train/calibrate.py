"""Let a model file tell the truth about its doubt: a temperature, and offsets of its intervals.

The temperature makes the labels of held-out pictures as likely as one number can (Guo et al. 2017, "On Calibration of
Modern Neural Networks"). The offsets then move each end of an interval until the share of labels beyond it is the one
that its level allows, at every age that may be answered (conformalized quantile regression: Romano, Patterson and
Candes 2019; here by age, with weights that fall linearly from one knot to the next).
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from agepred_train.archive import DataError
from agepred_train.data import Sample
from agepred_train.evaluation.distribution import intervals, mean_and_stddev
from agepred_train.evaluation.offsets import IntervalOffsets
from agepred_train.evaluation.predictions import Answers
from agepred_train.graph import read_keys, read_model, write_model

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Of the intervals whose offsets are fitted; a file is asked for others by interpolation."""

_TEMPERATURES = (0.25, 4.0)
_PICTURES_A_KNOT = 150
_MOST_KNOTS = 10
_FOLDS = 5
_LEAST = 1e-12  # probability of a label that a model held for impossible

ORIGIN_KEY = "agepred.calibration"
"""Of a model file: the split that a calibration was fitted on, and the hashes of its sets; JSON."""

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """What a model file is told about its doubt."""

    temperature: float
    """By which the file's temperature is multiplied; above 1 flattens."""
    offsets: IntervalOffsets


def calibrate_file(
    model: Path, out: Path, calibration: Calibration, *, split: str | None, hashes: Mapping[str, str]
) -> Path:
    """Write a model file with another temperature and other offsets and return its path.

    Args:
        model: the file.
        out: where the new one is written; may be `model`.
        calibration: what it is told.
        split: whose pictures that was fitted on; None for all of them. The file says so.
        hashes: of the sets that these are of.

    Raises:
        FileNotFoundError, DataError: `model` is not there, or is no age model of ours.
    """
    graph = read_model(model)
    keys = read_keys(graph)
    try:
        temperature = float(keys["agepred.temperature"]) * calibration.temperature
    except (KeyError, ValueError) as error:
        raise DataError(f"{model}: no age model of agepred ({error!r})") from error
    del graph.metadata_props[:]
    fitted_on = json.dumps({"split": split, "sha256": dict(hashes)})
    changed = {"agepred.temperature": f"{temperature:.4f}", **calibration.offsets.to_keys(), ORIGIN_KEY: fitted_on}
    helper.set_model_props(graph, keys | changed)
    return write_model(graph, out)


def refuse_few(samples: Sequence[Sample]) -> None:
    """Raise ValueError where a calibration of these pictures could not be fitted, before they are asked."""
    exact = sum(sample.age_min == sample.age_max for sample in samples)
    if exact < _PICTURES_A_KNOT:
        raise ValueError(
            f"{exact} of {len(samples)} pictures are labeled with exact ages; {_PICTURES_A_KNOT} are needed to "
            "calibrate on: name another set or split"
        )


def fit(answers: Answers) -> Calibration:
    """Return the calibration that makes these answers true; offsets that the model has already are replaced.

    Args:
        answers: of pictures that the model was not trained on; those without a face, and ranges, do not count.

    Raises:
        ValueError: there are too few of them, or no distributions.
    """
    labels, p = _usable(answers)
    temperature = _temperature(labels, p, answers.first_age)
    return Calibration(temperature=temperature, offsets=_offsets(labels, sharpened(p, temperature), answers.first_age))


def crossed_coverage(answers: Answers) -> dict[float, tuple[float, float]]:
    """Return, by level, the share of labels inside the model's intervals and inside calibrated ones.

    Each fifth of the answers is judged by a calibration of the other four, so what was fitted judges nothing.
    """
    labels, p = _usable(answers)
    first = answers.first_age
    before = [(low <= labels) & (labels <= high) for low, high in intervals(p, first, LEVELS, answers.offsets)]
    after = [np.zeros(len(labels), np.bool_) for _ in LEVELS]
    fold = np.random.default_rng(0).permutation(len(labels)) % _FOLDS
    for number in range(_FOLDS):
        here = fold == number
        temperature = _temperature(labels[~here], p[~here], first)
        offsets = _offsets(labels[~here], sharpened(p[~here], temperature), first)
        found = intervals(sharpened(p[here], temperature), first, LEVELS, offsets)
        for inside, (low, high) in zip(after, found, strict=True):
            inside[here] = (low <= labels[here]) & (labels[here] <= high)
    return {
        level: (float(one.mean()), float(other.mean())) for level, one, other in zip(LEVELS, before, after, strict=True)
    }


def sharpened(probabilities: Column, temperature: float) -> Column:
    """Return distributions [n, K] as another temperature gives them: the power 1 / temperature, scaled to sum to 1."""
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    distributions: Column = powers / powers.sum(axis=1, keepdims=True)
    return distributions


def _usable(answers: Answers) -> tuple[Column, Column]:
    """Return labels in years, [n], and distributions, [n, K], of exact labels where there was a face."""
    if answers.probabilities is None:
        raise ValueError("answers without distributions cannot be calibrated")
    some = answers.where((answers.column("faces") > 0) & answers.is_exact())
    if len(some.rows) < _PICTURES_A_KNOT:
        raise ValueError(
            f"{len(some.rows)} answered pictures with exact ages; {_PICTURES_A_KNOT} are needed to calibrate on"
        )
    assert some.probabilities is not None
    return some.column("age_min"), some.probabilities.astype(np.float64)


def _temperature(labels: Column, p: Column, first: int) -> float:
    """Return the temperature at which the labels are likeliest, by golden section: their likelihood has one peak."""
    years = np.clip(labels.astype(int) - first, 0, p.shape[1] - 1)
    rows = np.arange(len(p))

    def loss(logarithm: float) -> float:
        likely = sharpened(p, float(np.exp(logarithm)))[rows, years]
        return float(-np.log(np.maximum(likely, _LEAST)).mean())

    low, high = (float(np.log(end)) for end in _TEMPERATURES)
    golden = (np.sqrt(5) - 1) / 2
    while high - low > 1e-4:
        one, other = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, other) if loss(one) <= loss(other) else (one, high)
    return float(np.exp((low + high) / 2))


def _offsets(labels: Column, p: Column, first: int) -> IntervalOffsets:
    mean, _ = mean_and_stddev(p, first)
    count = int(np.clip(len(labels) // _PICTURES_A_KNOT, 1, _MOST_KNOTS))
    # As many answers around every knot; a file states its ages to a hundredth of a year.
    knots = np.unique(np.round(np.quantile(mean, (np.arange(count) + 0.5) / count), 2))
    hats = np.array([np.interp(mean, knots, row) for row in np.eye(len(knots))])
    tables: dict[str, list[list[float]]] = {"low": [], "high": []}
    for level, (low, high) in zip(LEVELS, intervals(p, first, LEVELS), strict=True):
        inner = (1 + level) / 2
        tables["low"].append([_weighted_quantile(low - labels, hat, inner) for hat in hats])
        tables["high"].append([_weighted_quantile(labels - high, hat, inner) for hat in hats])
    return IntervalOffsets(
        levels=np.array(LEVELS), ages=knots, low=np.array(tables["low"]), high=np.array(tables["high"])
    )


def _weighted_quantile(values: Column, weights: Column, share: float) -> float:
    """Return the least value that, with all below it, has this share of the weights."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(reached, share)), len(values) - 1)])


def describe(calibration: Calibration, coverage: dict[float, tuple[float, float]]) -> dict[str, Any]:
    """Return a calibration and what it does, JSON-ready."""
    offsets = {
        field.name: getattr(calibration.offsets, field.name).tolist() for field in dataclasses.fields(IntervalOffsets)
    }
    return {
        "temperature": calibration.temperature,
        "offsets": offsets,
        "coverage": {f"{level:g}": {"before": one, "after": other} for level, (one, other) in coverage.items()},
    }
