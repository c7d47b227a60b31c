"""What the refiner is trained on: faces cut out by points as wrong as a detector's, and their true points."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from agepred_edge import align
from agepred_train.archive import DataError, StoredPicture, index_archive
from agepred_train.detector.annotations import AnnotatedPicture, read_labels, read_packed
from agepred_train.detector.degrade import Degradation, degrade
from agepred_train.detector.label import CHIPS, LANDMARKS, SCENES
from agepred_train.detector.teach import MIRRORED_POINTS
from agepred_train.refiner.network import crop_points
from agepred_train.refiner.recipe import RefinerRecipe
from agepred_train.refiner.similarity import Points, Similarity
from agepred_train.storage import sha256_of_file

LEAST_EYES = 12.0
"""Faces whose eyes are nearer to each other teach nothing, in pixels."""

# The crop is small: what a camera does to a picture has mostly been averaged away in it.
_DEGRADATION = Degradation(light=0.5, blur=0.06, coarse=0.0, noise=0.08, jpeg=0.1)

_FAR_TURN = 45.0  # degrees by which points that are far off are turned at most, either way

# A picture is cut to this many distances between the eyes around the face first: nothing farther off shows.
_SURROUNDINGS = 3.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointedFace:
    """A face whose points are known."""

    stored: StoredPicture
    points: Points
    """[5, 2] in pixels of the picture."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointedFaces:
    """Faces to train on, those that people labeled apart, and what identifies them."""

    labeled: Sequence[PointedFace]
    taught: Sequence[PointedFace]
    hashes: dict[str, str]

    @staticmethod
    def load(data: Path, points: Path, *, max_pictures: int = 0) -> "PointedFaces":
        """Read the split `train` of all sets.

        Args:
            data: folder of the archives.
            points: folder of the tables of labels, one a set, with the best points to be had.
            max_pictures: use only the first this many faces of each; 0 means all.

        Raises:
            FileNotFoundError: an archive or a table is not there.
            DataError: one is malformed, or there is no face with points.
        """
        landmarks, scenes = (read_packed(data / f"{name}.tar", data / f"{name}.csv") for name in (LANDMARKS, SCENES))
        labeled = _faces_of(landmarks.part("train"))
        hashes = {**landmarks.hashes, **scenes.hashes}
        taught: list[PointedFace] = []
        train = {picture.stored.name for picture in scenes.part("train")}
        for name in (SCENES, *CHIPS):
            archive, table = data / f"{name}.tar", points / f"{name}.csv"
            stored = index_archive(archive)
            rows = [
                AnnotatedPicture(stored=stored[picture], faces=faces, split="train")
                for (_, picture), faces in read_labels(table).items()
                if picture in stored and (name != SCENES or picture in train)
            ]
            taught += _faces_of(rows)[: max_pictures or None]
            hashes[archive.name] = hashes.get(archive.name) or sha256_of_file(archive)
            hashes[f"points/{table.name}"] = sha256_of_file(table)
        if not labeled or not taught:
            raise DataError(f"{points}: no face with points to train on")
        return PointedFaces(labeled=labeled[: max_pictures or None], taught=taught, hashes=hashes)


class RefinerCrops(Dataset[tuple[NDArray[np.uint8], Points]]):
    """Crop number i and its true points in fractions of the crop, the same whenever it is asked for."""

    def __init__(self, faces: PointedFaces, recipe: RefinerRecipe) -> None:
        self._faces = faces
        self._recipe = recipe
        self._targets = crop_points(recipe.eyes)

    def __len__(self) -> int:
        """Return the number of crops of the whole run."""
        return self._recipe.epochs * self._recipe.epoch_steps * self._recipe.batch_size

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], Points]:
        """Cut a crop."""
        cv2.setNumThreads(0)  # the processes of the loader fill the cores already
        rng = np.random.default_rng([self._recipe.seed, index])
        chosen = self._faces.labeled if rng.random() < self._recipe.labeled_share else self._faces.taught
        face = chosen[int(rng.integers(len(chosen)))]
        picture, points = near_face(face.stored.read_picture(), face.points)
        if rng.random() < self._recipe.coarse_share:
            picture, points = shrunk(picture, points, self._recipe.finest_eyes, rng)
        if rng.random() < 0.5:
            picture = np.ascontiguousarray(picture[:, ::-1])
            points = points[list(MIRRORED_POINTS)] * (-1, 1) + (picture.shape[1], 0)
        wrong = detector_errors(points, self._recipe, rng)
        crop, truth = cut(picture, wrong, points, self._targets, self._recipe.crop_side)
        crop = degrade(crop, _DEGRADATION, rng)
        return _partly_hidden(crop, rng), truth


