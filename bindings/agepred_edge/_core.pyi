"""
The C++ core of agepred; agepred_edge is its public face.
"""

from __future__ import annotations
import numpy
import numpy.typing
import typing

__all__: list[str] = ["Detector", "Estimator", "Failure", "align", "describe_runtime", "version"]

class Failure(Exception):
    pass

class Detector:
    def __init__(
        self,
        face_model: str,
        points_model: str,
        runtime: str,
        *,
        threads: typing.SupportsInt | typing.SupportsIndex,
        allow_spinning: bool,
        arena: bool,
        min_score: typing.SupportsFloat | typing.SupportsIndex,
        max_side: typing.SupportsInt | typing.SupportsIndex,
        smallest_face: typing.SupportsFloat | typing.SupportsIndex,
    ) -> None: ...
    def detect(
        self,
        picture: typing.Annotated[numpy.typing.ArrayLike, numpy.uint8],
        format: typing.SupportsInt | typing.SupportsIndex,
    ) -> list[dict[str, typing.Any]]: ...

class Estimator:
    def __init__(
        self,
        age_model: str,
        face_model: str,
        points_model: str,
        runtime: str,
        *,
        threads: typing.SupportsInt | typing.SupportsIndex,
        allow_spinning: bool,
        arena: bool,
        min_score: typing.SupportsFloat | typing.SupportsIndex,
        max_side: typing.SupportsInt | typing.SupportsIndex,
        smallest_face: typing.SupportsFloat | typing.SupportsIndex,
        interval_level: typing.SupportsFloat | typing.SupportsIndex,
    ) -> None: ...
    def describe(self) -> dict[str, typing.Any]: ...
    def explain_crop(self, crop: typing.Annotated[numpy.typing.ArrayLike, numpy.uint8]) -> dict[str, typing.Any]: ...
    def predict(
        self,
        picture: typing.Annotated[numpy.typing.ArrayLike, numpy.uint8],
        format: typing.SupportsInt | typing.SupportsIndex,
    ) -> list[dict[str, typing.Any]]: ...
    def predict_crop(self, crop: typing.Annotated[numpy.typing.ArrayLike, numpy.uint8]) -> dict[str, typing.Any]: ...

class _StageTimer:
    """
    For agepred-bench alone: a detector that tells what its stages took.
    """
    def __init__(
        self,
        face_model: str,
        points_model: str,
        runtime: str,
        *,
        threads: typing.SupportsInt | typing.SupportsIndex,
        max_side: typing.SupportsInt | typing.SupportsIndex,
    ) -> None: ...
    def detect(
        self,
        picture: typing.Annotated[numpy.typing.ArrayLike, numpy.uint8],
        format: typing.SupportsInt | typing.SupportsIndex,
    ) -> dict[str, int]: ...

def align(
    picture: typing.Annotated[numpy.typing.ArrayLike, numpy.uint8],
    format: typing.SupportsInt | typing.SupportsIndex,
    landmarks: typing.Annotated[numpy.typing.ArrayLike, numpy.float32],
    targets: typing.Annotated[numpy.typing.ArrayLike, numpy.float32],
    side: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.typing.NDArray[numpy.uint8]: ...
def describe_runtime(runtime: str) -> dict[str, typing.Any]: ...

version: str = "0.1.0"
