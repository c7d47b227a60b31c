"""Encoded pictures and where their bytes lie: files of their own, or members of an uncompressed tar."""

import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


class DataError(ValueError):
    """A data file that is not what it should be; the message names file, cause and way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPicture:
    """A picture by its name and the place where its bytes lie."""

    name: str
    """File name, unique within its collection."""
    path: Path
    """File that holds the bytes: the picture itself or an archive."""
    offset: int = 0
    """First byte of the picture in that file."""
    size: int
    """Length of the picture in bytes."""

    def read_bytes(self) -> bytes:
        """Return the encoded picture. Safe in any thread and in forked workers: nothing is kept open."""
        file = os.open(self.path, os.O_RDONLY)
        try:
            return os.pread(file, self.size, self.offset)
        finally:
            os.close(file)

    def read_picture(self) -> NDArray[np.uint8]:
        """Return the decoded picture, RGB, [height, width, 3].

        Raises:
            DataError: the bytes are no picture that Pillow can decode.
        """
        try:
            with Image.open(io.BytesIO(self.read_bytes())) as picture:
                return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
        except Exception as error:  # Pillow's decoders answer damaged bytes with almost any exception
            raise DataError(f"{self.name} in {self.path}: cannot be decoded ({error})") from error


def index_archive(archive: Path) -> dict[str, StoredPicture]:
    """Return the members of an uncompressed tar by their names, in the order in which they lie.

    Raises:
        FileNotFoundError: the archive is not there.
        DataError: it is no uncompressed tar.
    """
    try:
        with tarfile.open(archive, "r:") as tar:
            return {
                name: StoredPicture(name=name, path=archive, offset=member.offset_data, size=member.size)
                for member in tar
                if member.isfile()
                for name in [member.name.removeprefix("./")]
            }
    except tarfile.TarError as error:
        raise DataError(f"{archive}: not an uncompressed tar file ({error}); unpack .gz or .xz first") from error
