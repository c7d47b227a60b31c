"""What a user may give as a picture: an array with its pixel format, or the path of a file."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agepred_edge.errors import PictureError

# The numbers of agepred_pixel_format in agepred.h, and how many channels each has.
PIXEL_FORMATS = {"RGB": (1, 3), "BGR": (2, 3), "RGBA": (3, 4), "BGRA": (4, 4), "GRAY": (5, 1)}

# Larger than any phone's usual picture. Decoding takes 10 bytes a pixel for a while, 14 with transparency.
MAX_FILE_PIXELS = 100_000_000

# Each scan of a progressive JPEG goes over the whole picture, however few bytes it has: a small file could keep the
# decoder busy for hours. Programs write about ten.
_JPEG_SCAN = b"\xff\xda"
_MAX_SCANS = 100

# What cameras, phones and the web make. Others of Pillow's formats start foreign programs (EPS) or are documents.
_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")

Picture = NDArray[np.uint8] | str | os.PathLike[str]


def checked_picture(picture: Picture, pixel_format: str | None) -> tuple[NDArray[np.uint8], int]:
    """Pixels and the core's number of their format, the memory of an array untouched.

    Raises TypeError for another type than uint8, ValueError for a shape, format or memory layout that does not fit,
    PictureError and FileNotFoundError for files.
    """
    if isinstance(picture, str | os.PathLike):
        if pixel_format is not None:
            raise ValueError("pixel_format is for arrays; a file says itself what its pixels are")
        return read_picture(picture), PIXEL_FORMATS["RGB"][0]
    if not isinstance(picture, np.ndarray):
        raise TypeError(f"a picture is a NumPy array or a path, not {type(picture).__name__}")
    if picture.dtype != np.uint8:
        raise TypeError(f"a picture's dtype must be uint8 (0 to 255), not {picture.dtype}")
    if not isinstance(pixel_format, str) or pixel_format not in PIXEL_FORMATS:
        known = ", ".join(PIXEL_FORMATS)
        raise ValueError(f"an array needs its pixel_format, one of {known}; got {pixel_format!r}")
    number, channels = PIXEL_FORMATS[pixel_format]
    shape = picture.shape
    if picture.ndim not in (2, 3) or (shape[2] if picture.ndim == 3 else 1) != channels:
        expected = "height x width" if channels == 1 else f"height x width x {channels}"
        raise ValueError(f"a {pixel_format} picture has the shape {expected}, not {shape}")
    if picture.size == 0:
        raise ValueError(f"the picture is empty: its shape is {shape}")
    return picture, number


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Decodes a picture file to height x width x 3 RGB, turned as its EXIF data says.

    Raises FileNotFoundError, ImportError where Pillow is absent, and PictureError for a file that is no picture,
    is damaged, or holds more than MAX_FILE_PIXELS; the size is checked before anything is decoded.
    """
    try:
        from PIL import Image  # noqa: PLC0415 - Pillow is optional, arrays do without it
    except ImportError as missing:
        raise ImportError(
            "reading picture files needs Pillow: pip install 'agepred-edge[cli]'; or pass an array"
        ) from missing
    path = Path(path)
    try:
        if not path.exists():
            raise FileNotFoundError(f"picture {path}: there is no such file")
        if not path.is_file():  # opening a pipe would wait for ever
            raise PictureError(f"picture {path} is no regular file")
    except FileNotFoundError:
        raise
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise PictureError(f"picture {path} cannot be read: {error.strerror}") from error
    Image.init()
    try:
        with Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN]) as image:
            if image.width * image.height > MAX_FILE_PIXELS:
                raise Image.DecompressionBombError
            if image.info.get("progressive") and path.read_bytes().count(_JPEG_SCAN) > _MAX_SCANS:
                raise PictureError(f"picture {path} has more than {_MAX_SCANS} scans, which no camera or program makes")
            return _to_rgb(_upright(image))
    except PictureError:
        raise
    except Image.DecompressionBombError:  # ours, or Pillow's own at some larger size
        raise PictureError(
            f"picture {path} claims more than the {MAX_FILE_PIXELS // 1_000_000} megapixels that agepred "
            "decodes; shrink it first"
        ) from None
    # Pillow's decoders raise nearly anything for damaged files, struct.error and NotImplementedError among it; each
    # means the same to a user.
    except Exception as error:
        raise PictureError(f"picture {path} cannot be read: {error or type(error).__name__}") from error


def _upright(image: Any) -> Any:
    """The picture turned as its EXIF orientation says (Exif 2.32, tag 0x0112).

    Pillow's own function also writes the EXIF data anew, and fails where an unrelated entry is damaged.
    """
    from PIL import Image  # noqa: PLC0415 - as above

    turn = Image.Transpose
    how = {2: turn.FLIP_LEFT_RIGHT, 3: turn.ROTATE_180, 4: turn.FLIP_TOP_BOTTOM, 5: turn.TRANSPOSE,
           6: turn.ROTATE_270, 7: turn.TRANSVERSE, 8: turn.ROTATE_90}.get(image.getexif().get(0x0112))  # fmt: skip
    return image if how is None else image.transpose(how)


def _to_rgb(image: Any) -> NDArray[np.uint8]:
    """Any mode of Pillow's to 8-bit RGB; 16-bit gray keeps its high byte, transparency lies on white."""
    from PIL import Image  # noqa: PLC0415 - as above

    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode == "I":  # 32 bits that hold values of 16 or of 8
        values = np.clip(np.asarray(image), 0, 65535)
        image = Image.fromarray((values >> 8 if values.max() > 255 else values).astype(np.uint8))
    elif image.mode == "F":
        image = Image.fromarray(np.clip(np.asarray(image), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        transparent = image.convert("RGBA")
        image = Image.new("RGB", image.size, (255, 255, 255))
        image.paste(transparent, mask=transparent.getchannel("A"))
        del transparent
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
