"""The pictures that the detector is trained on: labeled scenes, chips and backgrounds, and their composition."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from agepred_train.archive import DataError, StoredPicture, index_archive
from agepred_train.detector.annotations import Annotation, read_labels, read_packed
from agepred_train.detector.assign import Targets
from agepred_train.detector.compose import Composer, Mix, Scene, Source
from agepred_train.detector.degrade import Degradation
from agepred_train.detector.held_out import HELD_BACK
from agepred_train.detector.label import CHIPS, LANDMARKS, SCENES
from agepred_train.detector.recipe import DetectorRecipe
from agepred_train.progress import progress_bar
from agepred_train.storage import sha256_of_file

BACKGROUNDS = "backgrounds"
NO_FACES = Annotation.of(np.empty((0, 4), np.float32))

Batch = tuple[Tensor, Targets]


def backgrounds(archive: Path) -> list[StoredPicture]:
    """Return the face-free pictures to train on: all but those kept back for tests."""
    stored = index_archive(archive)
    count, rest = HELD_BACK
    return [stored[name] for index, name in enumerate(sorted(stored)) if index % count != rest]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingSet:
    """Everything that scenes are made of, and what identifies it."""

    scenes: Source
    chips: tuple[Source, ...]
    backgrounds: Source
    hashes: dict[str, str]
    """SHA-256 of archives and tables by file name."""

    @staticmethod
    def load(data: Path, labels: Path, *, max_pictures: int = 0) -> "TrainingSet":
        """Read the split `train` of all sets; scenes and backgrounds are kept decoded (about 1.5 GB).

        Args:
            data: folder of the archives.
            labels: folder of the tables of labels, one a set.
            max_pictures: use only the first this many of each; 0 means all.

        Raises:
            FileNotFoundError: an archive or a table is not there.
            DataError: one is malformed, or a set has no face to train on.
        """
        limit = max_pictures or None
        packed = {name: read_packed(data / f"{name}.tar", data / f"{name}.csv") for name in (SCENES, LANDMARKS)}
        train = {name: {picture.stored.name for picture in labeled.part("train")} for name, labeled in packed.items()}
        hashes = {file: digest for labeled in packed.values() for file, digest in labeled.hashes.items()}
        sources: dict[str, Source] = {}
        for name in (SCENES, LANDMARKS, *CHIPS):
            archive, table = data / f"{name}.tar", labels / f"{name}.csv"
            stored = index_archive(archive)
            labeled = read_labels(table)
            rows = [
                (stored[picture], faces)
                for (_, picture), faces in labeled.items()
                if picture in stored
                and picture in train.get(name, (picture,))
                and (name == SCENES or (~faces.ignored).any())
            ][:limit]
            if not rows:
                raise DataError(f"{table}: lists no face of {archive} to train on; write it with `agepred label-faces`")
            pictures, annotations = zip(*rows, strict=True)
            sources[name] = Source(pictures=pictures, faces=[_asked_first(faces) for faces in annotations])
            hashes[archive.name] = hashes.get(archive.name) or sha256_of_file(archive)
            hashes[f"labels/{table.name}"] = sha256_of_file(table)
        empty = backgrounds(data / f"{BACKGROUNDS}.tar")[:limit]
        hashes[f"{BACKGROUNDS}.tar"] = sha256_of_file(data / f"{BACKGROUNDS}.tar")
        return TrainingSet(
            scenes=_decoded(sources.pop(SCENES)),
            chips=tuple(sources.values()),
            backgrounds=_decoded(Source(pictures=empty, faces=[NO_FACES] * len(empty))),
            hashes=hashes,
        )


class ComposedScenes(Dataset[Scene]):
    """Scene number i, the same for the same seed whenever it is asked for."""

    def __init__(self, training: TrainingSet, recipe: DetectorRecipe) -> None:
        mix = Mix(
            side=recipe.side,
            pasted=recipe.pasted,
            mosaic=recipe.mosaic,
            empty=recipe.empty,
            smallest=recipe.smallest,
            largest=recipe.largest,
            turned=recipe.turned,
            hidden=recipe.hidden,
        )
        degradation = Degradation.usual(recipe.degraded)
        self._composer = Composer(training.scenes, training.chips, training.backgrounds, mix, degradation)
        self._seed = recipe.seed
        self._length = recipe.epochs * recipe.epoch_steps * recipe.batch_size

    def __len__(self) -> int:
        """Return the number of scenes of the whole run."""
        return self._length

    def __getitem__(self, index: int) -> Scene:
        """Compose a scene."""
        cv2.setNumThreads(0)  # the processes of the loader fill the cores already
        return self._composer.scene(np.random.default_rng([self._seed, index]))


class EpochSampler(Sampler[int]):
    """The numbers of one epoch's scenes; each epoch goes on where the one before it ended."""

    def __init__(self, per_epoch: int) -> None:
        self._per_epoch = per_epoch
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls it at the start of each epoch, also after a resume."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of scenes an epoch."""
        return self._per_epoch

    def __iter__(self) -> Iterator[int]:
        """Yield the epoch's numbers in order."""
        start = self.epoch * self._per_epoch
        return iter(range(start, start + self._per_epoch))


def collate(scenes: list[Scene]) -> Batch:
    """Return pictures uint8 [N, 3, H, W], channels innermost in memory, and their faces, padded to the same number."""
    count = max(1, *(len(scene.boxes) for scene in scenes))
    pixels = torch.stack([torch.from_numpy(scene.pixels) for scene in scenes]).permute(0, 3, 1, 2)

    def padded(rows: list[NDArray[Any]], fill: float | bool) -> Tensor:
        shape = (len(rows), count, *rows[0].shape[1:])
        out = np.full(shape, fill, rows[0].dtype)
        for number, row in enumerate(rows):
            out[number, : len(row)] = row
        return torch.from_numpy(out)

    present = [np.ones(len(scene.boxes), np.bool_) for scene in scenes]
    return pixels, Targets(
        boxes=padded([scene.boxes for scene in scenes], 0.0),
        points=padded([scene.points for scene in scenes], np.nan),
        ignored=padded([scene.ignored for scene in scenes], True),
        present=padded(present, False),
    )


def _asked_first(faces: Annotation) -> Annotation:
    order = np.argsort(faces.ignored, kind="stable")
    return Annotation.of(faces.boxes[order], faces.points[order], faces.ignored[order])


def _decoded(source: Source) -> Source:
    pictures = []
    with progress_bar() as progress:
        task = progress.add_task(f"decoding {source.pictures[0].path.name}", total=len(source.pictures))
        for stored in source.pictures:
            pictures.append(stored.read_picture())
            progress.advance(task)
    return Source(pictures=source.pictures, faces=source.faces, decoded=pictures)
