"""Which parts of the backbone learn in which epoch."""

import math
from collections.abc import Sequence

from torch import nn

from agepred_train.recipes import Recipe


def open_stages(recipe: Recipe, count: int, epoch: int) -> int:
    """Return how many of `count` stages learn in an epoch, counted from the head's side.

    None in the first `frozen_epochs`; then all, or step by step over `unfreeze_epochs`.
    """
    learning = epoch - recipe.frozen_epochs + 1
    if learning <= 0:
        return 0
    if learning >= recipe.unfreeze_epochs:
        return count
    return math.ceil(count * learning / recipe.unfreeze_epochs)


def freeze(stages: Sequence[nn.Module], opened: int) -> None:
    """Let the last `opened` stages learn and hold the others still, their normalization's statistics included."""
    for position, stage in enumerate(stages):
        learns = position >= len(stages) - opened
        stage.requires_grad_(learns)
        stage.train(learns)
