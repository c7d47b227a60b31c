"""Train an age network: from crops to the checkpoint with the best validation figure and its record."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from agepred_train.archive import DataError
from agepred_train.data import Collection, Sample
from agepred_train.dataset import FaceCrops
from agepred_train.distill import Teachers
from agepred_train.fit import BEST_CHECKPOINT, RECORD, fit, versions
from agepred_train.labels import Batch, collate
from agepred_train.model import read_checkpoint
from agepred_train.network import load_start_weights
from agepred_train.prepare import Faces, clean
from agepred_train.processes import RandomState, SameWeights
from agepred_train.recipes import Recipe
from agepred_train.resume import (
    FROM_RUN,
    begin,
    describe_start,
    discard,
    holds_other,
    refuse_finished,
    refuse_own,
    with_weights_of_run,
)
from agepred_train.sampling import EpochSampler, ShareSampler, balancing_weights
from agepred_train.sources import of_source, sources_of, weights_by_source
from agepred_train.storage import write_json
from agepred_train.task import RECORD_KEY, AgeTask
from agepred_train.windows import Windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a finished training left behind."""

    folder: Path
    """Holds start.json, best.ckpt, last.ckpt, metrics.jsonl, metrics.csv and record.json."""
    figures: Mapping[str, float]
    """Validation figures of the best epoch: val_mae in years, val_loss, val_accuracy (a share), and so on."""

    @property
    def val_mae(self) -> float:
        """The best epoch's validation MAE in years."""
        return self.figures["val_mae"]


