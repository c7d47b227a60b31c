"""What runs answer on validation pictures, and how far a step's errors are from the baseline's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from agepred_train.ablation.plan import Step
from agepred_train.archive import DataError
from agepred_train.data import Sample
from agepred_train.dataset import FaceCrops
from agepred_train.evaluation.bootstrap import mean_interval
from agepred_train.heads import DistributionHead, head_of
from agepred_train.labels import collate
from agepred_train.network import load_run
from agepred_train.recipes import Recipe

# Half of the year that a rounded age stands for.
_ROUNDING = 0.5
_BATCH = 64


Outputs = NDArray[np.float32]
"""What one run says of one set's crops as they are, and mirrored: [2, n, outputs]."""


def ask(run: Path, crops: FaceCrops) -> Outputs:
    """Return a run's outputs.

    Raises:
        FileNotFoundError, DataError: the run is not finished, or not one of `train`.
    """
    network, _ = load_run(run)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs
    parts = []
    with torch.inference_mode():
        for batch in DataLoader(crops, _BATCH, collate_fn=collate):
            both = [network(pixels).float().numpy() for pixels in (batch.crops, batch.crops.flip(3))]
            parts.append(np.stack(both))
    return np.concatenate(parts, axis=1)


def ages_of(step: Step, runs: Mapping[str, tuple[Recipe, Outputs]]) -> NDArray[np.float64]:
    """Return the ages that a step answers, in years, [n].

    Args:
        step: which runs answer, and how they are read.
        runs: recipe and outputs of these runs, by name.

    Raises:
        DataError: distributions are asked for, and a run's head has none over ages.
    """
    heads = {name: head_of(runs[name][0]) for name in step.runs}
    if len(step.runs) == 1 and step.estimator == "mean" and not step.flip:
        (name,) = step.runs
        return np.asarray(heads[name].age(torch.from_numpy(runs[name][1][0])).double().numpy())
    for name, head in heads.items():
        if not isinstance(head, DistributionHead):
            raise DataError(f"{step.name}: {name} has no distribution over ages that could be read otherwise")
    views = slice(None) if step.flip else slice(1)
    logits = np.concatenate([runs[name][1][views] for name in step.runs])
    probabilities = torch.softmax(torch.from_numpy(logits).double(), dim=2).mean(dim=0).numpy()
    if step.estimator == "median":
        return median(probabilities)
    return np.asarray(probabilities @ np.arange(probabilities.shape[1]))


def median(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the medians of distributions over whole ages, each spread evenly over its year: in years, [n]."""
    below = np.cumsum(probabilities, axis=1)
    place = (below < 0.5).sum(axis=1)
    row = np.arange(len(probabilities))
    inside = probabilities[row, place]
    return np.asarray(place + (0.5 - (below[row, place] - inside)) / inside - 0.5)


def errors_of(ages: NDArray[np.float64], samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Return by how many years ages lie outside their labels, [n], at least 0."""
    low, high = (np.array([getattr(sample, end) for sample in samples], np.float64) for end in ("age_min", "age_max"))
    return np.abs(ages - np.clip(ages, low, high))


def compare(errors: NDArray[np.float64], baseline: NDArray[np.float64], samples: Sequence[Sample]) -> dict[str, Any]:
    """Return a step's figures on a set, JSON-ready.

    `mae` in years; of labels that are ranges also `inside`, the share of ages inside of them. `gain`: by how much the
    mean error is below the baseline's on the same pictures, with a 95 % interval (paired bootstrap); `sure`: whether
    that leaves 0 out.
    """
    gains = baseline - errors
    low, high = mean_interval(gains)
    figures: dict[str, Any] = {"pictures": len(errors), "mae": float(errors.mean())}
    if any(sample.age_min != sample.age_max for sample in samples):
        figures["inside"] = float((errors <= _ROUNDING).mean())
    return figures | {"gain": float(gains.mean()), "gain_interval": [low, high], "sure": low > 0 or high < 0}
