"""The public objects: a detector of faces, an estimator of ages, and the cut between them."""

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agepred_edge import _core
from agepred_edge.errors import translated
from agepred_edge.model_files import default_face_model, find_age_model, find_face_model, find_points_model
from agepred_edge.pictures import Picture, checked_picture
from agepred_edge.results import Age, Detection, Explanation, Face, ModelInfo
from agepred_edge.runtime import find_runtime

DEFAULT_POINTS: NDArray[np.float32] = np.array(
    [[0.30000, 0.29000], [0.70000, 0.29000], [0.50127, 0.51860], [0.33694, 0.75278], [0.66820, 0.75095]],
    np.float32,
)
"""Where agepred's models want the five landmarks, in fractions of the crop's side."""
DEFAULT_POINTS.flags.writeable = False


class FaceDetector:
    """Finds faces. Any number of threads may use one object at once; calls release the GIL."""

    def __init__(
        self,
        face_model: str | os.PathLike[str] | None = None,
        *,
        points_model: str | os.PathLike[str] | None = None,
        threads: int = 1,
        min_score: float | None = None,
        max_side: int = 640,
        smallest_face: float | None = None,
    ) -> None:
        """Loads a face model, and a points model that refines its landmarks.

        Args:
            face_model: an ONNX file; None: $AGEPRED_FACE_MODEL, else the default place.
            points_model: an ONNX file, or "none"; None: the packaged one, where there is one.
            threads: of each model's run, 1 to 64.
            min_score: faces below it are left out, above 0 to 1; None: the face model's own.
            max_side: larger pictures are shrunk to this longer side, in pixels, 32 to 4096.
            smallest_face: height in pixels of the picture of the smallest face that must be found, up to 65535; the
                larger, the further a picture is shrunk and the faster that is. None: any that max_side lets be seen.

        Raises:
            ValueError: a number out of its range.
            DetectorMissingError: no face model is named or installed.
            FileNotFoundError, ModelError: a file is not there, or is no model of that kind.
            RuntimeMissingError: ONNX Runtime is missing.
        """
        _refuse_zero(threads=threads, min_score=min_score, max_side=max_side, smallest_face=smallest_face)
        self.face_model = find_face_model(face_model)
        """The file that is used."""
        self.points_model = find_points_model(points_model)
        """The file that is used, if any."""
        with translated():
            self._core = _core.Detector(
                os.fspath(self.face_model),
                os.fspath(self.points_model or ""),
                find_runtime(),
                threads=threads,
                allow_spinning=False,
                arena=True,
                min_score=min_score or 0.0,
                max_side=max_side,
                smallest_face=smallest_face or 0.0,
            )

    def detect(self, picture: Picture, *, pixel_format: str | None = None) -> list[Detection]:
        """Faces, largest box first; an empty list where there is none. Errors as AgeEstimator.predict."""
        pixels, number = checked_picture(picture, pixel_format)
        with translated():
            return [Detection(**found) for found in self._core.detect(pixels, number)]


