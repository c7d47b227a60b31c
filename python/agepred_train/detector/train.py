"""Train the face detector: from labeled sets to the checkpoint with the best validation precision and its record."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from agepred_train.archive import DataError
from agepred_train.detector.annotations import AnnotatedPicture, Annotation, read_packed
from agepred_train.detector.assign import LossWeights, Targets, assign, detection_loss
from agepred_train.detector.boxes import greedy_groups
from agepred_train.detector.compose import PADDING
from agepred_train.detector.imitate import answers_loss, imitation_loss
from agepred_train.detector.label import SCENES
from agepred_train.detector.measure import Found, precision_recall
from agepred_train.detector.network import Cells, FaceNetwork, Predictions, Widths
from agepred_train.detector.recipe import DetectorRecipe
from agepred_train.detector.scenes import ComposedScenes, EpochSampler, TrainingSet, collate
from agepred_train.detector.yunet import YuNet, refuse_unlike, start_from
from agepred_train.fit import BEST_CHECKPOINT, RECORD, adamw, fit, load_best, load_weights, versions
from agepred_train.overrides import to_dict
from agepred_train.resume import begin, refuse_finished
from agepred_train.storage import sha256_of_file, write_json

MAX_OVERLAP = 0.3
"""Of two boxes that overlap by more, the surer one stays; as in the core."""

# Scores below it cannot matter for the curve of precision over recall.
_LEAST_SCORE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRun:
    """What a finished training left behind."""

    folder: Path
    """Holds start.json, best.ckpt, last.ckpt, metrics.jsonl and record.json."""
    val_ap: float
    """Best average precision at an overlap of 0.5 on the labeled faces of `val`, at two sizes, 0 to 1."""


class DetectorTask(lightning.LightningModule):
    """The training step, the validation step and the optimizer of one recipe.

    Args:
        recipe: of the run.
        teacher: whose features the network learns first; None goes without.
    """

    def __init__(self, recipe: DetectorRecipe, teacher: YuNet | None = None) -> None:
        super().__init__()
        self.save_hyperparameters({"recipe": to_dict(recipe)})
        self.recipe = recipe
        self.network = make_network(recipe)
        self._weights = LossWeights(score=recipe.score_weight, box=recipe.box_weight, points=recipe.points_weight)
        self._teacher = (teacher,)  # hidden from Lightning: no part of what is trained and saved
        self._found: list[tuple[Found, Annotation]] = []

    def on_fit_start(self) -> None:
        """Bring the teacher to where the network is."""
        for teacher in self._teacher:
            if teacher is not None:
                teacher.to(self.device)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """While the first layers learn, what lies after them stays as it is."""
        imitating = self._imitating()
        for part in (self.network.trunk, self.network.heads):
            part.requires_grad_(not imitating).train(not imitating)

    def training_step(self, batch: tuple[Tensor, Targets], batch_idx: int) -> Tensor:
        """Return the loss of one batch of scenes."""
        pixels, targets = batch
        features = self.network.first_features(pixels)
        maps = self.network.trunk(features)
        cells = Cells.of(pixels.shape[2], pixels.shape[3], pixels.device)
        predictions = Predictions.of(self.network.predict(maps), cells)
        parts = {}
        (teacher,) = self._teacher
        if teacher is not None:
            with torch.no_grad():
                wanted = teacher.first_features(pixels)
                wanted_maps = teacher.trunk(wanted)
                answers = Predictions.of(teacher.predict(wanted_maps), cells)
            parts["features"] = self.recipe.features_weight * imitation_loss([features, *maps], [wanted, *wanted_maps])
            if not self._imitating():
                parts["answers"] = self.recipe.answers_weight * answers_loss(
                    predictions, answers, targets.present.any(dim=1)
                )
        if not self._imitating():
            assignment = assign(predictions, targets, cells)
            parts |= detection_loss(predictions, targets, assignment, self._weights)
        loss: Tensor = sum(parts.values(), torch.zeros((), device=pixels.device))
        self.log("loss", loss, prog_bar=True, logger=False, batch_size=len(pixels))
        for name, value in {"train_loss": loss, **{f"train_{part}": value for part, value in parts.items()}}.items():
            self.log(name, value.detach(), on_step=False, on_epoch=True, batch_size=len(pixels))
        return loss

    def _imitating(self) -> bool:
        return self._teacher[0] is not None and self.global_step < self.recipe.imitation_steps

    def validation_step(self, batch: tuple[Tensor, Annotation], batch_idx: int) -> None:
        """Find the faces of one picture."""
        pixels, faces = batch
        self._found.append((detect(self.network, pixels), faces))

    def on_validation_epoch_end(self) -> None:
        """Log the average precision over all pictures."""
        found, faces = zip(*self._found, strict=True)
        self._found.clear()
        self.log("val_ap", precision_recall(found, faces).average_precision, prog_bar=True)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move pictures and targets; the labels of validation pictures stay in NumPy."""
        pixels, faces = batch
        return pixels.to(device), faces.to(device) if isinstance(faces, Targets) else faces

    def configure_optimizers(self) -> Any:
        """Return AdamW and its schedule."""
        return adamw(
            self.network,
            learning_rate=self.recipe.learning_rate,
            weight_decay=self.recipe.weight_decay,
            warmup_steps=self.recipe.warmup_steps,
            total_steps=self.recipe.epochs * self.recipe.epoch_steps,
        )


