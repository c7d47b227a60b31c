"""Carry out a plan of ablations: train what is not trained yet, measure all, and put the table together."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agepred_train.ablation.measure import Outputs, ages_of, ask, compare, errors_of
from agepred_train.ablation.plan import BASELINE, Plan, Step
from agepred_train.data import Collection, Sample
from agepred_train.dataset import FaceCrops
from agepred_train.fit import RECORD
from agepred_train.markdown import table
from agepred_train.overrides import to_dict
from agepred_train.prepare import Faces
from agepred_train.recipes import Recipe
from agepred_train.sources import join
from agepred_train.train import train

Sets = Mapping[str, tuple[Collection, Faces]]


def carry_out(
    plan: Plan,
    sets: Sets,
    out: Path,
    *,
    weights: Mapping[str, Path] | None = None,
    only: Sequence[str] = (),
    said: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train the steps whose runs are not finished, in order, and compare all finished ones with the baseline.

    A stopped training goes on. `test` is never read.

    Args:
        plan: what to do.
        sets: labeled pictures and their faces, by name.
        out: folder of the runs, one a step.
        weights: ImageNet weights that trainings start from, by their backbone; none: all start from random numbers.
        only: steps to train now; empty: all. Steps that are not finished are left out of the result.
        said: gets a line on what is done.

    Returns:
        The figures, JSON-ready: `steps`, each with what it is, its recipe's differences and its figures by set.

    Raises:
        ValueError: `only` names no step of the plan, the baseline is not finished, or weights are given, but none for
            the backbone of a step.
        DataError, ResumeError: as from `train`.
    """
    if unknown := sorted(set(only) - {step.name for step in plan.steps}):
        raise ValueError(f"no step is named {', '.join(unknown)}; there are {', '.join(s.name for s in plan.steps)}")
    missing = [
        (step, step.recipe)
        for step in plan.steps
        if step.recipe is not None and (not only or step.name in only) and not (out / step.name / RECORD).exists()
    ]
    start = {step.name: _weights_of(step, recipe, weights or {}) for step, recipe in missing}
    for step, recipe in missing:
        said(f"{step.name}: {step.says}")
        _train(step, recipe, sets, out, start[step.name])
    finished = {step.name for step in plan.steps if (out / step.name / RECORD).exists()}
    if BASELINE not in finished:
        raise ValueError(f"{out / BASELINE}: the baseline is not trained, so there is nothing to compare with")
    measured = {name: _validation(name, sets) for name in plan.sources}
    recipes = {step.name: step.recipe for step in plan.steps if step.recipe is not None}
    answers: dict[tuple[str, str], Outputs] = {}
    baseline: dict[str, NDArray[np.float64]] = {}
    rows = []
    for step in plan.steps:
        if not set(step.runs) <= finished:
            continue
        figures = {}
        for source, samples in measured.items():
            for run in step.runs:
                if (run, source) not in answers:
                    crops = FaceCrops(samples, sets[source][1], side=recipes[run].crop_side)
                    answers[run, source] = ask(out / run, crops)
            of_set = {run: (recipes[run], answers[run, source]) for run in step.runs}
            errors = errors_of(ages_of(step, of_set), samples)
            baseline.setdefault(source, errors)
            figures[source] = compare(errors, baseline[source], samples)
        rows.append(_describe(step, plan.steps[0]) | {"figures": figures})
    return {"format": 1, "sources": list(plan.sources), "steps": rows}


def as_markdown(result: Mapping[str, Any]) -> str:
    """Return the table of a result of `carry_out`."""
    sources = result["sources"]
    head = ["step", "what is done otherwise"]
    for source in sources:
        ranges = "inside" in result["steps"][0]["figures"][source]
        head += [f"{source}: MAE", *(["inside"] if ranges else []), "gain (95 %)"]
    rows = []
    for step in result["steps"]:
        cells = [f"`{step['name']}`", step["says"]]
        for source in sources:
            figures = step["figures"][source]
            low, high = figures["gain_interval"]
            inside = [f"{figures['inside']:.1%}"] if "inside" in figures else []
            gain = f"{figures['gain']:+.3f} ({low:+.3f} to {high:+.3f})"
            own = step["name"] == BASELINE
            cells += [f"{figures['mae']:.3f}", *inside, "" if own else f"**{gain}**" if figures["sure"] else gain]
        rows.append(cells)
    return table(head, rows)


def _weights_of(step: Step, recipe: Recipe, weights: Mapping[str, Path]) -> Path | None:
    """Return what a step starts from: what comes from ImageNet is not compared with what does not."""
    if weights and recipe.backbone not in weights:
        raise ValueError(
            f"{step.name}: no weights for its backbone, {recipe.backbone}; give --weights {recipe.backbone}=FILE"
        )
    return weights.get(recipe.backbone)


def _train(step: Step, recipe: Recipe, sets: Sets, out: Path, weights: Path | None) -> None:
    parts = {name: sets[name] for name in step.sources}
    data = join(parts) if len(parts) > 1 else next(iter(parts.values()))
    teachers = [out / name for name in step.teachers]
    train(recipe, *data, out / step.name, weights=weights, teachers=teachers, resume=True)


def _validation(source: str, sets: Sets) -> list[Sample]:
    """Return the pictures of a set's `val` with a face: what a network can be asked about."""
    collection, faces = sets[source]
    return FaceCrops(collection.part("val"), faces, side=32).samples


def _describe(step: Step, baseline: Step) -> dict[str, Any]:
    """Return what a step is, JSON-ready; of its recipe what differs from the baseline's."""
    changes: dict[str, Any] = {}
    if step.recipe is not None and baseline.recipe is not None:
        usual = to_dict(baseline.recipe)
        own = to_dict(step.recipe)
        changes = own if step is baseline else {key: value for key, value in own.items() if value != usual[key]}
    return {
        "name": step.name,
        "says": step.says,
        "recipe": changes,
        "sources": list(step.sources),
        "teachers": list(step.teachers),
        "runs": list(step.runs),
        "estimator": step.estimator,
        "flip": step.flip,
    }
