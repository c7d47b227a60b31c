"""What all recipes share: chosen by name, changed by key=value, kept as JSON, refused out of their limits."""

import dataclasses
import json
import re
from dataclasses import dataclass

import pytest

from agepred_train import recipes
from agepred_train.detector import recipe as detector
from agepred_train.detector.recipe import DetectorRecipe
from agepred_train.overrides import (
    BELOW_ONE,
    check_limits,
    check_multiples,
    chosen_recipe,
    from_dict,
    to_dict,
    with_overrides,
)
from agepred_train.recipes import Recipe
from agepred_train.refiner import recipe as refiner
from agepred_train.refiner.recipe import RefinerRecipe

ALL = {
    f"{kind.__name__}-{name}": (kind, make)
    for kind, table in (
        (Recipe, recipes.RECIPES),
        (DetectorRecipe, detector.RECIPES),
        (RefinerRecipe, refiner.RECIPES),
    )
    for name, make in table.items()
}


@pytest.mark.parametrize("name", ALL)
def test_recipe_survives_json(name):
    kind, make = ALL[name]
    assert make().name == name.partition("-")[2]
    assert from_dict(kind, json.loads(json.dumps(to_dict(make())))) == make()


@pytest.mark.parametrize("kind", [DetectorRecipe, RefinerRecipe])
def test_every_number_of_a_recipe_has_a_lower_limit(kind):
    for field in dataclasses.fields(kind):
        if field.name != "name":
            with pytest.raises(ValueError, match=rf"recipe x: {field.name} is -1"):
                kind(name="x", **{field.name: -1})


@dataclass(frozen=True, kw_only=True)
class Tea:
    name: str = "tea"
    cups: int = 2
    sugar: float = 0.5

    def __post_init__(self):
        check_limits(self, (("cups", 0, 8), ("sugar", 0, BELOW_ONE)))
        check_multiples(self, {"cups": 2})


def test_limits_are_inclusive_and_named():
    assert (Tea(cups=0).cups, Tea(cups=8, sugar=BELOW_ONE).cups) == (0, 8)
    for change, words in (
        ({"cups": 10}, "recipe tea: cups is 10, it must lie within 0 to 8"),
        ({"sugar": 1.0}, "recipe tea: sugar is 1.0"),
        ({"sugar": float("nan")}, "recipe tea: sugar is nan"),
        ({"cups": 3}, "recipe tea: cups is 3, not a multiple of 2"),
    ):
        with pytest.raises(ValueError, match=re.escape(words)):
            Tea(**change)


def test_overrides_take_the_type_of_their_field():
    tea = with_overrides(Tea(), ["cups=4", "sugar=0"])
    assert (tea.cups, tea.sugar) == (4, 0.0)
    assert isinstance(tea.sugar, float)
    assert with_overrides(tea, []) == tea
    assert with_overrides(tea, ["cups=6", "cups=8"]).cups == 8


@pytest.mark.parametrize("assignment", ["cups", "cup=3", "cups=three", "cups=1.5", "cups=10", "=3"])
def test_wrong_override_is_named(assignment):
    with pytest.raises(ValueError, match=assignment.split("=", maxsplit=1)[0] or "key=value"):
        with_overrides(Tea(), [assignment])


def test_a_name_that_no_recipe_has_is_answered_with_those_there_are():
    assert chosen_recipe({"tea": Tea}, "tea", ["cups=4"]) == Tea(cups=4)
    with pytest.raises(ValueError, match=r"no recipe 'coffee'; there are tea, mate"):
        chosen_recipe({"tea": Tea, "mate": Tea}, "coffee", [])


def test_unknown_field_of_a_stored_recipe_is_refused():
    with pytest.raises(ValueError, match="unknown recipe field 'milk'"):
        from_dict(Tea, to_dict(Tea()) | {"milk": 0.2})


@pytest.mark.parametrize(("steps", "epoch_steps", "epochs"), [(1, 5, 1), (5, 5, 1), (6, 5, 2), (10, 5, 2)])
def test_steps_fill_whole_epochs(steps, epoch_steps, epochs):
    for kind in (DetectorRecipe, RefinerRecipe):
        assert kind(name="x", steps=steps, epoch_steps=epoch_steps).epochs == epochs
