"""Optimizers and learning-rate schedules of the age network's recipes."""

from typing import Any

from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from agepred_train.fit import decayed_and_not, warmup_and_cosine
from agepred_train.recipes import Recipe

# Where the validation figure stops getting better, the learning rate falls to a third after two more epochs.
_PLATEAU = {"factor": 1 / 3, "patience": 2}


def configure(network: nn.Module, recipe: Recipe, total_steps: int) -> Any:
    """Return, for Lightning, the recipe's optimizer and schedule.

    Biases and normalization are not decayed. Schedules go on every step; a plateau's is the task's to step.
    """
    kind = AdamW if recipe.optimizer == "adamw" else Adam
    optimizer = kind(decayed_and_not(network, recipe.weight_decay), lr=recipe.learning_rate)
    if recipe.schedule == "plateau":
        mode = "max" if recipe.select == "val_accuracy" else "min"
        plateau = ReduceLROnPlateau(optimizer, mode, **_PLATEAU)  # type: ignore[arg-type]  # mode is a literal there
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": plateau, "interval": "epoch", "monitor": recipe.select},
        }
    schedule = _per_step(optimizer, recipe, total_steps)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _per_step(optimizer: Optimizer, recipe: Recipe, total_steps: int) -> LRScheduler:
    if recipe.schedule == "cosine":
        return warmup_and_cosine(optimizer, recipe.warmup_steps, total_steps)
    if recipe.schedule == "one_cycle":
        # Smith & Topin 2018, "Super-Convergence": up over 30 % of all steps, then down to next to nothing.
        return OneCycleLR(optimizer, max_lr=recipe.learning_rate, total_steps=total_steps)
    return LambdaLR(optimizer, lambda _: 1.0)
