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
    [
        {"crop_side": 100}, {"crop_side": 1024}, {"dropout": 1.0}, {"ema_decay": 1.0}, {"erase_share": 1.1},
        {"balance_power": 1.5}, {"backbone": "vgg16"}, {"loss": "mse"}, {"hidden": "512,x"}, {"hidden": "0"},
        {"source_weights": "fairface"}, {"source_weights": "fairface=-1"}, {"select": "test_mae"},
        {"devices": 2, "frozen_epochs": 3}, {"start_side": 16, "growth_epochs": 2},
        {"start_side": 128, "growth_epochs": 2}, {"start_side": 100, "growth_epochs": 2}, {"start_side": 80},
        {"growth_epochs": 2}, {"growth_epochs": 12, "start_side": 80},
    ],
)  # fmt: skip
def test_upper_limits_hold(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        dataclasses.replace(recipes.first_light(), **change)


def test_crops_grow_in_equal_parts_of_the_epochs_and_then_stay():
    recipe = dataclasses.replace(recipes.first_light(), start_side=80, growth_epochs=11)
    assert [recipe.side_in(epoch) for epoch in range(13)] == [80] * 6 + [96] * 5 + [112] * 2
    assert dataclasses.replace(recipe, start_side=112).side_in(0) == recipe.crop_side
    assert recipes.first_light().side_in(0) == recipe.crop_side


def test_first_light_and_smoke_are_what_they_were():
    """Fields added since change nothing of a recipe that does not name them."""
    first_light = recipes.first_light()
    assert first_light.exportable
    assert (first_light.loss, first_light.optimizer, first_light.schedule) == ("soft_label", "adamw", "cosine")
    assert (first_light.balance, first_light.select, first_light.frozen_epochs) == ("none", "val_mae", 0)
    added = ("blur_share", "sharpen_share", "rescale_share", "jpeg_share", "exposure_share")
    assert all(getattr(first_light, share) == 0 for share in added)


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("reference_groups")])
def test_reference_of_groups_is_as_published(name):
    recipe = RECIPES[name]()
    assert (recipe.head, recipe.loss, recipe.hidden_sizes, recipe.dropout) == (
        "groups",
        "cross_entropy",
        (512, 256),
        0.3,
    )
    assert (recipe.optimizer, recipe.learning_rate, recipe.batch_size, recipe.epochs) == ("adam", 1e-3, 32, 10)
    assert (recipe.crop_side, recipe.select, recipe.frozen_epochs) == (224, "val_accuracy", recipe.epochs)
    assert not recipe.exportable
    dataclasses.replace(recipe, devices=2)  # nothing is unfrozen


def test_several_processes_refuse_to_unfreeze():
    with pytest.raises(ValueError, match="cannot be unfrozen with several"):
        dataclasses.replace(recipes.first_light(), devices=2, unfreeze_epochs=3)
