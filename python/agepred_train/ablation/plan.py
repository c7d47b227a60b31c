"""A plan of ablations: a baseline, and steps that differ from it in one thing each; read from TOML."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agepred_train.archive import DataError
from agepred_train.overrides import chosen_recipe
from agepred_train.recipes import RECIPES, Recipe

BASELINE = "baseline"
"""Name of the run that every step is compared with."""

ESTIMATORS = ("mean", "median")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The baseline, or one thing done otherwise: a training of its own, or the answers of others read otherwise."""

    name: str
    """Folder of its run."""
    says: str
    """What is done otherwise, in words."""
    recipe: Recipe | None
    """Of its training; None where it reads the answers of other runs."""
    sources: tuple[str, ...]
    """Names of the sets that it is trained on."""
    teachers: tuple[str, ...]
    """Steps whose runs teach it."""
    runs: tuple[str, ...]
    """Steps whose runs answer, as their mean distribution; its own name where it is trained."""
    estimator: str
    """mean or median of the distribution."""
    flip: bool
    """Whether a crop and its mirror image answer together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is trained, in order, and what it is measured on."""

    sources: tuple[str, ...]
    """Sets whose split `val` every step is measured on; the baseline is trained on them."""
    steps: tuple[Step, ...]
    """The baseline first."""


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        FileNotFoundError: it is not there.
        DataError: it is no TOML, a key is unknown or missing, a value is refused, or a step names one that does not
            come before it.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not TOML ({error})") from error
    _refuse_unknown(path, table, {"recipe", "set", "sources", "steps"})
    recipe, changes = _text(path, table, "recipe"), _texts(path, table, "set")
    sources = _texts(path, table, "sources")
    if not sources:
        raise DataError(f"{path}: `sources` names no set; name those to train on and to measure on")
    steps: dict[str, Step] = {}
    rows: list[Mapping[str, Any]] = [{"name": BASELINE, "says": "the baseline"}, *table.get("steps", [])]
    for row in rows:
        known = {"name", "says", "set", "sources", "teachers", "runs", "estimator", "flip"}
        _refuse_unknown(path, row, known)
        name = _text(path, row, "name")
        place = f"{path}, step {name}"
        if name in steps or name != Path(name).name:
            raise DataError(f"{place}: each step needs a name of its own that can name a folder")
        trained = not ({"runs", "estimator", "flip"} & row.keys())
        if not trained and ({"set", "sources", "teachers"} & row.keys()):
            raise DataError(f"{place}: either trains (set, sources, teachers) or reads answers (runs, estimator, flip)")
        others = (*_texts(place, row, "teachers"), *_texts(place, row, "runs"))
        if absent := [other for other in others if other not in steps]:
            raise DataError(f"{place}: names {', '.join(absent)}, which is no step before it")
        try:
            own = chosen_recipe(RECIPES, recipe, [*changes, *_texts(place, row, "set")]) if trained else None
        except ValueError as error:
            raise DataError(f"{place}: {error}") from error
        estimator = row.get("estimator", "mean")
        if estimator not in ESTIMATORS:
            raise DataError(f"{place}: estimator is {estimator!r}, it must be one of {', '.join(ESTIMATORS)}")
        steps[name] = Step(
            name=name,
            says=_text(place, row, "says"),
            recipe=own,
            sources=_texts(place, row, "sources") or sources,
            teachers=_texts(place, row, "teachers"),
            runs=(name,) if trained else _texts(place, row, "runs") or (BASELINE,),
            estimator=estimator,
            flip=bool(row.get("flip", False)),
        )
    return Plan(sources=sources, steps=tuple(steps.values()))


def _refuse_unknown(place: object, table: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(table.keys() - known):
        raise DataError(f"{place}: unknown keys {', '.join(unknown)}; there are {', '.join(sorted(known))}")


def _text(place: object, table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise DataError(f"{place}: `{key}` must be a text, it is {value!r}")
    return value


def _texts(place: object, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise DataError(f"{place}: `{key}` must be a list of texts, it is {value!r}")
    return tuple(value)
