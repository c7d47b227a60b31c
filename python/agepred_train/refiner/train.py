"""Train the refiner: from faces with points to the checkpoint with the smallest validation error and its record."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from agepred_train.detector.annotations import read_packed
from agepred_train.detector.label import LANDMARKS
from agepred_train.detector.scenes import EpochSampler
from agepred_train.fit import BEST_CHECKPOINT, RECORD, adamw, fit, load_best, load_weights, versions
from agepred_train.overrides import to_dict
from agepred_train.refiner.crops import (
    PointedFaces,
    RefinerCrops,
    collate,
    cut,
    detector_errors,
    near_face,
    shrunk,
)
from agepred_train.refiner.network import PointsNetwork, crop_points
from agepred_train.refiner.recipe import RefinerRecipe
from agepred_train.refiner.similarity import Points
from agepred_train.resume import begin, refuse_finished
from agepred_train.storage import sha256_of_file, write_json

_LOOKS = 4
"""Validation crops of each face: as packed and shrunk, each with two different errors of the detector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinerRun:
    """What a finished training left behind."""

    folder: Path
    """Holds start.json, best.ckpt, last.ckpt, metrics.jsonl and record.json."""
    val_error: float
    """Best mean point error on `val`, as a share of the distance between the eyes."""


class RefinerTask(lightning.LightningModule):
    """The training step, the validation step and the optimizer of one recipe."""

    def __init__(self, recipe: RefinerRecipe) -> None:
        super().__init__()
        self.save_hyperparameters({"recipe": to_dict(recipe)})
        self.recipe = recipe
        self.network = make_network(recipe)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of one batch: the distances in units of the eyes', almost linear even when small."""
        crops, points = batch
        error = (self.network(crops) - points) / self.recipe.eyes
        loss = functional.smooth_l1_loss(error, torch.zeros_like(error), beta=0.02)
        self.log("loss", loss, prog_bar=True, logger=False, batch_size=len(crops))
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(crops))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Add one batch to the mean point error."""
        crops, points = batch
        off = (self.network(crops) - points).unflatten(1, (5, 2)).norm(dim=2)
        eyes = (points[:, 0:2] - points[:, 2:4]).norm(dim=1)
        self.log("val_error", (off.mean(dim=1) / eyes).mean(), prog_bar=True, batch_size=len(crops))

    def configure_optimizers(self) -> Any:
        """Return AdamW and its schedule."""
        return adamw(
            self.network,
            learning_rate=self.recipe.learning_rate,
            weight_decay=self.recipe.weight_decay,
            warmup_steps=self.recipe.warmup_steps,
            total_steps=self.recipe.epochs * self.recipe.epoch_steps,
        )


def make_network(recipe: RefinerRecipe) -> PointsNetwork:
    """Return the untrained network of a recipe."""
    return PointsNetwork(side=recipe.crop_side, width=recipe.width)


def train_refiner(
    recipe: RefinerRecipe, data: Path, points: Path, out: Path, *, weights: Path | None = None, resume: bool = False
) -> RefinerRun:
    """Train a network on the split `train` of all sets and choose its epoch on the labeled landmarks of `val`.

    `test` is never read. `out` receives what training a detector leaves.

    Args:
        recipe: everything that is free to choose.
        data: folder of the archives.
        points: folder of the tables of labels with the best points to be had.
        out: folder of this run; it must not hold another one unless `resume` is set.
        weights: folder of a run whose best network this one starts from; None starts from random numbers.
        resume: go on from last.ckpt if there is one.

    Raises:
        FileExistsError: `out` holds a run and `resume` is not set.
        ResumeError: the run in `out` started from something else.
        FileNotFoundError, DataError: an archive or a table is missing or malformed, or a checkpoint cannot be read.
    """
    refuse_finished(out, resume=resume)
    faces = PointedFaces.load(data, points, max_pictures=recipe.max_pictures)
    val = validation_crops(data, recipe)
    start = {
        "format": 1,
        "recipe": to_dict(recipe),
        "data": faces.hashes,
        "start_weights_sha256": sha256_of_file(weights / BEST_CHECKPOINT) if weights else None,
    }
    lightning.seed_everything(recipe.seed, verbose=False)
    torch.set_num_threads(recipe.threads)
    task = RefinerTask(recipe)
    if weights is not None:
        load_weights(task.network, load_trained_refiner(weights)[0], weights)
    last = begin(out, start, resume=resume)  # leaves something behind, so nothing may be refused after it
    task.to(memory_format=torch.channels_last)
    val_error = fit(
        task,
        _loader(faces, recipe),
        DataLoader(val, 64, collate_fn=collate),  # type: ignore[arg-type]  # a list is a data set, too
        out,
        epochs=recipe.epochs,
        ema_decay=recipe.ema_decay,
        monitor="val_error",
        mode="min",
        figures=("train_loss", "val_error"),
        last=last,
    )
    write_json(out / RECORD, {**start, "versions": versions(), "best": {"val_error": val_error, "val_crops": len(val)}})
    return RefinerRun(folder=out, val_error=val_error)


def load_trained_refiner(run: Path) -> tuple[PointsNetwork, RefinerRecipe]:
    """Return the network with the averaged weights of a run's best epoch, in evaluation mode.

    Raises:
        FileNotFoundError: the run has no checkpoint.
        DataError: the checkpoint is not one that `train_refiner` writes.
    """
    return load_best(run, RefinerRecipe, make_network, "train-refiner")


def validation_crops(data: Path, recipe: RefinerRecipe) -> list[tuple[NDArray[np.uint8], Points]]:
    """Return crops of the labeled landmarks of `val`, as packed and shrunk, with seeded errors of the detector."""
    labeled = read_packed(data / f"{LANDMARKS}.tar", data / f"{LANDMARKS}.csv").part("val")
    targets = crop_points(recipe.eyes)
    crops = []
    for number, picture in enumerate(labeled[: recipe.max_pictures or None]):
        whole = near_face(picture.stored.read_picture(), picture.faces.points[0])
        for look in range(_LOOKS):
            rng = np.random.default_rng([number, look])
            seen, points = shrunk(*whole, recipe.finest_eyes, rng) if look % 2 else whole
            crops.append(cut(seen, detector_errors(points, recipe, rng), points, targets, recipe.crop_side))
    return crops


def _loader(faces: PointedFaces, recipe: RefinerRecipe) -> DataLoader[Any]:
    return DataLoader(
        RefinerCrops(faces, recipe),
        recipe.batch_size,
        sampler=EpochSampler(recipe.epoch_steps * recipe.batch_size),
        num_workers=recipe.num_workers,
        persistent_workers=recipe.num_workers > 0,
        collate_fn=collate,
        drop_last=True,
    )
