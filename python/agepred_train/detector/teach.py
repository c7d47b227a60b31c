"""Ask a face model at several scales, mirrored and not, and merge its answers with the labels that there are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agepred_edge import FaceDetector
from agepred_train.detector.annotations import Annotation
from agepred_train.detector.boxes import greedy_groups, overlaps

# A mirrored face's right eye is its left one.
MIRRORED_POINTS = (1, 0, 2, 4, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Teaching:
    """How a teacher is asked, and when it is believed."""

    scales: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Sizes at which it sees a picture, as shares of the picture's own."""
    border: float = 0.0
    """Repeated pixels around the picture, as a share of its sides; faces that fill a picture are found with it."""
    min_score: float = 0.3
    """Answers below it are not heard, above 0 to 1."""
    sure_score: float = 0.6
    """A face whose best answer reaches it, and that at least two looks agree on, is a face; others are ignored."""
    same: float = 0.45
    """Boxes that overlap by more (intersection over union) mean the same face."""


class Teacher:
    """A face model that labels pictures; not for more than one thread."""

    def __init__(self, model: Path, teaching: Teaching) -> None:
        # A refiner's points are what is learned here, not from whom.
        self._detector = FaceDetector(model, points_model="none", min_score=teaching.min_score, max_side=4096)
        self._teaching = teaching

    def faces(self, picture: NDArray[np.uint8]) -> tuple[Annotation, NDArray[np.float32]]:
        """Return the merged faces of an RGB picture [height, width, 3] and their best scores [n]."""
        boxes, points, scores = self._all_looks(picture)
        groups = greedy_groups(boxes, scores, self._teaching.same)
        count = len(groups)
        merged = Annotation.of(
            np.array([np.average(boxes[group], axis=0, weights=scores[group]) for group in groups]).reshape(count, 4),
            np.array([np.average(points[group], axis=0, weights=scores[group]) for group in groups]).reshape(
                count, 5, 2
            ),
            np.array([len(group) < 2 or scores[group].max() < self._teaching.sure_score for group in groups], np.bool_),
        )
        return merged, np.array([scores[group].max() for group in groups], np.float32)

    def _all_looks(
        self, picture: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        height, width = picture.shape[:2]
        top, left = round(height * self._teaching.border), round(width * self._teaching.border)
        framed = np.pad(picture, ((top, top), (left, left), (0, 0)), mode="edge")
        boxes, points, scores = [], [], []
        for scale in self._teaching.scales:
            size = (max(1, round(framed.shape[1] * scale)), max(1, round(framed.shape[0] * scale)))
            filtered = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
            seen = np.asarray(Image.fromarray(framed).resize(size, filtered))
            for mirrored in (False, True):
                shown = np.ascontiguousarray(seen[:, ::-1]) if mirrored else seen
                for face in self._detector.detect(shown, pixel_format="RGB"):
                    x, y, w, h = face.box
                    five = np.array(face.landmarks, np.float32)
                    if mirrored:
                        x = size[0] - x - w
                        five = five[list(MIRRORED_POINTS)]
                        five[:, 0] = size[0] - five[:, 0]
                    factor = np.array([framed.shape[1] / size[0], framed.shape[0] / size[1]], np.float32)
                    boxes.append([x * factor[0] - left, y * factor[1] - top, w * factor[0], h * factor[1]])
                    points.append(five * factor - (left, top))
                    scores.append(face.score)
        return (
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(points, np.float32).reshape(-1, 5, 2),
            np.array(scores, np.float32),
        )


def completed(labels: Annotation, found: Annotation, same: float = 0.4) -> Annotation:
    """Return the labels with the points of what was found on them, and after them the faces found beside them.

    A labeled box stays as it is; what was found and meets no label keeps its own `ignored`.
    """
    overlap = overlaps(labels.boxes, found.boxes)
    points = labels.points.copy()
    for row in range(len(labels.boxes)):
        if np.isnan(points[row]).any() and len(found.boxes) and overlap[row].max() >= same:
            points[row] = found.points[overlap[row].argmax()]
    met = (overlap >= same).any(axis=0) if len(labels.boxes) else np.zeros(len(found.boxes), np.bool_)
    # A found box that lies mostly on a label, but of another size, is a doubt about that face, not another one.
    doubtful = (overlap >= 0.15).any(axis=0) if len(labels.boxes) else met
    return Annotation.of(
        np.concatenate([labels.boxes, found.boxes[~met]]),
        np.concatenate([points, found.points[~met]]),
        np.concatenate([labels.ignored, (found.ignored | doubtful)[~met]]),
    )


def largest(faces: Annotation) -> Annotation:
    """Return the annotation with only its largest sure face asked for; the others are ignored."""
    areas = faces.boxes[:, 2] * faces.boxes[:, 3] * ~faces.ignored
    keep = np.arange(len(areas)) == (areas.argmax() if len(areas) else -1)
    return Annotation.of(faces.boxes, faces.points, ~keep | faces.ignored)
