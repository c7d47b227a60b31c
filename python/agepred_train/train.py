"""Train an age network: from crops to the checkpoint with the best validation error and its record."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from agepred_train.archive import DataError
from agepred_train.data import Collection, median_age
from agepred_train.dataset import FaceCrops
from agepred_train.fit import RECORD, adamw, fit, versions
from agepred_train.loss import age_loss, expected_age
from agepred_train.model import AgeNetwork, load_backbone
from agepred_train.overrides import to_dict
from agepred_train.prepare import Faces, clean
from agepred_train.recipes import Recipe
from agepred_train.resume import begin, describe_start, refuse_finished, with_weights_of_run
from agepred_train.storage import write_json
from agepred_train.windows import Windows

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a finished training left behind."""

    folder: Path
    """Holds start.json, best.ckpt, last.ckpt, metrics.jsonl and record.json."""
    val_mae: float
    """Best validation MAE in years."""


class AgeTask(lightning.LightningModule):
    """The training step, the validation step and the optimizer of one recipe."""

    def __init__(self, recipe: Recipe, total_steps: int) -> None:
        super().__init__()
        self.save_hyperparameters({"recipe": to_dict(recipe)})
        self.recipe = recipe
        self.total_steps = total_steps
        self.network = AgeNetwork(width=recipe.width, dropout=recipe.dropout)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch of crops [N, 3, S, S] and ages [N]."""
        crops, ages = batch
        # Crops arrive with the channels innermost in memory; the weights match (see `train`).
        logits = self.network(crops)
        loss = age_loss(logits, ages, sigma=self.recipe.label_sigma, l1_weight=self.recipe.l1_weight)
        self.log("loss", loss, prog_bar=True, logger=False, batch_size=len(ages))
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(ages))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add one batch to the validation MAE in years."""
        crops, ages = batch
        error = (expected_age(self.network(crops)) - ages).abs().mean()
        self.log("val_mae", error, prog_bar=True, batch_size=len(ages))

    def configure_optimizers(self) -> Any:
        """Return AdamW and its schedule."""
        return adamw(
            self.network,
            learning_rate=self.recipe.learning_rate,
            weight_decay=self.recipe.weight_decay,
            warmup_steps=self.recipe.warmup_steps,
            total_steps=self.total_steps,
        )


def train(
    recipe: Recipe,
    collection: Collection,
    faces: Faces,
    out: Path,
    *,
    weights: Path | None = None,
    windows: Windows | None = None,
    resume: bool = False,
) -> Run:
    """Train a network on the collection's `train` split and choose its epoch on `val`.

    The `test` split is never read. `out` receives start.json (what the run starts from), best.ckpt (averaged
    weights of the best epoch), last.ckpt, metrics.jsonl (a line per epoch) and record.json (what went in and
    what came out).

    Args:
        recipe: everything that is free to choose.
        collection: labeled pictures with splits.
        faces: their faces, from `prepare`.
        out: folder of this run; it must not hold another one unless `resume` is set.
        weights: ImageNet `state_dict` to start from; None starts from random numbers, or when resuming
            from what the run started from.
        windows: the pixels around the faces, where they were kept; without them pictures are decoded.
        resume: go on from last.ckpt if there is one; recipe, data and detector must be those of the start.

    Raises:
        FileExistsError: `out` holds a run and `resume` is not set.
        ResumeError: the run in `out` started from something else.
        DataError: no sample is left to train on or to validate on, or a checkpoint cannot be read.
    """
    refuse_finished(out, resume=resume)
    start = with_weights_of_run(out, describe_start(recipe, collection, faces, weights), resume=resume)
    lightning.seed_everything(recipe.seed, verbose=False)
    torch.set_num_threads(recipe.threads)
    inputs = _Inputs.of(recipe, collection, faces, windows)
    train_loader, val_loader = _loaders(recipe, inputs)
    task = AgeTask(recipe, total_steps=recipe.epochs * len(train_loader))
    if weights is not None:
        load_backbone(task.network, weights)
    task.to(memory_format=torch.channels_last)
    last = begin(out, start, resume=resume)
    write_json(out / "cleaning.json", inputs.cleaning)
    val_mae = fit(
        task,
        train_loader,
        val_loader,
        out,
        epochs=recipe.epochs,
        ema_decay=recipe.ema_decay,
        monitor="val_mae",
        mode="min",
        figures=("train_loss", "val_mae"),
        last=last,
        precision="bf16-mixed",
    )
    write_json(out / RECORD, _record(start, inputs, val_mae))
    return Run(folder=out, val_mae=val_mae)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    train: FaceCrops
    val: FaceCrops
    cleaning: Mapping[str, int | float]
    median_age: int

    @staticmethod
    def of(recipe: Recipe, collection: Collection, faces: Faces, windows: Windows | None) -> "_Inputs":
        limit = recipe.max_train_samples or None
        samples, cleaning = clean(collection, faces, recipe.min_face_side)
        side = recipe.crop_side
        train = FaceCrops(samples[:limit], faces, side=side, augmentation=recipe, windows=windows)
        val = FaceCrops(collection.part("val")[:limit], faces, side=side, windows=windows)
        if len(train) < recipe.batch_size or not len(val):
            raise DataError(
                f"{len(train)} samples to train on and {len(val)} to validate on are left after cleaning; "
                f"a batch alone takes {recipe.batch_size}"
            )
        return _Inputs(
            train=train,
            val=val,
            cleaning=asdict(cleaning),
            median_age=median_age(collection.part("train")),
        )


def _loaders(recipe: Recipe, inputs: _Inputs) -> tuple[DataLoader[Batch], DataLoader[Batch]]:
    common: dict[str, Any] = {
        "num_workers": recipe.num_workers,
        "persistent_workers": recipe.num_workers > 0,
        "collate_fn": _collate,
    }
    train = DataLoader(inputs.train, recipe.batch_size, shuffle=True, drop_last=True, **common)
    val = DataLoader(inputs.val, 2 * recipe.batch_size, **common)
    return train, val  # type: ignore[return-value]  # batches, which the stubs call samples


def _collate(items: list[tuple[Tensor, int]]) -> Batch:
    """Return crops uint8 [N, 3, S, S], channels innermost in memory, and ages int64 [N]."""
    crops, ages = zip(*items, strict=True)
    return torch.stack([crop.permute(1, 2, 0) for crop in crops]).permute(0, 3, 1, 2), torch.tensor(ages)


def _record(start: Mapping[str, Any], inputs: _Inputs, val_mae: float) -> dict[str, object]:
    """Return the training record; nothing in it depends on when or in which folder the run took place."""
    return {
        "format": 1,
        "recipe": start["recipe"],
        "data": {"sha256": start["data"], "median_train_age": inputs.median_age},
        "cleaning": inputs.cleaning,
        "val_without_face": inputs.val.without_face,
        "detector": start["detector"],
        "start_weights_sha256": start["start_weights_sha256"],
        "versions": versions(),
        "best": {"val_mae": val_mae, "train_samples": len(inputs.train), "val_samples": len(inputs.val)},
    }
