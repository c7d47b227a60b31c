"""Where annotated pictures are stored, and how."""

import os
from pathlib import Path

from PIL import Image

from agepred_cli.failure import fail

_JPEG = (".jpg", ".jpeg")
_JPEG_QUALITY = 92  # letters and thin lines show rings below about 90


def make_folder(folder: Path) -> None:
    """Finds out before the work whether its results can be stored."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        fail(f"--save {folder}: is a file, or lies in one; name a folder")
    except OSError as error:
        fail(f"--save {folder}: the folder cannot be made: {error.strerror}")
    if not os.access(folder, os.W_OK | os.X_OK):
        fail(f"--save {folder}: nothing can be written into this folder")


Identity = tuple[int, int]


def identity(path: Path) -> Identity | None:
    """What tells a file from others under any of its names, links and mounts; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def free_name(folder: Path, photo: Path, taken: set[Identity | None], ending: str = "ages") -> Path:
    """Where the annotated picture goes: <stem>-<ending>, numbered where that is one of the files that are taken.

    Taken are this run's other results, and its inputs, which must not be replaced.
    """
    suffix = ".jpg" if photo.suffix.lower() in _JPEG else ".png"
    names = (f"{photo.stem}-{ending}{number}{suffix}" for number in ("", *(f"-{n}" for n in range(2, len(taken) + 3))))
    return next(folder / name for name in names if identity(folder / name) not in taken - {None})


def save(picture: Image.Image, target: Path) -> None:
    """Written beside and renamed, so that nobody meets half a picture."""
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        picture.save(beside, format="JPEG" if target.suffix == ".jpg" else "PNG", quality=_JPEG_QUALITY)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def unwritten(target: Path, error: Exception) -> str:
    """What to say where an annotated picture could not be drawn or stored: no room, no rights, no memory."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return f"cannot write {target}: {reason}"