def make_network(recipe: DetectorRecipe) -> FaceNetwork:
    """Return the untrained network of a recipe."""
    return FaceNetwork(Widths(stem=recipe.stem, body=recipe.body))


@torch.no_grad()
def detect(network: FaceNetwork, pixels: Tensor) -> Found:
    """Return the faces of one picture [1, 3, H, W]."""
    cells = Cells.of(pixels.shape[2], pixels.shape[3], pixels.device)
    predictions = Predictions.of(network(pixels), cells)
    scores = predictions.scores[0].sigmoid().cpu().numpy()
    corners = predictions.boxes[0].cpu().numpy()
    likely = np.flatnonzero(scores >= _LEAST_SCORE)
    boxes = np.concatenate([corners[likely, :2], corners[likely, 2:] - corners[likely, :2]], axis=1)
    points = predictions.points[0].cpu().numpy()[likely]
    best = [group[0] for group in greedy_groups(boxes, scores[likely], MAX_OVERLAP)]
    return Found.of(boxes[best], scores[likely][best], points[best])


def train_detector(
    recipe: DetectorRecipe,
    data: Path,
    labels: Path,
    out: Path,
    *,
    weights: Path | None = None,
    teacher: Path | None = None,
    resume: bool = False,
) -> DetectorRun:
    """Train a network on the split `train` of all sets and choose its epoch on the scenes of `val`.

    `test` is never read. `out` receives what training an age model leaves: start.json, best.ckpt (averaged weights),
    last.ckpt, metrics.jsonl and record.json.

    Args:
        recipe: everything that is free to choose.
        data: folder of the archives.
        labels: folder of the tables from `label_sets`, maybe with better points.
        out: folder of this run; it must not hold another one unless `resume` is set.
        weights: folder of a run whose best network this one starts from; None starts from the teacher's weights, and
            from random numbers where there is no teacher.
        teacher: YuNet's ONNX file, whose features the network learns as the recipe says; None goes without.
        resume: go on from last.ckpt if there is one.

    Raises:
        FileExistsError: `out` holds a run and `resume` is not set.
        ResumeError: the run in `out` started from something else.
        FileNotFoundError, DataError: an archive or a table is missing or malformed, or a checkpoint or the teacher
            cannot be read.
        ValueError: the teacher's weights do not fit the recipe's network, or no step would learn from labels.
    """
    refuse_finished(out, resume=resume)
    # What is cheap to check comes before the sets are read.
    yunet = YuNet.load(teacher) if teacher else None
    if yunet is not None and recipe.imitation_steps >= recipe.steps:
        raise ValueError(
            f"imitation_steps is {recipe.imitation_steps} of {recipe.steps} steps: no label would ever be read; "
            "set imitation_steps lower or steps higher"
        )
    trained = load_trained_detector(weights)[0] if weights else None
    lightning.seed_everything(recipe.seed, verbose=False)
    torch.set_num_threads(recipe.threads)
    task = DetectorTask(recipe, yunet)
    if weights is not None and trained is not None:
        load_weights(task.network, trained, weights)
    elif yunet is not None:
        refuse_unlike(task.network)
    training = TrainingSet.load(data, labels, max_pictures=recipe.max_pictures)
    val = ValidationScenes(data, recipe.max_pictures, halved=True)
    start = {
        "format": 1,
        "recipe": to_dict(recipe),
        "data": training.hashes,
        "start_weights_sha256": sha256_of_file(weights / BEST_CHECKPOINT) if weights else None,
        "teacher_sha256": sha256_of_file(teacher) if teacher else None,
    }
    if trained is None and yunet is not None:
        start_from(task.network, yunet, first_scenes(training, recipe))
    last = begin(out, start, resume=resume)
    task.to(memory_format=torch.channels_last)
    val_ap = fit(
        task,
        _loader(training, recipe),
        DataLoader(val, batch_size=None),
        out,
        epochs=recipe.epochs,
        ema_decay=recipe.ema_decay,
        monitor="val_ap",
        mode="max",
        figures=("train_loss", "train_features", "train_answers", "train_score", "train_box", "train_points", "val_ap"),
        last=last,
    )
    write_json(
        out / RECORD, {**start, "versions": versions(), "best": {"val_ap": val_ap, "val_pictures": len(val.pictures)}}
    )
    return DetectorRun(folder=out, val_ap=val_ap)


