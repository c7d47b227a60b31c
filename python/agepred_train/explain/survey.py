"""Explain every face of a labeled set: mean maps by decade of age, and the check by deletion."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import agepred_edge
from agepred_edge import Detection, align
from agepred_train.archive import DataError
from agepred_train.data import Sample
from agepred_train.evaluation.bootstrap import LEVEL, RESAMPLES, SEED, mean_interval
from agepred_train.evaluation.figures import DECADES
from agepred_train.evaluation.labels import LabeledSet, Part
from agepred_train.explain.deletion import ORDERS, SHARES, Curves, area, delete
from agepred_train.explain.donors import Donors
from agepred_train.explain.explainers import Explainer
from agepred_train.progress import progress_bar


class Finder(Protocol):
    """What finds faces: `agepred_edge.FaceDetector`."""

    def detect(self, picture: NDArray[np.uint8], *, pixel_format: str) -> list[Detection]:
        """Return the faces of a picture, the largest first."""


@dataclass(slots=True, kw_only=True, eq=False)
class Decade:
    """The faces whose label lies within one decade; sums grow face by face."""

    count: int = 0
    age_sum: float = 0.0
    map_sum: NDArray[np.float64] | float = 0.0
    crop_sum: NDArray[np.float64] | float = 0.0
    example: tuple[NDArray[np.uint8], NDArray[np.float32], float] | None = None
    """The first face: crop, map and age."""

    def add(self, crop: NDArray[np.uint8], cells: NDArray[np.float32], age: float) -> None:
        """Count a face."""
        self.count += 1
        self.age_sum += age
        self.map_sum = self.map_sum + cells.astype(np.float64)
        self.crop_sum = self.crop_sum + crop.astype(np.float64)
        self.example = self.example or (crop, cells, age)

    def mean_map(self) -> NDArray[np.float64]:
        """Return the mean map [h, w] in years."""
        return np.asarray(self.map_sum) / self.count

    def mean_crop(self) -> NDArray[np.uint8]:
        """Return the mean crop [side, side, 3]."""
        return np.rint(np.asarray(self.crop_sum) / self.count).astype(np.uint8)


@dataclass(slots=True, kw_only=True, eq=False)
class Survey:
    """What was found in a set."""

    explainer: Explainer
    labeled: LabeledSet
    split: Part
    pictures: int
    no_face: int = 0
    unreadable: int = 0
    everybody: Decade = field(default_factory=Decade)
    decades: dict[tuple[int, int], Decade] = field(default_factory=lambda: {decade: Decade() for decade in DECADES})
    curves: list[Curves] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it JSON-ready: years, shares from 0 to 1, maps as rows top down."""
        grid = self.explainer.grid
        return {
            "agepred": agepred_edge.__version__,
            "model": self.explainer.describe(),
            "data": {
                "name": self.labeled.name,
                "split": self.split if self.split != "all" and self.labeled.has_splits else None,
                "sha256": self.labeled.hashes,
                "pictures": self.pictures,
                "no_face": self.no_face,
                "unreadable": self.unreadable,
            },
            "crop_side": self.explainer.side,
            "grid": {"first": grid.first, "step": grid.step},
            "all": _figures(self.everybody),
            "decades": {
                f"{low}-{high}": _figures(decade) for (low, high), decade in self.decades.items() if decade.count
            },
            "deletion": deletion_figures(self.curves) if self.curves else None,
        }


def survey(explainer: Explainer, finder: Finder, labeled: LabeledSet, split: Part, limit: int | None = None) -> Survey:
    """Explain the largest face of every picture of a split.

    Args:
        explainer: a model file or a run.
        finder: of the faces.
        labeled: the pictures and their ages.
        split: counts where the set has splits.
        limit: pictures at most, spread evenly; None for all.

    Raises:
        DataError: no picture belongs to the split, or a face is found in none.
    """
    samples = labeled.part(split, limit)
    result = Survey(explainer=explainer, labeled=labeled, split=split, pictures=len(samples))
    donors = Donors()
    for number, (sample, crop) in enumerate(_crops(explainer, finder, samples, result)):
        explained = explainer.explain(crop[None])
        cells, age = explained.maps[0], float(explained.ages[0])
        result.everybody.add(crop, cells, age)
        for (low, high), decade in result.decades.items():
            if low <= sample.age_min and sample.age_max <= high:
                decade.add(crop, cells, age)
        other = donors.nearest(age)
        if other is not None:  # the first face finds none
            result.curves.append(delete(explainer, crop, other, cells, seed=number))
        donors.add(age, crop)
    if not result.everybody.count:
        raise DataError(
            f"{labeled.name}: a face is found in none of {len(samples)} pictures, first {samples[0].name}; "
            f"{result.unreadable} cannot be decoded; give pictures of faces, or another detector with --face-model"
        )
    return result


def _crops(
    explainer: Explainer, finder: Finder, samples: Sequence[Sample], result: Survey
) -> Iterator[tuple[Sample, NDArray[np.uint8]]]:
    """Yield the largest face of each picture; those without are counted in the result."""
    with progress_bar() as progress:
        for sample in progress.track(samples, description="explaining"):
            try:
                picture = sample.read_picture()
                faces = finder.detect(picture, pixel_format="RGB")
                if not faces:
                    result.no_face += 1
                    continue
                points = faces[0].landmarks
                crop = align(picture, points, side=explainer.side, points=explainer.points, pixel_format="RGB")
            except ValueError:  # also what the core refuses
                result.unreadable += 1
                continue
            yield sample, crop


def deletion_figures(curves: Sequence[Curves]) -> dict[str, Any]:
    """Return mean curves, areas, and their differences from the random order with paired 95 % intervals, in years."""
    ages = {order: np.array([getattr(one, order) for one in curves]) for order in ORDERS}
    areas = {order: np.array([area(curve) for curve in rows]) for order, rows in ages.items()}
    return {
        "faces": len(curves),
        "replaced_by": "the nearest answered age",
        "shares": SHARES.tolist(),
        "bootstrap": {"resamples": RESAMPLES, "level": LEVEL, "seed": SEED},
        "curves": {order: rows.mean(axis=0).tolist() for order, rows in ages.items()},
        "areas": {order: _with_interval(values) for order, values in areas.items()},
        "map_against_random": _with_interval(areas["map"] - areas["random"]),
        "reverse_against_random": _with_interval(areas["reverse"] - areas["random"]),
        "map_against_reverse": _with_interval(areas["map"] - areas["reverse"]),
        "share_below_reverse": float((areas["map"] < areas["reverse"]).mean()),
    }


def _with_interval(values: NDArray[np.float64]) -> dict[str, float]:
    low, high = mean_interval(values)
    return {"mean": float(values.mean()), "low": low, "high": high}


def _figures(decade: Decade) -> dict[str, Any]:
    return {"n": decade.count, "mean_age": decade.age_sum / decade.count, "map": decade.mean_map().tolist()}
