"""Training configurations: limits, overrides, JSON."""

import dataclasses
import json

import pytest

from agepred_train import recipes
from agepred_train.recipes import RECIPES, Recipe, with_overrides


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_survives_json(name):
    recipe = RECIPES[name]()
    assert recipe.name == name
    assert recipes.from_dict(json.loads(json.dumps(recipes.to_dict(recipe)))) == recipe


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


def test_overrides_take_the_type_of_their_field():
    recipe = with_overrides(recipes.first_light(), ["epochs=3", "learning_rate=2e-4", "scale=0"])
    assert (recipe.epochs, recipe.learning_rate, recipe.scale) == (3, 2e-4, 0.0)
    assert isinstance(recipe.scale, float)
    assert with_overrides(recipe, []) == recipe


@pytest.mark.parametrize("assignment", ["epochs", "epoch=3", "epochs=three", "epochs=1.5", "epochs=0", "=3"])
def test_wrong_override_is_named(assignment):
    with pytest.raises(ValueError, match=assignment.split("=", maxsplit=1)[0] or "key=value"):
        with_overrides(recipes.first_light(), [assignment])


def test_unknown_field_of_a_stored_recipe_is_refused():
    with pytest.raises(ValueError, match="mixup"):
        recipes.from_dict(recipes.to_dict(recipes.smoke()) | {"mixup": 0.2})
