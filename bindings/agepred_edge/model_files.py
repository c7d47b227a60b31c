"""Where model files are found: the one place that knows."""

import os
from pathlib import Path

from agepred_edge.errors import DetectorMissingError

AGE_MODEL = "age_mobilenet_v2-0.1.0"
FACE_MODEL_VARIABLE = "AGEPRED_FACE_MODEL"

_HOW_TO_GET_ONE = (
    "agepred needs YuNet, the file yunet_n_dynamic.onnx that its authors publish in the folder onnx of the GitHub "
    "repository ShiqiYu/libfacedetection.train; save it anywhere and name it with face_model=..., --face-model or the "
    f"environment variable {FACE_MODEL_VARIABLE}"
)

_PACKAGE = Path(__file__).resolve().parent


def _model_roots() -> list[Path]:
    """The wheel's own models, then those of the checkout that an editable installation points into."""
    return [_PACKAGE / "models", _PACKAGE.parent.parent / "models"]


def default_age_model() -> Path:
    """The folder of the packaged default age model; raises FileNotFoundError where there is none."""
    for root in _model_roots():
        if (root / AGE_MODEL).is_dir():
            return root / AGE_MODEL
    raise FileNotFoundError(f"the age model {AGE_MODEL} is not installed; name a model file instead")


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
    """The face model that is used where none is named: $AGEPRED_FACE_MODEL, else ../shared beside a checkout."""
    if named := os.environ.get(FACE_MODEL_VARIABLE):
        return Path(named)
    beside_checkout = _PACKAGE.parent.parent.parent / "shared" / "weights" / "yunet_n.onnx"
    return beside_checkout if beside_checkout.is_file() else None


def find_face_model(face_model: str | os.PathLike[str] | None) -> Path:
    """The face model that a user means; raises DetectorMissingError with the way to get one."""
    path = default_face_model() if face_model is None else Path(face_model)
    if path is None:
        raise DetectorMissingError(f"no face model: {_HOW_TO_GET_ONE}")
    if not path.is_file():
        raise DetectorMissingError(f"face model {path}: there is no such file; {_HOW_TO_GET_ONE}")
    return path