def near_face(picture: NDArray[np.uint8], points: Points) -> tuple[NDArray[np.uint8], Points]:
    """Return the part of a picture around a face, and the points there."""
    center = points.mean(axis=0)
    reach = _SURROUNDINGS * eye_distance(points)
    left, top = (max(0, int(value)) for value in center - reach)
    right, bottom = (math.ceil(value) for value in center + reach)
    return np.ascontiguousarray(picture[top:bottom, left:right]), np.asarray(points - (left, top), np.float32)


def shrunk(
    picture: NDArray[np.uint8], points: Points, finest_eyes: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], Points]:
    """Return a picture as seen from further away, by area, and its points."""
    eyes = eye_distance(points)
    if eyes <= finest_eyes:
        return picture, points
    factor = math.exp(rng.uniform(math.log(finest_eyes / eyes), 0))
    height, width = picture.shape[:2]
    size = (max(8, round(width * factor)), max(8, round(height * factor)))
    small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, np.asarray(points * (size[0] / width, size[1] / height), np.float32)


def detector_errors(points: Points, recipe: RefinerRecipe, rng: np.random.Generator) -> Points:
    """Return points as a detector might put them: all off together, and each by itself; now and then far off."""
    eyes = eye_distance(points)
    far = rng.random() < recipe.far_share
    much = 2.0 if far else 1.0
    degrees = rng.uniform(-_FAR_TURN, _FAR_TURN) if far else 0.0
    angle = math.radians(degrees + rng.normal(0, recipe.rotation))
    factor = math.exp(rng.normal(0, recipe.scale * much))
    turn = factor * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    center = points.mean(axis=0)
    moved = (points - center) @ turn.T + center + rng.normal(0, recipe.shift * much * eyes, 2)
    return np.asarray(moved + rng.normal(0, recipe.point_noise * much * eyes, (5, 2)), np.float32)


def cut(
    picture: NDArray[np.uint8], detected: Points, points: Points, targets: Points, side: int
) -> tuple[NDArray[np.uint8], Points]:
    """Return the crop that the core cuts by `detected`, [side, side, 3], and `points` in fractions of it."""
    crop = align(picture, detected, side=side, points=targets, pixel_format="RGB")
    # As the core: the targets are fitted to the points. The fit the other way round is not the inverse of this one.
    return crop, Similarity.fit(targets, detected).inverse().apply(points)


def eye_distance(points: Points) -> float:
    """Return the distance between the eyes."""
    return float(np.hypot(*(points[1] - points[0])))


def collate(items: list[tuple[NDArray[np.uint8], Points]]) -> tuple[Tensor, Tensor]:
    """Return crops uint8 [N, 3, S, S], channels innermost in memory, and points [N, 10]."""
    crops, points = zip(*items, strict=True)
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    return pixels, torch.from_numpy(np.stack(points)).flatten(1)


def _faces_of(pictures: Sequence[AnnotatedPicture]) -> list[PointedFace]:
    faces = []
    for picture in pictures:
        for points, ignored in zip(picture.faces.points, picture.faces.ignored, strict=True):
            if not ignored and not np.isnan(points).any() and eye_distance(points) >= LEAST_EYES:
                faces.append(PointedFace(stored=picture.stored, points=points))
    return faces


def _partly_hidden(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    if rng.random() < 0.1:
        side = len(crop)
        height, width = (int(value) for value in rng.uniform(0.1, 0.45, 2) * side)
        top, left = int(rng.integers(0, side - height)), int(rng.integers(0, side - width))
        crop = crop.copy()
        crop[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return crop
