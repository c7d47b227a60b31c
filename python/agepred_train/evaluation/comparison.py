"""Two models on the same pictures: whose error is smaller, by more than chance or not, and how far ages part."""

from typing import Any

import numpy as np

from agepred_train.evaluation.bootstrap import mean_interval
from agepred_train.evaluation.figures import DECADES, YOUNGEST_OLD
from agepred_train.evaluation.predictions import Answers


def compare(first: Answers, second: Answers) -> dict[str, Any]:
    """Return how two models differ on the same pictures, in years.

    `mae_difference` is the first's MAE minus the second's, `mae_interval` its 95 % interval by the paired bootstrap,
    `decades` the same difference by decade of the label, `worst_decade_difference` the largest of those of 0-9 to
    70-79; None or empty where there are no exact ages. `mean_age_difference` and `max_age_difference` are of
    |age - age| over all pictures.

    Raises:
        ValueError: the answers are not to the same pictures in the same order, or there are none.
    """
    if not first.rows or [row.file for row in first.rows] != [row.file for row in second.rows]:
        raise ValueError("the two sets of answers are not of the same pictures")
    apart = np.abs(first.column("age") - second.column("age"))
    result: dict[str, Any] = {
        "mae_difference": None,
        "mae_interval": None,
        "decades": {},
        "worst_decade_difference": None,
        "mean_age_difference": float(apart.mean()),
        "max_age_difference": float(apart.max()),
    }
    exact = first.is_exact()
    if not exact.any():
        return result
    gains = np.abs(first.where(exact).errors()) - np.abs(second.where(exact).errors())
    label = first.column("age_min")[exact]
    decades = {
        f"{low}-{high}": float(gains[mask].mean())
        for low, high in DECADES
        for mask in [(low <= label) & (label <= high)]
        if mask.any()
    }
    young = [value for name, value in decades.items() if int(name.split("-")[0]) < YOUNGEST_OLD]
    return result | {
        "mae_difference": float(gains.mean()),
        "mae_interval": list(mean_interval(gains)),
        "decades": decades,
        "worst_decade_difference": max(young) if young else None,
    }
