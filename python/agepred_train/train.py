"""Train an age network: from crops to the checkpoint with the best validation error and its record."""

import json
import logging
import math
import platform
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar, WeightAveraging
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from agepred_train import recipes
from agepred_train.data import Collection, DataError, median_age
from agepred_train.dataset import FaceCrops
from agepred_train.loss import age_loss, expected_age
from agepred_train.model import AgeNetwork, load_backbone, read_checkpoint
from agepred_train.prepare import Faces, clean
from agepred_train.recipes import Recipe
from agepred_train.resume import START, ResumeError, describe_start, resumed_start, write_start
from agepred_train.storage import write_json

Batch = tuple[Tensor, Tensor]

BEST_CHECKPOINT = "best.ckpt"
LAST_CHECKPOINT = "last.ckpt"
RECORD = "record.json"
METRICS = "metrics.jsonl"

_RECORDED_PACKAGES = ("torch", "lightning", "numpy", "pillow")


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
        self.save_hyperparameters({"recipe": recipes.to_dict(recipe)})
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
        """Return AdamW with a linear warm-up and a cosine down to zero, stepped per batch."""
        matrices = [weight for weight in self.network.parameters() if weight.ndim > 1]
        vectors = [weight for weight in self.network.parameters() if weight.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": matrices, "weight_decay": self.recipe.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        optimizer: Optimizer = AdamW(groups, lr=self.recipe.learning_rate)
        schedule = LambdaLR(optimizer, self._learning_rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _learning_rate_factor(self, step: int) -> float:
        warmup = min(self.recipe.warmup_steps, self.total_steps // 2)
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 + 0.5 * math.cos(math.pi * (step - warmup) / max(1, self.total_steps - warmup))


def train(
    recipe: Recipe,
    collection: Collection,
    faces: Faces,
    out: Path,
    *,
    weights: Path | None = None,
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
        resume: go on from last.ckpt if there is one; recipe, data and detector must be those of the start.

    Raises:
        FileExistsError: `out` holds a run and `resume` is not set.
        ResumeError: the run in `out` started from something else.
        DataError: no sample is left to train on or to validate on, or a checkpoint cannot be read.
    """
    last = out / LAST_CHECKPOINT
    if last.exists() and not resume:
        raise FileExistsError(f"{out}: holds a run; choose another folder, or resume it")
    start = _start(out, describe_start(recipe, collection, faces, weights), resume=resume)
    lightning.seed_everything(recipe.seed, verbose=False)
    torch.set_num_threads(recipe.threads)
    inputs = _Inputs.of(recipe, collection, faces)
    train_loader, val_loader = _loaders(recipe, inputs)
    task = AgeTask(recipe, total_steps=recipe.epochs * len(train_loader))
    if weights is not None:
        load_backbone(task.network, weights)
    task.to(memory_format=torch.channels_last)
    out.mkdir(parents=True, exist_ok=True)
    write_start(out, start)
    write_json(out / "cleaning.json", inputs.cleaning)
    best = ModelCheckpoint(out, "best", monitor="val_mae", enable_version_counter=False)
    # Saved after every epoch, once `best` has judged it, so that a stop costs one epoch at most.
    latest = ModelCheckpoint(out, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    callbacks = [AveragedWeights(recipe.ema_decay), EpochLines(out / METRICS), best, latest]
    with _known_notices_hidden():
        trainer = _trainer(recipe, out, callbacks)
        trainer.fit(task, train_loader, val_loader, ckpt_path=last if last.exists() else None, weights_only=True)
    val_mae = float(best.best_model_score if best.best_model_score is not None else math.nan)
    write_json(out / RECORD, _record(start, inputs, val_mae))
    return Run(folder=out, val_mae=val_mae)


def _start(out: Path, wanted: dict[str, Any], *, resume: bool) -> dict[str, Any]:
    """Return what the run in `out` starts from: as wanted, or where it goes on, as it once began."""
    last = out / LAST_CHECKPOINT
    begun = resume and (last.exists() or (out / START).exists())
    start = resumed_start(out, wanted) if begun else wanted
    if last.exists():
        # Lightning reads it only later, and answers damage with a traceback.
        read_checkpoint(last)
    elif start != wanted:
        raise ResumeError(
            f"{out}: the run was stopped before its first epoch ended, so it begins anew; name the weights again"
        )
    return start


class AveragedWeights(WeightAveraging):
    """Exponential moving average of weights and statistics, validated and saved in the weights' place.

    The decay rises to its final value, so that the random start of the head is soon forgotten.
    """

    def __init__(self, decay: float) -> None:
        def average(old: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
            steps = float(count)
            return old + (new - old) * (1.0 - min(decay, (1.0 + steps) / (10.0 + steps)))

        super().__init__(avg_fn=average)


class EpochLines(Callback):
    """Append each epoch's figures to a file as one line of JSON."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the line; Lightning validates before it calls this."""
        figures = {name: round(float(trainer.callback_metrics[name]), 4) for name in ("train_loss", "val_mae")}
        line = {"epoch": trainer.current_epoch, "step": trainer.global_step, **figures}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    train: FaceCrops
    val: FaceCrops
    cleaning: Mapping[str, int | float]
    median_age: int

    @staticmethod
    def of(recipe: Recipe, collection: Collection, faces: Faces) -> "_Inputs":
        limit = recipe.max_train_samples or None
        samples, cleaning = clean(collection, faces, recipe.min_face_side)
        side = recipe.crop_side
        train = FaceCrops(samples[:limit], faces, side=side, augmentation=recipe)
        val = FaceCrops(collection.part("val")[:limit], faces, side=side)
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


def _trainer(recipe: Recipe, out: Path, callbacks: list[Callback]) -> lightning.Trainer:
    precision: Literal["bf16-mixed"] = "bf16-mixed"
    return lightning.Trainer(
        default_root_dir=out,
        accelerator="auto",
        devices=1,
        precision=precision,
        max_epochs=recipe.epochs,
        callbacks=[*callbacks, RichProgressBar(leave=True)],
        logger=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


@contextmanager
def _known_notices_hidden() -> Iterator[None]:
    """Hide what Lightning says without need: tips, and warnings about its own code and our own folder."""
    notices = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = notices.level
    notices.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # The folder holds the cleaning report, and after a stop the checkpoints to resume from.
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        # Lightning 2.6 calls a function that PyTorch 2.13 deprecates.
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.* is deprecated")
        # Few cores are the usual case here: the recipe chooses the workers.
        warnings.filterwarnings("ignore", message="The '.*_dataloader' does not have many workers")
        try:
            yield
        finally:
            notices.setLevel(level)


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
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in _RECORDED_PACKAGES},
        },
        "best": {"val_mae": val_mae, "train_samples": len(inputs.train), "val_samples": len(inputs.val)},
    }
