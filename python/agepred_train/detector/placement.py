"""Where a picture, its boxes and its points come to lie when it is scaled, turned and mirrored."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from agepred_train.detector.annotations import Annotation
from agepred_train.detector.teach import MIRRORED_POINTS

Picture = NDArray[np.uint8]


def placement(
    center: tuple[float, float],
    at: tuple[float, float],
    scale: float,
    degrees: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the matrix [2, 3] that puts `center` at `at`, scaled and turned, a little stretched, mirrored or not."""
    angle = math.radians(degrees)
    stretch = math.exp(rng.normal(0, 0.05))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = scale * turn @ np.diag([stretch, 1 / stretch])
    if rng.random() < 0.5:
        linear = linear @ np.diag([-1.0, 1.0])
    return np.concatenate([linear, (np.array(at) - linear @ np.array(center))[:, None]], axis=1)


def moved(
    faces: Annotation, matrix: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return boxes as left, top, right, bottom, points and `ignored` under a map.

    The ellipse in a box is turned in place of the box itself, whose corners would grow it by up to 40 %.
    """
    linear, offset = matrix[:, :2], matrix[:, 2]
    centers = (faces.boxes[:, :2] + faces.boxes[:, 2:] / 2) @ linear.T + offset
    halves = np.sqrt((faces.boxes[:, None, 2:] / 2 * linear[None]) ** 2 @ np.ones(2))
    points = faces.points @ linear.T + offset
    if np.linalg.det(linear) < 0:
        points = points[:, list(MIRRORED_POINTS)]
    boxes = np.concatenate([centers - halves, centers + halves], axis=1)
    return boxes.astype(np.float32), points.astype(np.float32), faces.ignored


def warp(picture: Picture, matrix: NDArray[np.float64], side: int, border: int, color: tuple[int, ...]) -> Picture:
    """Return a picture under a map; shrunk first where the map shrinks, so that nothing aliases."""
    matrix = matrix.copy()
    # Pixel centers lie at halves in our coordinates and at whole numbers in OpenCV's.
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if scale < 0.6:
        height, width = picture.shape[:2]
        size = (max(1, round(width * scale * 1.2)), max(1, round(height * scale * 1.2)))
        ratio = np.array([width / size[0], height / size[1]])
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
        matrix[:, 2] += matrix[:, :2] @ (0.5 * ratio - 0.5)
        matrix[:, :2] *= ratio
    return np.asarray(
        cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=color),
        np.uint8,
    )
