"""What `agepred --version` reports: all that a question about a result needs."""

import hashlib
import platform
from collections.abc import Iterator
from pathlib import Path

import agepred_edge
from agepred_edge import AgepredError


def version_lines() -> Iterator[str]:
    """The report line by line; what is missing is said in its place."""
    yield f"agepred {agepred_edge.__version__}"
    yield f"Python {platform.python_version()} on {platform.platform()}"
    yield from _runtime_lines()
    yield from _age_model_lines()
    yield _face_model_line()


def _runtime_lines() -> Iterator[str]:
    try:
        runtime = agepred_edge.runtime_info()
    except AgepredError as error:
        yield f"ONNX Runtime: {error}"
        return
    yield f"ONNX Runtime {runtime.onnxruntime_version} ({runtime.onnxruntime_path})"
    yield f"processor features: {runtime.cpu_features or 'none known'}"


def _age_model_lines() -> Iterator[str]:
    try:
        folder = agepred_edge.default_age_model()
    except FileNotFoundError as error:
        yield f"age model: {error}"
        return
    for name in ("int8.onnx", "fp32.onnx"):
        yield f"age model {folder / name}: {_hash(folder / name)}"


def _face_model_line() -> str:
    try:
        path = agepred_edge.find_face_model(None)
    except AgepredError as error:
        return f"face model: {error}"
    return f"face model {path}: {_hash(path)}"


def _hash(path: Path) -> str:
    try:
        return f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