class AgeEstimator:
    """Estimates ages. Any number of threads may use one object at once; calls release the GIL."""

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        face_model: str | os.PathLike[str] | None = None,
        points_model: str | os.PathLike[str] | None = None,
        threads: int = 1,
        allow_spinning: bool = False,
        arena: bool = True,
        min_score: float | None = None,
        max_side: int = 640,
        smallest_face: float | None = None,
        interval_level: float | None = None,
    ) -> None:
        """Loads an age model and a face model; without a face model only predict_crop works.

        Args:
            model: an ONNX file, or the name of a file of the default model; None: its int8.onnx.
            face_model: an ONNX file; None: $AGEPRED_FACE_MODEL, else the default place.
            points_model: an ONNX file that refines the landmarks, or "none"; None: the packaged one, if any.
            threads: of each model's run, 1 to 64.
            allow_spinning: let waiting threads spin: faster in a hot loop, costly beside other work.
            arena: keep memory between calls; without it less memory, slower calls.
            min_score: faces below it are left out, above 0 to 1; None: the face model's own.
            max_side: the detector sees larger pictures shrunk to this longer side, in pixels, 32 to 4096.
            smallest_face: as FaceDetector takes it.
            interval_level: the probability that intervals shall hold, 0.01 to 0.999; None: the model's own, 0.8.

        Raises:
            ValueError: a number out of its range.
            FileNotFoundError, ModelError: a model is not there, or breaks docs/model_contract.md.
            RuntimeMissingError: ONNX Runtime is missing.
        """
        _refuse_zero(threads=threads, min_score=min_score, max_side=max_side, smallest_face=smallest_face)
        _refuse_zero(interval_level=interval_level)
        without = face_model is None and default_face_model() is None
        self.face_model = None if without else find_face_model(face_model)
        """The file that is used, if any."""
        refiner = find_points_model(points_model)
        self.points_model = None if without else refiner
        """The file that is used, if any."""
        with translated():
            self._core = _core.Estimator(
                os.fspath(find_age_model(model)),
                os.fspath(self.face_model or ""),
                os.fspath(self.points_model or ""),
                find_runtime(),
                threads=threads,
                allow_spinning=allow_spinning,
                arena=arena,
                min_score=min_score or 0.0,
                max_side=max_side,
                smallest_face=smallest_face or 0.0,
                interval_level=0.0 if interval_level is None else interval_level,
            )
            self.info = ModelInfo(**self._core.describe())

    def predict(self, picture: Picture, *, pixel_format: str | None = None) -> list[Face]:
        """The faces of a picture and their ages, largest first; an empty list where there is none.

        Args:
            picture: a uint8 array, height x width (GRAY) or height x width x 3 or 4, used where it lies; or the
                path of a file, which Pillow decodes.
            pixel_format: of an array: "RGB", "BGR", "RGBA", "BGRA" or "GRAY".

        Raises:
            TypeError: the array's type is not uint8.
            ValueError: its shape, pixel format or memory layout does not fit; PictureError for a file.
            FileNotFoundError: the file is not there; DetectorMissingError where no face model is to be had.
            ImportError: a path was given and Pillow is not installed.
        """
        pixels, number = self._checked(picture, pixel_format)
        with translated():
            return [Face(**self._named(found)) for found in self._core.predict(pixels, number)]

    def align_crops(self, picture: Picture, *, pixel_format: str | None = None) -> NDArray[np.uint8]:
        """What the age model sees of each face: [n, side, side, 3] RGB, largest face first. Errors as predict."""
        pixels, number = self._checked(picture, pixel_format)
        side, points = self.info.crop_side, self.info.crop_points
        with translated():
            crops = [
                _core.align(pixels, number, found["landmarks"], points, side)
                for found in self._core.predict(pixels, number)
            ]
        return np.stack(crops) if crops else np.empty((0, side, side, 3), np.uint8)

    def predict_crop(self, crop: NDArray[np.uint8]) -> Age:
        """The age in one crop as align_crops gives it: contiguous uint8, side x side x 3, RGB."""
        with translated():
            return Age(**self._named(self._core.predict_crop(_checked_crop(crop))))

    def explain_crop(self, crop: NDArray[np.uint8]) -> Explanation:
        """The age in one crop, as predict_crop gives it, and where in the crop it comes from.

        Raises:
            TypeError, ValueError: as predict_crop.
            ModelError: the model's file has no output `features` (ModelInfo.map_shape tells).
        """
        with translated():
            return Explanation(**self._named(self._core.explain_crop(_checked_crop(crop))))

    def _checked(self, picture: Picture, pixel_format: str | None) -> tuple[NDArray[np.uint8], int]:
        if self.face_model is None:
            find_face_model(None)  # raises with the way to get one
        return checked_picture(picture, pixel_format)

    def _named(self, found: dict[str, Any]) -> dict[str, Any]:
        """The core's answer with the group by its name in place of its index."""
        first, last = self.info.groups[found["group"]]
        return found | {"group": f"{first}-{last}"}


def _checked_crop(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if not isinstance(crop, np.ndarray) or crop.dtype != np.uint8:
        raise TypeError("a crop is a NumPy array of uint8")
    return crop


def _refuse_zero(**settings: float | None) -> None:
    """The C ABI takes 0 for the default; whoever writes 0 in Python means something else."""
    for name, value in settings.items():
        if value == 0:
            raise ValueError(f"{name} must be above 0")


def align(
    picture: Picture,
    landmarks: ArrayLike,
    *,
    side: int = 112,
    points: ArrayLike = DEFAULT_POINTS,
    pixel_format: str | None = None,
) -> NDArray[np.uint8]:
    """Cuts an upright face: side x side x 3 RGB; docs/model_contract.md has the definition.

    Args:
        picture: as AgeEstimator.predict takes it.
        landmarks: 5 x 2, in pixels of the picture.
        side: of the crop, 1 to 1024 pixels; `predict_crop` wants its model's, `AgeEstimator.info.crop_side`.
        points: 5 x 2, where the landmarks shall lie in the crop, in fractions of its side.
        pixel_format: of an array.

    Raises:
        ValueError: landmarks that are not finite, lie far off or in one place; and as AgeEstimator.predict.
    """
    pixels, number = checked_picture(picture, pixel_format)
    with translated():
        return _core.align(pixels, number, landmarks, points, side)
