"""What one step of training the age network is: loss, validation figures, optimizer, and what its checkpoints hold."""

from collections.abc import Mapping, Sequence
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from agepred_train.distill import Teachers
from agepred_train.fit import versions
from agepred_train.freezing import freeze, open_stages
from agepred_train.heads import head_of
from agepred_train.labels import Batch, Labels, outside
from agepred_train.loss import distillation_loss
from agepred_train.mixing import mixed
from agepred_train.network import make_network, stages
from agepred_train.optimize import configure
from agepred_train.overrides import to_dict
from agepred_train.recipes import Recipe
from agepred_train.shrinking import shrunk

RECORD_KEY = "record"
"""Of a checkpoint: what the run started from, the versions, and the validation figures of that moment."""

# Half of the year that a rounded age stands for: 29.4 is still 29, and inside of 20 to 29.
_ROUNDING = 0.5


class AgeTask(lightning.LightningModule):
    """The training step, the validation step and the optimizer of one recipe.

    Args:
        recipe: everything that is free to choose.
        total_steps: optimizer steps of all epochs.
        start: what the run starts from; it is kept in every checkpoint.
        sources: names of the data sets that the validation loaders are of, in order; the first chooses.
        teachers: to learn from beside the labels.
    """

    def __init__(
        self,
        recipe: Recipe,
        total_steps: int,
        *,
        start: Mapping[str, Any],
        sources: Sequence[str] = ("",),
        teachers: Teachers | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters({"recipe": to_dict(recipe)})
        self.recipe = recipe
        self.total_steps = total_steps
        self.network = make_network(recipe)
        self._head = head_of(recipe)
        self._start = dict(start)
        self._sources = tuple(sources)
        self._teachers = teachers
        self._freeze(0)

    def setup(self, stage: str) -> None:
        """Limit this process's threads; processes that Lightning spawned begin with as many as there are cores."""
        torch.set_num_threads(self.recipe.threads)

    def on_fit_start(self) -> None:
        """Move the teachers to where the network is."""
        if self._teachers is not None:
            self._teachers.to(self.device)

    def on_train_epoch_start(self) -> None:
        """Choose what learns."""
        self._freeze(self.current_epoch)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        mixture = mixed(batch, self.recipe.mix_share) if self.recipe.mix_share else None
        if mixture is not None:
            batch = mixture.batch
        # Crops arrive with the channels innermost in memory; the weights match (see `train`).
        outputs = self.network(shrunk(batch.crops, self.recipe.side_in(self.current_epoch)))
        costs = self._cost(outputs, batch.labels)
        if mixture is not None:
            costs = torch.lerp(self._cost(outputs, mixture.others), costs, mixture.own)
        loss = costs.mean()
        if self._teachers is not None and batch.teacher_crops is not None:
            temperature = self.recipe.temperature
            teacher = self._teachers.distribution(batch.teacher_crops, temperature)
            loss = loss + self.recipe.distill_weight * distillation_loss(outputs, teacher, temperature).mean()
        self.log("loss", loss, prog_bar=True, batch_size=len(outputs))
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(outputs), sync_dist=self._shared)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Add one batch to the figures of its data set; ages count as wrong by what they lie outside their label."""
        outputs, labels = self.network(batch.crops), batch.labels
        ages = self._head.age(outputs)
        errors = outside(ages, labels).abs()
        figures = {"val_mae": errors.mean()}
        if dataloader_idx == 0:
            figures["val_loss"] = self._head.loss(outputs, labels).mean()
            figures["val_accuracy"] = self._head.group_hits(outputs, labels).float().mean()
        else:
            figures["val_inside"] = (errors <= _ROUNDING).float().mean()
        suffix = f"_{self._sources[dataloader_idx]}" if dataloader_idx else ""
        for name, value in figures.items():
            self.log(
                name + suffix,
                value,
                prog_bar=name == self.recipe.select,
                # Lightning takes the mean of the processes' counts in whole numbers: so there is never a rest.
                batch_size=len(outputs) * self.recipe.devices,
                add_dataloader_idx=False,
                sync_dist=self._shared,
            )

    def on_train_epoch_end(self) -> None:
        """Step a plateau's schedule: before the checkpoint is written, where Lightning would after."""
        schedule = self.lr_schedulers()
        if isinstance(schedule, ReduceLROnPlateau):
            schedule.step(self.trainer.callback_metrics[self.recipe.select])

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step the schedules that go on every step."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

    def configure_optimizers(self) -> Any:
        """Return the recipe's optimizer and its schedule."""
        return configure(self.network, self.recipe, self.total_steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the record."""
        known = self.trainer.callback_metrics.items()
        figures = {name: float(value) for name, value in known if name.startswith("val_")}
        checkpoint[RECORD_KEY] = {**self._start, "versions": versions(), "figures": figures}

    @property
    def figures(self) -> list[str]:
        """The names of what an epoch's line holds."""
        others = [f"{name}_{source}" for source in self._sources[1:] for name in ("val_mae", "val_inside")]
        return ["train_loss", "val_mae", "val_loss", "val_accuracy", *others]

    def _cost(self, outputs: Tensor, labels: Labels) -> Tensor:
        return labels.weight * self._head.loss(outputs, labels)

    @property
    def _shared(self) -> bool:
        return self.recipe.devices > 1

    def _freeze(self, epoch: int) -> None:
        if self.recipe.frozen_epochs or self.recipe.unfreeze_epochs:
            parts = stages(self.network)
            freeze(parts, open_stages(self.recipe, len(parts), epoch))
