"""How old the faces in a picture are, and how sure that is.

    >>> from agepred_edge import AgeEstimator
    >>> for face in AgeEstimator().predict("photo.jpg"):
    ...     print(f"{face.age:.0f} ({face.interval[0]:.0f} to {face.interval[1]:.0f})")

NumPy and ONNX Runtime are all it needs; paths of pictures need Pillow as well (extra ``cli``).
"""

from agepred_edge._core import version as __version__
from agepred_edge.errors import (
    AgepredError,
    DetectorMissingError,
    ModelError,
    PictureError,
    RuntimeMissingError,
)
from agepred_edge.estimator import DEFAULT_POINTS, AgeEstimator, FaceDetector, align
from agepred_edge.explanation import enlarge_map, map_at, tint
from agepred_edge.model_files import (
    default_age_model,
    default_face_model,
    find_age_model,
    find_face_model,
    find_points_model,
)
from agepred_edge.pictures import read_picture
from agepred_edge.results import Age, Detection, Explanation, Face, ModelInfo
from agepred_edge.runtime import RuntimeInfo, runtime_info

__all__ = [
    "DEFAULT_POINTS",
    "Age",
    "AgeEstimator",
    "AgepredError",
    "Detection",
    "DetectorMissingError",
    "Explanation",
    "Face",
    "FaceDetector",
    "ModelError",
    "ModelInfo",
    "PictureError",
    "RuntimeInfo",
    "RuntimeMissingError",
    "__version__",
    "align",
    "default_age_model",
    "default_face_model",
    "enlarge_map",
    "find_age_model",
    "find_face_model",
    "find_points_model",
    "map_at",
    "read_picture",
    "runtime_info",
    "tint",
]
