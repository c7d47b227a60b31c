"""Where model files are found: the one place that knows."""

import os
from pathlib import Path

from agepred_edge.errors import DetectorMissingError

AGE_MODEL = "age_mobilenet_v2-0.4.0"
FACE_MODEL = "face_detector-0.1.0"
FACE_MODEL_VARIABLE = "AGEPRED_FACE_MODEL"
NO_POINTS_MODEL = "none"
"""In place of a points model: the landmarks stay those of the face model."""

_PACKAGE = Path(__file__).resolve().parent


def _model_roots() -> list[Path]:
    """The wheel's own models, then those of the checkout that an editable installation points into."""
    return [_PACKAGE / "models", _PACKAGE.parent.parent / "models"]


def _packaged(*parts: str) -> Path | None:
    """A file or folder below models/, where it is installed."""
    paths = (root.joinpath(*parts) for root in _model_roots())
    return next((path for path in paths if path.exists()), None)


def default_age_model() -> Path:
    """The folder of the packaged default age model; raises FileNotFoundError where there is none."""
    folder = _packaged(AGE_MODEL)
    if folder is None:
        raise FileNotFoundError(f"the age model {AGE_MODEL} is not installed; name a model file instead")
    return folder


def find_age_model(model: str | os.PathLike[str] | None) -> Path:
    """The file that a user means: a path, or the name of a file of the default model ("int8.onnx").

    None means the default model's int8.onnx. Raises FileNotFoundError.
    """
    path = Path("int8.onnx" if model is None else model)
    if model is not None and path.exists():
        return path
    if path.name == str(path) and path.suffix == ".onnx":
        packaged = default_age_model() / path
        if packaged.is_file():
            return packaged
        raise FileNotFoundError(f"model file {path}: not here, and not a file of {AGE_MODEL}")
    raise FileNotFoundError(f"model file {path}: there is no such file")


def default_face_model() -> Path | None:
    """The face model that is used where none is named: $AGEPRED_FACE_MODEL, else the packaged one.

    None only in a build whose models were left out.
    """
    if named := os.environ.get(FACE_MODEL_VARIABLE):
        return Path(named)
    return _packaged(FACE_MODEL, "int8.onnx")


def find_face_model(face_model: str | os.PathLike[str] | None) -> Path:
    """The face model that a user means; raises DetectorMissingError with the way out."""
    path = default_face_model() if face_model is None else Path(face_model)
    if path is None:
        raise DetectorMissingError(
            f"no face model: this installation lacks {FACE_MODEL}; install agepred-edge again, or name a file with "
            f"face_model=..., --face-model or the environment variable {FACE_MODEL_VARIABLE}"
        )
    if not path.is_file():
        raise DetectorMissingError(
            f"face model {path}: there is no such file; without face_model=..., --face-model and the environment "
            f"variable {FACE_MODEL_VARIABLE} the packaged one is used"
        )
    return path


def find_points_model(points_model: str | os.PathLike[str] | None) -> Path | None:
    """The points model that a user means: a path, or "none". None means the packaged one, where there is one.

    Raises FileNotFoundError.
    """
    if points_model is None:
        return _packaged(FACE_MODEL, "points_int8.onnx")
    if os.fspath(points_model) == NO_POINTS_MODEL:
        return None
    path = Path(points_model)
    if not path.is_file():
        raise FileNotFoundError(f'points model {path}: there is no such file; "{NO_POINTS_MODEL}" turns it off')
    return path
