"""What can go wrong, as users catch it, and the translation from the core's failures."""

from collections.abc import Iterator
from contextlib import contextmanager

from agepred_edge import _core


class AgepredError(Exception):
    """Anything that agepred reports about its surroundings: files, models, the runtime."""


class ModelError(AgepredError, ValueError):
    """A model file that is damaged or breaks docs/model_contract.md."""


class PictureError(AgepredError, ValueError):
    """A picture file that cannot be decoded, or is refused for its size."""


class RuntimeMissingError(AgepredError, RuntimeError):
    """No ONNX Runtime, or one that cannot be used here."""


class DetectorMissingError(AgepredError, FileNotFoundError):
    """No face model where one is needed."""


_BY_STATUS: dict[str, type[Exception]] = {
    "invalid argument": ValueError,
    "invalid image": ValueError,
    "file not found": FileNotFoundError,
    "invalid model": ModelError,
    "runtime missing": RuntimeMissingError,
    "out of memory": MemoryError,
}


@contextmanager
def translated() -> Iterator[None]:
    """Turns the core's failures into the classes above; those without one become RuntimeError."""
    try:
        yield
    except _core.Failure as failure:
        status, message = failure.args
        raise _BY_STATUS.get(status, RuntimeError)(message) from None
