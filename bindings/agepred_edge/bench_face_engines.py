"""What agepred-bench --faces measures: face models in libagepred, a rival's in OpenCV, and libagepred's stages."""

import importlib.util
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agepred_edge import _core
from agepred_edge.bench_engines import BenchError
from agepred_edge.errors import translated
from agepred_edge.estimator import FaceDetector
from agepred_edge.model_files import NO_POINTS_MODEL, find_face_model, find_points_model
from agepred_edge.pictures import PIXEL_FORMATS, read_picture
from agepred_edge.runtime import find_runtime

Pixels = NDArray[np.uint8]

STAGES = ("fill", "network", "decode", "refine")
"""Of a detection: the picture into the network's input, the face model, its answers to faces, the points model."""

_PRECISIONS = ("int8", "fp32")
_CROWD = 4
"""Faces in a row, and rows of them, of the crowded picture."""
_OPENCV_SCORE, _OPENCV_OVERLAP = 0.6, 0.3
"""As libagepred takes YuNet: score of a face, and overlap from which one of two is suppressed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceSpec:
    """A face model and its refiner in libagepred."""

    name: str
    """As the tables call it."""
    face_model: Path
    points_model: Path | None

    def detector(self, side: int, threads: int) -> FaceDetector:
        """Loads them as users do. Raises what FaceDetector raises for files that it refuses."""
        return FaceDetector(
            self.face_model, points_model=self.points_model or NO_POINTS_MODEL, threads=threads, max_side=side
        )

    def stage_recorder(self, picture: Pixels, threads: int) -> "StageRecorder":
        """Loads them for the times of their stages on a square RGB picture. Raises as detector()."""
        with translated():
            timer = _core._StageTimer(
                os.fspath(self.face_model),
                os.fspath(self.points_model or ""),
                find_runtime(),
                threads=threads,
                max_side=len(picture),
            )
        return StageRecorder(timer, picture)


class StageRecorder:
    """A detector that keeps what its calls tell of themselves: nanoseconds of STAGES, looks and faces."""

    def __init__(self, timer: _core._StageTimer, picture: Pixels) -> None:
        self._timer = timer
        self._picture = picture
        self.calls: list[dict[str, int]] = []

    def __call__(self, _: object = None) -> None:
        """Detects the picture's faces, as often as it is called."""
        with translated():
            self.calls.append(self._timer.detect(self._picture, PIXEL_FORMATS["RGB"][0]))


def face_specs(face_model: Path | None, points_model: str | None, against: Path | None) -> list[FaceSpec]:
    """The named (or packaged) face model, its sibling of the other precision, and the rival, which has no refiner.

    Without a named points model each takes the file points_NAME beside it, where there is one. Raises BenchError and
    what find_face_model and find_points_model raise.
    """
    named = find_face_model(face_model)
    precisions = [named.with_name(f"{precision}.onnx") for precision in _PRECISIONS]
    models = [path for path in precisions if path.is_file()] if named in precisions else [named]
    specs = [
        FaceSpec(name=f"libagepred {path.stem}", face_model=path, points_model=_refiner(path, points_model))
        for path in models
    ]
    if against is None:
        return specs
    if not against.is_file():
        raise BenchError(f"--against {against}: there is no such file")
    name = f"libagepred {against.stem}"
    if any(name == spec.name for spec in specs):
        name = f"libagepred {against.resolve().parent.name}/{against.stem}"
    return [*specs, FaceSpec(name=name, face_model=against, points_model=None)]


def opencv_engine(model: Path, picture: Pixels, threads: int) -> tuple[Callable[[object], int], str]:
    """cv2.FaceDetectorYN on a square RGB picture: what finds its number of faces, and OpenCV's version.

    It gets a copy of the file for this one size: OpenCV 4 does not take sizes that the input decides, and OpenCV 5 is
    no slower with it. Raises BenchError with the reason where OpenCV is not installed or does not take the copy.
    """
    if not _is_installed("cv2"):
        raise BenchError("not installed (pip install opencv-python-headless)")
    import cv2  # noqa: PLC0415 - agepred-bench must work without it

    cv2.setNumThreads(threads)
    bgr = np.ascontiguousarray(picture[..., ::-1])  # its own order, sorted beforehand

    def count(_: object = None) -> int:
        faces = detector.detect(bgr)[1]
        return 0 if faces is None else len(faces)

    try:
        with tempfile.TemporaryDirectory() as folder:
            copy = _write_fixed(model, Path(folder), len(picture))
            size = (picture.shape[1], picture.shape[0])
            detector = cv2.FaceDetectorYN.create(str(copy), "", size, _OPENCV_SCORE, _OPENCV_OVERLAP)
        count()
    except cv2.error as error:
        raise BenchError(f"it does not take {model.name} ({str(error).splitlines()[0]})") from error
    return count, cv2.__version__


def find_picture(image: Path | None) -> Path:
    """The picture of one face that a user names, else Grace Hopper's of matplotlib; raises BenchError."""
    if image is not None:
        return image
    spec = importlib.util.find_spec("matplotlib")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, "mpl-data", "sample_data", "grace_hopper.jpg")
        if path.is_file():
            return path
    raise BenchError("--faces needs a picture of one face: name one with --image, or install matplotlib, which has one")


def middle_square(image: Path) -> Pixels:
    """The largest square in the middle of a picture file. Raises what read_picture raises."""
    pixels = read_picture(image)
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def resized(square: Pixels, side: int) -> Pixels:
    """The square with another side."""
    from PIL import Image  # noqa: PLC0415 - what has read a picture has it

    return np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.LANCZOS))


def crowd(square: Pixels, box: Sequence[float], side: int) -> tuple[Pixels, int]:
    """A mosaic of the face in the box and twice as much around it, and of how many tiles it is made."""
    x, y, width, height = box
    whole = len(square)
    part = round(min(whole, 2 * max(width, height)))
    left, top = (round(min(max(middle - part / 2, 0), whole - part)) for middle in (x + width / 2, y + height / 2))
    tile = resized(np.ascontiguousarray(square[top : top + part, left : left + part]), side // _CROWD)
    return np.ascontiguousarray(np.tile(tile, (_CROWD, _CROWD, 1))), _CROWD**2


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _write_fixed(model: Path, folder: Path, side: int) -> Path:
    """Writes the model for pictures [1, 3, side, side], what that makes constant computed, and returns its path."""
    import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415 - slow to import

    names = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).get_inputs()[0].shape
    copy = folder / model.name
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC  # standard operators only
    options.optimized_model_filepath = os.fspath(copy)
    options.log_severity_level = 3
    for name, length in zip(names, (1, 3, side, side), strict=True):
        if isinstance(name, str):
            options.add_free_dimension_override_by_name(name, length)
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return copy


def _refiner(face_model: Path, points_model: str | None) -> Path | None:
    """The points model of a face model: of the same precision, where there are both."""
    if points_model is None:
        beside = face_model.with_name(f"points_{face_model.name}")
        return beside if beside.is_file() else None
    named = find_points_model(points_model)
    if named is None or named.stem not in [f"points_{precision}" for precision in _PRECISIONS]:
        return named
    of_precision = named.with_name(f"points_{face_model.name}")
    return of_precision if of_precision.is_file() else named
