"""The age model's training configurations: every field has its limits."""

import dataclasses

import pytest

from agepred_train import recipes
from agepred_train.recipes import RECIPES, Recipe


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_bears_its_name(name):
    assert RECIPES[name]().name == name


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Recipe) if field.name != "name"])
def test_every_number_has_a_lower_limit(field):
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(recipes.first_light(), **{field: -1})


@pytest.mark.parametrize(
    "change",
    [{"crop_side": 100}, {"crop_side": 1024}, {"dropout": 1.0}, {"ema_decay": 1.0}, {"erase_share": 1.1}],
)
def test_upper_limits_hold(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        dataclasses.replace(recipes.first_light(), **change)
