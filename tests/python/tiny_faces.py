"""Painted faces: an ellipse that fills its box and a dot of another color at each of the five points."""

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tiny_set import write_tar

from agepred_train.detector.annotations import Annotation, write_labels

SKIN = (0, 160, 0)
DOTS = ((255, 0, 0), (0, 0, 255), (255, 255, 255), (255, 255, 0), (255, 0, 255))
SHAPE = np.array([[0.3, 0.35], [0.7, 0.35], [0.52, 0.55], [0.36, 0.75], [0.66, 0.75]])
"""Where the points lie in the box."""


def points_in(box: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(box[:2] + SHAPE * box[2:], np.float32)


def paint(picture: NDArray[np.uint8], box: NDArray[np.float32]) -> None:
    """Paint a face, its edges at the box's."""
    points = points_in(box)
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
    place = np.stack([columns, rows], axis=-1)
    inside = (((place - box[:2] - box[2:] / 2) / (box[2:] / 2)) ** 2).sum(axis=-1) <= 1
    picture[inside] = SKIN
    for point, color in zip(points, DOTS, strict=True):
        picture[np.hypot(*np.moveaxis(place - point, -1, 0)) <= 0.07 * box[2:].min()] = color


def painted(width: int, height: int, boxes: list[tuple[float, ...]], ground: int = 60) -> tuple[NDArray, Annotation]:
    """A picture of faces and their labels."""
    picture = np.full((height, width, 3), ground, np.uint8)
    faces = np.array(boxes, np.float32).reshape(-1, 4)
    for box in faces:
        paint(picture, box)
    return picture, Annotation.of(faces, np.array([points_in(box) for box in faces]).reshape(-1, 5, 2))


def png(picture: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def dot(picture: NDArray[np.uint8], color: tuple[int, int, int]) -> NDArray[np.float64]:
    """The center of a color's pixels, weighted by how much of it they have."""
    distance = np.abs(picture.astype(float) - color).max(axis=-1)
    weight = np.clip(1 - distance / 90, 0, None)
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


def small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


def make_sets(folder: Path) -> tuple[Path, Path]:
    """A folder of all sets that detector and refiner are trained on, and one of their tables of labels."""
    data, labels = folder / "data", folder / "labels"
    data.mkdir(parents=True)
    labels.mkdir()
    rng = np.random.default_rng(0)
    splits = ["train"] * 6 + ["val"] * 2 + ["test"]
    scenes, landmarks, chips = {}, {}, {}
    for number, split in enumerate(splits):
        first = (*rng.uniform(4, 20, 2), *rng.uniform(30, 50, 2))
        scenes[f"s{number}.png"] = (*painted(150, 110, [first, (85.0, 40.0, 40.0, 48.0)]), split)
        landmarks[f"l{number}.png"] = (*painted(100, 110, [(20.0, 15.0, 60.0, 70.0 + number)]), split)
        chips[f"c{number}.png"] = (*painted(96, 96, [(18.0, 12.0, 60.0, 66.0 + number)]), split)
    point_columns = [f"{name}_{axis}" for name in ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
                     for axis in "xy"]  # fmt: skip
    for name, pictures in {"scenes": scenes, "landmarks": landmarks, "utkface": chips, "fairface": chips}.items():
        write_tar(data / f"{name}.tar", {file: png(picture) for file, (picture, _, _) in pictures.items()})
        lines = []
        for file, (_, faces, split) in pictures.items():
            if name in ("utkface", "fairface"):
                lines.append(f"{file},30,{split}")
            for box, points in zip(faces.boxes, faces.points, strict=True):
                if name == "scenes":
                    lines.append(",".join([file, *(f"{value:.1f}" for value in box), split]))
                elif name == "landmarks":
                    lines.append(",".join([file, *(f"{value:.2f}" for value in [*box, *points.ravel()]), split]))
        header = {"scenes": "file,x,y,w,h,split", "landmarks": f"file,x,y,w,h,{','.join(point_columns)},split"}
        (data / f"{name}.csv").write_text("\n".join([header.get(name, "file,age,split"), *lines]) + "\n")
        asked = ("train",) if name in ("utkface", "fairface") else ("train", "val")
        rows = [(f"{name}.tar", file, faces) for file, (_, faces, split) in pictures.items() if split in asked]
        write_labels(labels / f"{name}.csv", rows)
    grounds = {f"b{number}.png": png(rng.integers(0, 256, (90, 120, 3), np.uint8)) for number in range(6)}
    write_tar(data / "backgrounds.tar", grounds)
    return data, labels
