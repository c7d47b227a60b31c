"""WIDER FACE's easy, medium and hard average precision, as its authors' program counts it.

Differences from `measure`: scores are stretched over the whole set to 0..1 and read at 1,000 thresholds; sides of boxes
count one pixel more; an answer on a face outside the subset counts neither way; pictures without a labeled face count
no false answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agepred_train.archive import DataError
from agepred_train.detector.annotations import AnnotatedSet, Annotation, read_wider
from agepred_train.detector.mat_cells import read_mat
from agepred_train.detector.measure import Found
from agepred_train.storage import sha256_of_file

SUBSETS = ("easy", "medium", "hard")
GROUND_TRUTH = "wider_face_val_bbx_gt.txt"

# Without the authors' lists: the least height of a face in pixels. An approximation of ours, not their definition.
_HEIGHTS = {"easy": 50.0, "medium": 30.0, "hard": 10.0}
_STEPS = 1000
_LEAST_OVERLAP = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WiderSet:
    """WIDER FACE's validation part and its subsets."""

    labeled: AnnotatedSet
    """The pictures and all their faces."""
    subsets: Mapping[str, tuple[NDArray[np.bool_], ...]]
    """For each subset and picture, which faces belong to it."""
    official: bool
    """Whether the subsets are the authors' lists; else faces of at least 50, 30 and 10 pixels height."""


def open_wider(images: Path, ground_truth: Path) -> WiderSet:
    """Read the pictures, `wider_face_val_bbx_gt.txt` and, where they are, `wider_{easy,medium,hard}_val.mat`.

    Raises:
        FileNotFoundError: the text or a picture is not there.
        DataError: a file does not have its form, or the lists do not belong to the pictures.
    """
    labeled = read_wider(images, ground_truth / GROUND_TRUTH)
    paths = {name: ground_truth / f"wider_{name}_val.mat" for name in SUBSETS}
    official = all(path.is_file() for path in paths.values())
    if official:
        subsets = {name: _listed(path, labeled) for name, path in paths.items()}
        hashes = {path.name: sha256_of_file(path) for path in paths.values()}
        labeled = AnnotatedSet(name="wider", pictures=labeled.pictures, hashes={**labeled.hashes, **hashes})
    else:
        subsets = {
            name: tuple(~picture.faces.ignored & (picture.faces.boxes[:, 3] >= least) for picture in labeled.pictures)
            for name, least in _HEIGHTS.items()
        }
    return WiderSet(labeled=labeled, subsets=subsets, official=official)


def wider_figures(found: Sequence[Found], wider: WiderSet) -> dict[str, Any]:
    """Return average precision and number of faces of each subset."""
    labels = [picture.faces for picture in wider.labeled.pictures]
    stretched = _stretched(found)
    result: dict[str, Any] = {"official_lists": wider.official}
    for name, parts in wider.subsets.items():
        pictures = zip(found, stretched, labels, parts, strict=True)
        counts = sum((_counts(*picture) for picture in pictures), np.zeros((_STEPS, 2)))
        faces = sum(int(part.sum()) for part in parts)
        result[name] = {"faces": faces, "ap": _average_precision(counts, faces)}
    return result


def _listed(path: Path, labeled: AnnotatedSet) -> tuple[NDArray[np.bool_], ...]:
    """Return which faces of each picture a list names: numbers from 1 on, by event and file."""
    content = read_mat(path)
    absent = [name for name in ("event_list", "file_list", "gt_list") if not isinstance(content.get(name), list)]
    if absent:
        raise DataError(f"{path}: holds no cell array {absent[0]!r}; take wider_*_val.mat of the authors' eval_tools")
    chosen = {
        f"{event}/{file}": np.asarray(numbers, np.int64).ravel() - 1
        for event, files, lists in zip(content["event_list"], content["file_list"], content["gt_list"], strict=True)
        for file, numbers in zip(files, lists, strict=True)
    }
    result = []
    for picture in labeled.pictures:
        part = np.zeros(len(picture.faces.boxes), np.bool_)
        numbers = chosen.get(picture.stored.name.removesuffix(".jpg"), np.empty(0, np.int64))
        # A picture without a face has one entry of zeros in the authors' tables.
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= max(1, len(part))):
            raise DataError(f"{path}: names face {numbers.max() + 1} of {picture.stored.name}, which has {len(part)}")
        part[numbers[numbers < len(part)]] = True
        result.append(part)
    if not any(part.any() for part in result):
        raise DataError(
            f"{path}: names none of the pictures of {labeled.name}; lists and pictures do not belong together"
        )
    return tuple(result)


def _stretched(found: Sequence[Found]) -> list[NDArray[np.float64]]:
    """Return the scores stretched so that the set's least is 0 and its largest 1."""
    everything = np.concatenate([np.zeros(0), *(one.scores for one in found)])
    low, high = (float(everything.min()), float(everything.max())) if len(everything) else (0.0, 1.0)
    return [(one.scores.astype(np.float64) - low) / max(high - low, 1e-12) for one in found]


def _counts(
    found: Found, scores: NDArray[np.float64], labels: Annotation, part: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return answers that count and faces of the subset that are found, at each threshold, [1000, 2]."""
    if not len(found.boxes) or not len(labels.boxes):
        # As the authors' program: a picture without labels adds no false answer.
        return np.zeros((_STEPS, 2))
    overlap = _pixel_overlaps(found.boxes, labels.boxes)
    best = overlap.argmax(axis=1)
    met = overlap.max(axis=1) >= _LEAST_OVERLAP
    counts = ~(met & ~part[best])
    first = np.zeros(len(best), np.bool_)
    first[np.unique(np.where(met & part[best], best, -1), return_index=True)[1]] = True
    good = np.cumsum(first & met & part[best])
    total = np.cumsum(counts)
    # The surest answers come first: how many reach each threshold.
    reached = np.searchsorted(-scores, -(1 - np.arange(1, _STEPS + 1) / _STEPS), side="right")
    padded = np.stack([np.concatenate([[0], total]), np.concatenate([[0], good])], axis=1)
    return np.asarray(padded[reached], np.float64)


def _average_precision(counts: NDArray[np.float64], faces: int) -> float | None:
    if not faces:
        return None
    recall = np.concatenate([[0.0], counts[:, 1] / faces, [1.0]])
    precision = np.concatenate([[0.0], counts[:, 1] / np.maximum(counts[:, 0], 1), [0.0]])
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * best[1:]).sum())


def _pixel_overlaps(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the intersection over union with corners that are pixels themselves, [n, m]."""
    first, second = one.astype(np.float64)[:, None], other.astype(np.float64)[None]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., :2] + first[..., 2:], second[..., :2] + second[..., 2:])
    common = np.clip(high - low + 1, 0, None).prod(axis=-1)
    areas = (first[..., 2:] + 1).prod(axis=-1) + (second[..., 2:] + 1).prod(axis=-1)
    return np.asarray(common / (areas - common), np.float64)
