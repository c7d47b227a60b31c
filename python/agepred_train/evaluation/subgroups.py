"""Errors by gender and race: a table with intervals, and the gap between the best and the worst cell."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agepred_train.evaluation.bootstrap import mean_interval
from agepred_train.evaluation.predictions import Answers

GAP_AGES = (21, 60)
"""First and last labeled year that count for the gap."""
GAP_PICTURES = 150
"""Pictures of these ages that a cell must have, to count."""
_NOT_A_GROUP = "other"
_DECADE = 10


def subgroups(answers: Answers) -> dict[str, dict[str, Any]]:
    """Return number, MAE with its bootstrap interval, and bias in years, by `gender race`; exact ages only."""
    exact = answers.where(answers.is_exact())
    errors = exact.errors()
    table = {}
    for cell, mask in _cells(exact).items():
        low, high = mean_interval(np.abs(errors[mask]))
        table[cell] = {
            "n": int(mask.sum()),
            "mae": float(np.abs(errors[mask]).mean()),
            "low": low,
            "high": high,
            "bias": float(errors[mask].mean()),
        }
    return table


def subgroup_gap(answers: Answers, *, pictures: int = GAP_PICTURES) -> dict[str, Any] | None:
    """Return the worst minus the best MAE of the cells of gender and race, reweighted to one mix of ages.

    Counted are exact ages within GAP_AGES, in the decades 21-30, 31-40, ...; cells with at least so many pictures;
    race "other" is left out. A cell's figure is the mean of its MAEs in the decades, weighted by the share that each
    decade has among all counted pictures: so no cell is worse for being older. Decades that are empty in a counted
    cell are left out in all. Keys: `gap` in years, `cells` (MAE by cell), `plain_gap` (without weights), `decades`
    (the weights). None where fewer than two cells count, or no decade.
    """
    first, last = GAP_AGES
    labels = answers.column("age_min")
    some = answers.where(answers.is_exact() & (first <= labels) & (labels <= last))
    errors = np.abs(some.errors())
    decade = (some.column("age_min").astype(int) - first) // _DECADE
    cells = {
        cell: mask
        for cell, mask in _cells(some).items()
        if mask.sum() >= pictures and not cell.endswith(f" {_NOT_A_GROUP}")
    }
    common = [
        number
        for number in range((last - first) // _DECADE + 1)
        if all((mask & (decade == number)).any() for mask in cells.values())
    ]
    if len(cells) < 2 or not common:
        return None
    counted = np.any(list(cells.values()), axis=0)
    amounts = np.array([(counted & (decade == number)).sum() for number in common], np.float64)
    weights = amounts / amounts.sum()
    reweighted = {
        cell: float(
            sum(w * errors[mask & (decade == number)].mean() for w, number in zip(weights, common, strict=True))
        )
        for cell, mask in cells.items()
    }
    plain = [float(errors[mask].mean()) for mask in cells.values()]
    return {
        "gap": max(reweighted.values()) - min(reweighted.values()),
        "plain_gap": max(plain) - min(plain),
        "cells": reweighted,
        "decades": {
            f"{first + _DECADE * number}-{first + _DECADE * number + _DECADE - 1}": float(weight)
            for number, weight in zip(common, weights, strict=True)
        },
    }


def _cells(answers: Answers) -> dict[str, NDArray[np.bool_]]:
    """Return where each pair of a known gender and a known race is, [n], by its words."""
    pairs = np.array([f"{row.gender} {row.race}" if row.gender and row.race else "" for row in answers.rows])
    return {str(pair): pairs == pair for pair in sorted(set(pairs.tolist())) if pair}
