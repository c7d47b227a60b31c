"""Recipes as plain values: by name, `key=value` overrides, limits, and the way to and from JSON."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

R = TypeVar("R", bound="Any")

BELOW_ONE = 1.0 - 1e-6
TINY = 1e-9
UNBOUNDED = float("inf")

Limits = tuple[tuple[str, float, float], ...]


def check_limits(recipe: Any, limits: Limits) -> None:
    """Refuse a recipe with a field outside of its limits, both included.

    Raises:
        ValueError: the message names recipe, field, value and limits.
    """
    for name, low, high in limits:
        value = getattr(recipe, name)
        if not low <= value <= high:
            raise ValueError(f"recipe {recipe.name}: {name} is {value}, it must lie within {low} to {high}")


def check_multiples(recipe: Any, factors: Mapping[str, int]) -> None:
    """Refuse a recipe with a field that is not a multiple of its factor.

    Raises:
        ValueError: the message names recipe, field, value and factor.
    """
    for name, factor in factors.items():
        if getattr(recipe, name) % factor:
            raise ValueError(f"recipe {recipe.name}: {name} is {getattr(recipe, name)}, not a multiple of {factor}")


def check_choices(recipe: Any, choices: Mapping[str, Sequence[str]]) -> None:
    """Refuse a recipe with a field that is none of its choices.

    Raises:
        ValueError: the message names recipe, field, value and choices.
    """
    for name, allowed in choices.items():
        value = getattr(recipe, name)
        if value not in allowed:
            raise ValueError(f"recipe {recipe.name}: {name} is {value!r}, it must be one of {', '.join(allowed)}")


def chosen_recipe(recipes: Mapping[str, Callable[[], R]], name: str, assignments: Sequence[str]) -> R:
    """Return the recipe of a name with fields replaced as `with_overrides` does.

    Raises:
        ValueError: there is no such recipe, or an assignment does not fit.
    """
    if name not in recipes:
        raise ValueError(f"no recipe {name!r}; there are {', '.join(recipes)}")
    return with_overrides(recipes[name](), assignments)


def with_overrides(recipe: R, assignments: Sequence[str]) -> R:
    """Return the recipe with fields replaced by `key=value` texts, each value read as its field's type.

    Raises:
        ValueError: an assignment is malformed, names no field, or breaks a limit.
    """
    types = {field.name: type(getattr(recipe, field.name)) for field in dataclasses.fields(recipe)}
    changes: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or key not in types:
            raise ValueError(f"{assignment!r}: expected key=value with a key among {', '.join(types)}")
        try:
            changes[key] = types[key](text)
        except ValueError as error:
            raise ValueError(f"{assignment!r}: {key} takes a value of type {types[key].__name__}") from error
    return dataclasses.replace(recipe, **changes)


def to_dict(recipe: Any) -> dict[str, str | int | float]:
    """Return the fields as plain values that JSON can hold."""
    return dataclasses.asdict(recipe)


def from_dict(kind: type[R], values: Mapping[str, Any]) -> R:
    """Return the recipe of a kind that `to_dict` described.

    Raises:
        ValueError: a field is unknown or out of its limits.
    """
    unknown = sorted(set(values) - {field.name for field in dataclasses.fields(kind)})
    if unknown:
        raise ValueError(f"unknown recipe field {unknown[0]!r}; was it written by another version?")
    recipe: R = kind(**values)
    return recipe