def first_scenes(training: TrainingSet, recipe: DetectorRecipe) -> Tensor:
    """Return the run's first scenes as one batch."""
    scenes = ComposedScenes(training, recipe)
    return collate([scenes[index] for index in range(min(64, len(scenes)))])[0]


def load_trained_detector(run: Path) -> tuple[FaceNetwork, DetectorRecipe]:
    """Return the network with the averaged weights of a run's best epoch, in evaluation mode.

    Raises:
        FileNotFoundError: the run has no checkpoint.
        DataError: the checkpoint is not one that `train_detector` writes.
    """
    return load_best(run, DetectorRecipe, make_network, "train-detector")


class ValidationScenes(Dataset[tuple[Tensor, Annotation]]):
    """The scenes of `val` as packed, padded to multiples of 32; the first `limit`, 0 means all.

    With `halved` come the same scenes once more, half as large: the small faces are the hard ones.
    """

    def __init__(self, data: Path, limit: int = 0, *, halved: bool = False) -> None:
        labeled = read_packed(data / f"{SCENES}.tar", data / f"{SCENES}.csv")
        self.pictures: Sequence[AnnotatedPicture] = labeled.part("val")[: limit or None]
        if not self.pictures:
            raise DataError(f"{data / SCENES}.csv: no picture belongs to the split `val`")
        self._sizes = 2 if halved else 1

    def __len__(self) -> int:
        """Return the number of pictures, each size counted."""
        return len(self.pictures) * self._sizes

    def __getitem__(self, index: int) -> tuple[Tensor, Annotation]:
        """Return a picture as the network's input, and its labels."""
        halved, place = divmod(index, len(self.pictures))
        picture = self.pictures[place]
        pixels, faces = picture.stored.read_picture(), picture.faces
        if halved:
            height, width = (max(1, side // 2) for side in pixels.shape[:2])
            scale = np.array([width / pixels.shape[1], height / pixels.shape[0]], np.float32)
            pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            faces = Annotation.of(faces.boxes * np.tile(scale, 2), faces.points * scale, faces.ignored)
        return to_input(pixels), faces

    def __iter__(self) -> Iterator[tuple[Tensor, Annotation]]:
        """Yield all pictures in order."""
        return (self[index] for index in range(len(self)))


def to_input(pixels: NDArray[np.uint8]) -> Tensor:
    """Return an RGB picture [h, w, 3] as the network's input [1, 3, H, W], padded at the right and at the bottom."""
    height, width = (-(-side // 32) * 32 for side in pixels.shape[:2])
    framed = np.full((height, width, 3), PADDING, np.uint8)
    framed[: pixels.shape[0], : pixels.shape[1]] = pixels
    return torch.from_numpy(framed).permute(2, 0, 1)[None]


def _loader(training: TrainingSet, recipe: DetectorRecipe) -> DataLoader[Any]:
    return DataLoader(
        ComposedScenes(training, recipe),
        recipe.batch_size,
        sampler=EpochSampler(recipe.epoch_steps * recipe.batch_size),
        num_workers=recipe.num_workers,
        persistent_workers=recipe.num_workers > 0,
        collate_fn=collate,
        drop_last=True,
    )
