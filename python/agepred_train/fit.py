"""What all training runs share: optimizer, averaged weights, log, the fit itself, and the checkpoint it leaves."""

import csv
import json
import logging
import math
import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import Strategy
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from agepred_train.archive import DataError
from agepred_train.memory import keep_freed_memory
from agepred_train.model import read_checkpoint
from agepred_train.overrides import from_dict

BEST_CHECKPOINT = "best.ckpt"
LAST_CHECKPOINT = "last.ckpt"
RECORD = "record.json"
METRICS = "metrics.jsonl"

R = TypeVar("R")
N = TypeVar("N", bound=nn.Module)

_RECORDED_PACKAGES = ("torch", "lightning", "numpy", "pillow")


class AveragedWeights(WeightAveraging):
    """Exponential moving average of weights and statistics, validated and saved in the weights' place.

    The decay rises to its final value, so that the random start of the head is soon forgotten.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(avg_fn=_Average(decay))


@dataclass(frozen=True, slots=True)
class _Average:
    """The average's next value; a class because spawned processes get it as a pickle."""

    decay: float

    def __call__(self, old: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        steps = float(count)
        return old + (new - old) * (1.0 - min(self.decay, (1.0 + steps) / (10.0 + steps)))


class EpochLines(Callback):
    """Append each epoch's figures, those that it has, to a file as one line of JSON, and to a table beside it."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._path = path
        self._names = tuple(names)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the line; Lightning validates before it calls this."""
        if not trainer.is_global_zero:
            return
        known = trainer.callback_metrics
        figures = {name: round(float(known[name]), 4) for name in self._names if name in known}
        line = {"epoch": trainer.current_epoch, "step": trainer.global_step, **figures}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        with self._path.with_suffix(".csv").open("a", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, ["epoch", "step", *self._names])
            if not file.tell():
                table.writeheader()
            table.writerow(line)


def adamw(network: nn.Module, *, learning_rate: float, weight_decay: float, warmup_steps: int, total_steps: int) -> Any:
    """Return, for Lightning, AdamW with a linear warm-up and a cosine down to zero, stepped per batch.

    Biases and normalization are not decayed.
    """
    optimizer = AdamW(decayed_and_not(network, weight_decay), lr=learning_rate)
    schedule = warmup_and_cosine(optimizer, warmup_steps, total_steps)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def decayed_and_not(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return an optimizer's two groups of parameters: matrices and kernels, and vectors, which are not decayed."""
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    vectors = [weight for weight in network.parameters() if weight.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def warmup_and_cosine(optimizer: Optimizer, warmup_steps: int, total_steps: int) -> LambdaLR:
    """Return a schedule per step: a linear rise from 0, then a cosine down to 0."""
    warmup = min(warmup_steps, total_steps // 2)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 + 0.5 * math.cos(math.pi * (step - warmup) / max(1, total_steps - warmup))

    return LambdaLR(optimizer, factor)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a result depends on."""
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in _RECORDED_PACKAGES},
    }


def fit(
    task: lightning.LightningModule,
    loader: DataLoader[Any],
    val_loader: DataLoader[Any] | Sequence[DataLoader[Any]],
    out: Path,
    *,
    epochs: int,
    ema_decay: float,
    monitor: str,
    mode: Literal["min", "max"],
    figures: Sequence[str],
    last: Path | None,
    precision: str = "32-true",
    devices: int = 1,
    callbacks: Sequence[Callback] = (),
    tensorboard: bool = False,
) -> float:
    """Train whole epochs, on a GPU where there is one; keep the best and the last checkpoint and a line an epoch.

    Args:
        task: what is trained.
        loader: training batches.
        val_loader: validation batches, of one data set or of several.
        out: folder of the run.
        epochs: how many in all.
        ema_decay: of the averaged weights, which are validated and kept.
        monitor: the figure that chooses the best epoch.
        mode: whether the least or the largest is best.
        figures: what a line of metrics.jsonl holds.
        last: checkpoint to go on from.
        precision: Lightning's name; bfloat16 pays for wide layers only, narrow ones are as fast in float32.
        devices: processes that train together, spawned; loaders give each its share.
        callbacks: further ones.
        tensorboard: whether to log there too, where it is installed.

    Returns:
        The best epoch's `monitor`.
    """
    keep_freed_memory()
    best = ModelCheckpoint(out, "best", monitor=monitor, mode=mode, enable_version_counter=False)
    # Saved after every epoch, once `best` has judged it, so that a stop costs one epoch at most.
    latest = ModelCheckpoint(out, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    lines = EpochLines(out / METRICS, figures)
    with known_notices_hidden():
        trainer = lightning.Trainer(
            default_root_dir=out,
            # Apple's accelerator is one device; several processes then share the processor.
            accelerator="cpu" if devices > 1 and not torch.cuda.is_available() else "auto",
            devices=devices,
            strategy=_spawned() if devices > 1 else "auto",
            use_distributed_sampler=False,
            precision=precision,  # type: ignore[arg-type]  # one of many literals
            max_epochs=epochs,
            callbacks=[AveragedWeights(ema_decay), *callbacks, lines, best, latest, RichProgressBar(leave=True)],
            logger=_tensorboard(out) if tensorboard else False,
            log_every_n_steps=10,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(task, loader, val_loader, ckpt_path=last, weights_only=True)
    if devices == 1:
        return float(best.best_model_score if best.best_model_score is not None else math.nan)
    # The processes that knew it are gone.
    return float(read_checkpoint(out / BEST_CHECKPOINT)["callbacks"][best.state_key]["best_model_score"])


def _spawned() -> Strategy:
    # Its module needs a name that is private to Lightning: a version without it must not stop a single process.
    from agepred_train.spawning import SpawnedProcesses  # noqa: PLC0415

    return SpawnedProcesses()


def _tensorboard(out: Path) -> TensorBoardLogger | bool:
    """Return a log for TensorBoard in a run's folder; False where its package is not installed."""
    if find_spec("tensorboard") is None and find_spec("tensorboardX") is None:
        return False
    return TensorBoardLogger(out, name="tensorboard", version="")


def load_best(run: Path, kind: type[R], make: Callable[[R], N], command: str) -> tuple[N, R]:
    """Return the network with the averaged weights of a run's best epoch, in evaluation mode, and its recipe.

    Args:
        run: folder of the run.
        kind: of the recipe.
        make: gives the untrained network of a recipe.
        command: that writes such runs, for the message.

    Raises:
        FileNotFoundError: the run has no checkpoint.
        DataError: the checkpoint is not one of such a run.
    """
    path = run / BEST_CHECKPOINT
    checkpoint = read_checkpoint(path)
    try:
        recipe = from_dict(kind, checkpoint["hyper_parameters"]["recipe"])
        network = make(recipe)
        state = checkpoint["state_dict"]
        network.load_state_dict({name.removeprefix("network."): value for name, value in state.items()})
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise DataError(f"{path}: not a checkpoint of `{command}` ({error!r}); train again") from error
    return network.eval(), recipe


@contextmanager
def known_notices_hidden() -> Iterator[None]:
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
        # A frozen backbone is meant to be.
        warnings.filterwarnings("ignore", message="Found .* module.* in eval mode at the start of training")
        # Small sets have epochs shorter than the interval at which steps are logged.
        warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than the logging")
        try:
            yield
        finally:
            notices.setLevel(level)


def load_weights(network: nn.Module, trained: nn.Module, run: Path) -> None:
    """Give a network the weights of another one of the same shape, that of a run's best epoch.

    Raises:
        DataError: the shapes differ.
    """
    try:
        network.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        raise DataError(
            f"{run / BEST_CHECKPOINT}: its network has another shape than this recipe's; start from a run of the same "
            "architecture, widths and head, or from random numbers"
        ) from error
