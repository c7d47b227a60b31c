"""Show pictures to several detectors: each picture is decoded once, and shown in several views."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agepred_edge import AgeEstimator, Detection, FaceDetector
from agepred_train.archive import StoredPicture
from agepred_train.detector.measure import Found
from agepred_train.progress import progress_bar
from agepred_train.storage import sha256_of_file

Picture = NDArray[np.uint8]
View = Callable[[Picture], Sequence[Picture]]
"""What is shown of a picture (RGB, [height, width, 3]): one picture, or several cut from it."""
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A detector under test, as users would set it."""

    name: str
    """Heading, unique among the columns."""
    model: Path
    """Face model."""
    points_model: Path | str | None = None
    """Model of the second look at the points, `none` for none, None for the packaged one, if any."""
    min_score: float | None = None
    """Working threshold; None for the model's own."""
    age_model: Path | None = None
    """Age model for the steadiness of ages; None: only the points' steadiness is measured."""

    def detector(self, *, min_score: float | None = None, max_side: int = 640) -> FaceDetector:
        """Return a detector, at the working threshold if no other is given."""
        return FaceDetector(self.model, max_side=max_side, **self._settings(min_score))

    def estimator(self) -> AgeEstimator:
        """Return an estimator with this detector at its working threshold."""
        return AgeEstimator(self.age_model, face_model=self.model, **self._settings(None))

    def describe(self) -> dict[str, Any]:
        """Return what identifies the column, JSON-ready; the points model is the one that is used."""
        files = {"model": self.model, "points_model": self.refiner(), "age_model": self.age_model}
        named = {
            key: {"file": str(path), "bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
            for key, path in files.items()
            if isinstance(path, Path)
        }
        return {**named, "min_score": self.min_score}

    def refiner(self) -> Path | None:
        """Return the points model that is used; None: no second look is taken."""
        used = getattr(self.detector(), "points_model", None)
        return used if isinstance(used, Path) else None

    def _settings(self, min_score: float | None) -> dict[str, Any]:
        """Only what is set: the rest is the model's own."""
        settings: dict[str, Any] = {"min_score": self.min_score if min_score is None else min_score}
        settings["points_model"] = self.points_model
        return {key: value for key, value in settings.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Seconds that each column's detectors took."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, column: str, taken: float) -> None:
        """Add a call's time."""
        self.seconds[column] = self.seconds.get(column, 0.0) + taken


def survey(
    title: str,
    pictures: Sequence[StoredPicture],
    views: Mapping[str, View],
    detectors: Mapping[tuple[str, str], FaceDetector | AgeEstimator],
    clock: Clock,
) -> dict[tuple[str, str, str], list[Found]]:
    """Return what each detector finds in each view of each picture.

    Args:
        title: of the progress bar.
        pictures: decoded once each.
        views: by name.
        detectors: by column and purpose.
        clock: takes the time that detectors need.

    Returns:
        By column, purpose and view: answers in the order of the pictures, and of the cuts of each.
    """
    result: dict[tuple[str, str, str], list[Found]] = {(*key, view): [] for key in detectors for view in views}
    with progress_bar() as progress:
        for stored in progress.track(pictures, description=title):
            picture = stored.read_picture()
            for view, shown in ((name, cut) for name, see in views.items() for cut in see(picture)):
                for (column, purpose), detector in detectors.items():
                    begin = time.perf_counter()
                    found = look(detector, shown)
                    clock.add(column, time.perf_counter() - begin)
                    result[column, purpose, view].append(found_of(found))
    return result


def look(detector: FaceDetector | AgeEstimator, picture: Picture) -> Sequence[Detection]:
    """Return what is found in an RGB picture."""
    shown = np.ascontiguousarray(picture)
    if isinstance(detector, AgeEstimator):
        return detector.predict(shown, pixel_format="RGB")
    return detector.detect(shown, pixel_format="RGB")


def found_of(faces: Sequence[Detection]) -> Found:
    """Return the answers as arrays, the surest first."""
    return Found.of([face.box for face in faces], [face.score for face in faces], [face.landmarks for face in faces])


def whole(picture: Picture) -> list[Picture]:
    """The picture as it is."""
    return [picture]


def shrunk(divisor: int) -> View:
    """A view shrunk by a whole number, each pixel the mean of those that it stands for."""

    def see(picture: Picture) -> list[Picture]:
        height, width = picture.shape[:2]
        return [resized(picture, max(1, round(width / divisor)), max(1, round(height / divisor)))]

    return see


def resized(picture: Picture, width: int, height: int, method: Image.Resampling = Image.Resampling.BOX) -> Picture:
    """Return the picture at another size; by area unless another filter is named."""
    return np.asarray(Image.fromarray(picture).resize((width, height), method))


def tiles(side: int, scale: float, *, mirrored: bool) -> View:
    """Squares that cover the whole scaled picture, overlapping evenly; a smaller picture is one tile itself."""

    def see(picture: Picture) -> list[Picture]:
        height, width = (max(1, round(length * scale)) for length in picture.shape[:2])
        method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
        seen = picture if scale == 1 else resized(picture, width, height, method)
        seen = seen[:, ::-1] if mirrored else seen
        return [seen[y : y + side, x : x + side] for y in _starts(height, side) for x in _starts(width, side)]

    return see


def _starts(length: int, side: int) -> list[int]:
    count = -(-length // side)
    return [round(start) for start in np.linspace(0, max(0, length - side), count)]


def turned(degrees: float) -> View:
    """The whole picture turned counterclockwise on a larger gray canvas."""

    def see(picture: Picture) -> list[Picture]:
        image = Image.fromarray(picture)
        gray = (128, 128, 128)
        return [np.asarray(image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=gray))]

    return see


def turned_points(
    points: NDArray[np.float32], degrees: float, size: tuple[int, int], turned_size: tuple[int, int]
) -> NDArray[np.float32]:
    """Return where points [..., 2] of a picture (width, height) lie in the turned one."""
    angle = np.radians(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.array([[cosine, sine], [-sine, cosine]])  # y points down
    centered = points - np.array(size) / 2
    return np.asarray(centered @ matrix.T + np.array(turned_size) / 2, np.float32)