def train(
    recipe: Recipe,
    collection: Collection,
    faces: Faces,
    out: Path,
    *,
    weights: Path | None = None,
    teachers: Sequence[Path] = (),
    windows: Windows | None = None,
    resume: bool = False,
    replace: bool = False,
) -> Run:
    """Train a network on the collection's `train` split and choose its epoch on `val`.

    The `test` split is never read. `out` receives start.json (what the run starts from), best.ckpt (averaged
    weights of the best epoch), last.ckpt, metrics.jsonl and metrics.csv (a line per epoch), record.json (what went
    in and what came out), and tensorboard/ where that is installed. A resumed run ends as an unbroken one would.

    Args:
        recipe: everything that is free to choose.
        collection: labeled pictures with splits; several data sets come from `sources.join`, or are named in
            their table; they are validated each by itself, and the figure of the first that has `val` chooses.
        faces: their faces, from `prepare`.
        out: folder of this run; it must not hold another one unless `resume` or `replace` is set.
        weights: what to start from: an ImageNet `state_dict`, or the folder of a finished run, whose best epoch counts.
            None starts from random numbers, or when resuming from what the run started from.
        teachers: folders of finished runs to learn from beside the labels; several answer as their mean.
        windows: the pixels around the faces, where they were kept; without them pictures are decoded.
        resume: go on from last.ckpt if there is one; recipe, data and detector must be those of the start.
        replace: go on likewise, but a run in `out` that started from something else gives way to this one, which then
            starts from `weights` alone, once all that it needs is known to be there.

    Raises:
        FileExistsError: `out` holds a run, and neither `resume` nor `replace` is set.
        ResumeError: the run in `out` started from something else.
        DataError: no sample is left to train on or to validate on, or a checkpoint cannot be read.
    """
    resume = resume or replace
    refuse_own(out, [*teachers, *([weights] if weights else [])])
    refuse_finished(out, resume=resume)
    taught = Teachers(teachers, recipe) if teachers else None
    anew = describe_start(recipe, collection, faces, weights, taught.sha256 if taught else ())
    start = with_weights_of_run(out, anew, resume=resume)
    replaced = replace and holds_other(out, start)
    if replaced:
        start = anew
    lightning.seed_everything(recipe.seed, verbose=False)
    torch.set_num_threads(recipe.threads)
    inputs = _Inputs.of(recipe, collection, faces, windows, teacher_side=taught.side if taught else 0)
    train_loader, val_loaders = _loaders(recipe, inputs)
    total_steps = recipe.epochs * len(train_loader)
    task = AgeTask(recipe, total_steps, start=start, sources=tuple(inputs.val), teachers=taught)
    if weights is not None:
        load_start_weights(task.network, recipe, weights)
    task.to(memory_format=torch.channels_last)
    if replaced:  # not before all that the new run needs is known to be there
        discard(out)
    last = begin(out, start, resume=resume)
    write_json(out / "cleaning.json", inputs.cleaning)
    fit(
        task,
        train_loader,
        val_loaders,
        out,
        epochs=recipe.epochs,
        ema_decay=recipe.ema_decay,
        monitor=recipe.select,
        mode="max" if recipe.select == "val_accuracy" else "min",
        figures=task.figures,
        last=last,
        precision=recipe.precision,
        devices=recipe.devices,
        callbacks=[RandomState(), *([SameWeights()] if recipe.devices > 1 else [])],
        tensorboard=True,
    )
    figures = read_checkpoint(out / BEST_CHECKPOINT)[RECORD_KEY]["figures"]
    write_json(out / RECORD, _record(start, inputs, figures))
    return Run(folder=out, figures=figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    train: FaceCrops
    val: Mapping[str, FaceCrops]
    """By the name of the data set."""
    cleaning: Mapping[str, int | float]
    median_age: int

    @staticmethod
    def of(
        recipe: Recipe, collection: Collection, faces: Faces, windows: Windows | None, teacher_side: int
    ) -> "_Inputs":
        limit = recipe.max_train_samples or None
        _refuse_other_cleaning(recipe, collection)
        samples, cleaning = clean(collection, faces, recipe.min_face_side)
        side = recipe.crop_side
        counted = [sample for sample in samples if sample.weight > 0]
        train = FaceCrops(
            counted[:limit], faces, side=side, augmentation=recipe, teacher_side=teacher_side, windows=windows
        )
        val_samples = collection.part("val")
        val = {
            source: FaceCrops(of_source(val_samples, source)[:limit], faces, side=side, windows=windows)
            for source in sources_of(collection)
        }
        # Some of several data sets may be for training alone.
        val = {source: crops for source, crops in val.items() if len(crops)}
        if len(train) < recipe.batch_size * recipe.devices or not val:
            raise DataError(
                f"{len(train)} samples to train on and {sum(map(len, val.values()))} to validate on are left after "
                f"cleaning; a step alone takes {recipe.batch_size * recipe.devices}"
            )
        _weight(train, recipe, sources_of(collection))
        return _Inputs(
            train=train,
            val=val,
            cleaning=asdict(cleaning),
            median_age=_median_age(_of_first_or_all(collection)),
        )


def _refuse_other_cleaning(recipe: Recipe, collection: Collection) -> None:
    """Refuse a size of faces that would count for nothing: a table of `agepred data` has judged every picture."""
    (usual,) = (field.default for field in fields(Recipe) if field.name == "min_face_side")
    judged = all(sample.dropped is not None for sample in collection.samples)
    if collection.samples and judged and recipe.min_face_side != usual:
        raise DataError(
            f"min_face_side is {recipe.min_face_side:g}, but the table of `agepred data` says what is dropped; "
            f"write it anew with --min-face {recipe.min_face_side:g}"
        )


def _weight(crops: FaceCrops, recipe: Recipe, sources: Sequence[str]) -> None:
    """Let labels count as the recipe says: by their data set, and where it balances the loss by how rare they are."""
    by_source = weights_by_source(recipe.source_weights)
    if absent := sorted(by_source.keys() - set(sources)):
        known = ", ".join(filter(None, sources)) or "one without a name"
        raise DataError(f"source_weights names {', '.join(absent)}, the data sets are {known}; name one of these")
    for position, sample in enumerate(crops.samples):
        source = next((source for source in sources if source and of_source([sample], source)), "")
        crops.weights[position] *= by_source.get(source, 1.0)
    if recipe.balance == "loss":
        crops.weights *= _balance(recipe, crops)


def _balance(recipe: Recipe, crops: FaceCrops) -> np.ndarray[Any, np.dtype[np.float64]]:
    return balancing_weights(crops.samples, by_group=recipe.head == "groups", power=recipe.balance_power)


def _of_first_or_all(collection: Collection) -> Sequence[Sample]:
    """Return what the first data set has to train on, or all have where it only validates."""
    samples = collection.part("train")
    return of_source(samples, sources_of(collection)[0]) or samples


def _median_age(samples: Sequence[Sample]) -> int:
    """Return the lower median of the ages in years, of ranges their middles: the answer where there is no face."""
    middles = sorted((sample.age_min + sample.age_max) // 2 for sample in samples)
    return middles[(len(middles) - 1) // 2]


def _loaders(recipe: Recipe, inputs: _Inputs) -> tuple[DataLoader[Batch], list[DataLoader[Batch]]]:
    common: dict[str, Any] = {
        "num_workers": recipe.num_workers,
        "collate_fn": collate,
        "pin_memory": torch.cuda.is_available(),
        # Workers do not outlive an epoch: their random state is no part of a checkpoint.
    }
    drawn: dict[str, Any] = {"shuffle": True}
    if recipe.balance == "sampler" or recipe.devices > 1:
        weights = _balance(recipe, inputs.train) if recipe.balance == "sampler" else None
        count = len(inputs.train)
        drawn = {"sampler": EpochSampler(count, weights=weights, processes=recipe.devices, seed=recipe.seed)}
    train = DataLoader(inputs.train, recipe.batch_size, drop_last=True, **drawn, **common)
    val = [
        DataLoader(crops, 2 * recipe.batch_size, sampler=_share(crops, recipe.devices), **common)
        for crops in inputs.val.values()
    ]
    return train, val  # type: ignore[return-value]  # batches, which the stubs call items


def _share(crops: FaceCrops, processes: int) -> Sampler[int] | None:
    return ShareSampler(len(crops), processes) if processes > 1 else None


def _record(start: Mapping[str, Any], inputs: _Inputs, figures: Mapping[str, float]) -> dict[str, object]:
    """Return the training record; nothing in it depends on when or in which folder the run took place."""
    first = next(iter(inputs.val.values()))
    samples = {"train_samples": len(inputs.train), "val_samples": len(first)}
    return {
        "format": 1,
        "recipe": start["recipe"],
        "data": {"sha256": start["data"], "median_train_age": inputs.median_age},
        "cleaning": inputs.cleaning,
        "val_without_face": first.without_face,
        "detector": start["detector"],
        "start_weights_sha256": start["start_weights_sha256"],
        **({FROM_RUN: True} if start.get(FROM_RUN) else {}),
        "teachers_sha256": start["teachers_sha256"],
        "versions": versions(),
        "best": {**figures, **samples},
    }
