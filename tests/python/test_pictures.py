"""What may be given as a picture, and what every other thing is answered with: the process always lives."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from agepred_edge import DEFAULT_POINTS, AgeEstimator, PictureError, align, read_picture


def png(path: Path, width: int, height: int, data: bytes = b"") -> Path:
    """A PNG of 8-bit RGB whose header claims a size, whatever follows."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(data))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b""))
    return path


# ---- arrays


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.uint16, np.int64, bool])
def test_wrong_dtype(estimator: AgeEstimator, dtype: type) -> None:
    with pytest.raises(TypeError, match="uint8"):
        estimator.predict(np.zeros((8, 8, 3), dtype), pixel_format="RGB")


@pytest.mark.parametrize(
    ("shape", "pixel_format"),
    [
        ((8, 8), "RGB"),
        ((8, 8, 4), "BGR"),
        ((8, 8, 3), "RGBA"),
        ((8, 8, 3), "GRAY"),
        ((8,), "GRAY"),
        ((1, 8, 8, 3), "RGB"),
    ],
)
def test_shape_that_does_not_fit_the_format(estimator: AgeEstimator, shape: tuple[int, ...], pixel_format: str) -> None:
    with pytest.raises(ValueError, match="shape"):
        estimator.predict(np.zeros(shape, np.uint8), pixel_format=pixel_format)


@pytest.mark.parametrize("pixel_format", [None, "rgb", "YUV", "", ["RGB"]])
def test_array_needs_a_known_format(estimator: AgeEstimator, pixel_format: Any) -> None:
    with pytest.raises(ValueError, match="pixel_format"):
        estimator.predict(np.zeros((8, 8, 3), np.uint8), pixel_format=pixel_format)


@pytest.mark.parametrize("shape", [(0, 0, 3), (0, 8, 3), (8, 0, 3)])
def test_empty(estimator: AgeEstimator, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="empty"):
        estimator.predict(np.zeros(shape, np.uint8), pixel_format="RGB")


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (500, 1, 3), (2, 3, 3)])
def test_tiny_pictures_have_no_face(estimator: AgeEstimator, shape: tuple[int, ...]) -> None:
    assert estimator.predict(np.full(shape, 128, np.uint8), pixel_format="RGB") == []
    side = estimator.info.crop_side
    assert estimator.align_crops(np.full(shape, 128, np.uint8), pixel_format="RGB").shape == (0, side, side, 3)


def test_wrong_strides(estimator: AgeEstimator, hopper: NDArray[np.uint8]) -> None:
    """Pixels or channels that do not lie side by side are refused, not misread."""
    for view in (hopper[:, ::-1], hopper[:, ::2], hopper[..., ::-1], hopper.transpose(1, 0, 2)):
        with pytest.raises(ValueError, match="without gaps"):
            estimator.predict(view, pixel_format="RGB")
    overlapping = np.lib.stride_tricks.as_strided(hopper, (600, 512, 3), (4, 3, 1))
    with pytest.raises(ValueError, match="stride"):
        estimator.predict(overlapping, pixel_format="RGB")


def test_rows_that_lie_in_one_place(estimator: AgeEstimator) -> None:
    """A broadcast row has a stride of 0; taken for "no gaps", it once led a megabyte beyond the row."""
    row = np.arange(100 * 3, dtype=np.uint8).reshape(1, 100, 3)
    tall = np.broadcast_to(row, (60000, 100, 3))
    with pytest.raises(ValueError, match="stride of 0"):
        estimator.predict(tall, pixel_format="RGB")
    with pytest.raises(ValueError, match="stride of 0"):
        align(tall, DEFAULT_POINTS * 90, pixel_format="RGB")


def test_one_gray_channel_may_have_an_axis(estimator: AgeEstimator, hopper: NDArray[np.uint8]) -> None:
    gray = np.ascontiguousarray(hopper[..., 1])
    (expected,) = estimator.predict(gray, pixel_format="GRAY")
    for view in (gray[:, :, None], gray.reshape(600, 512, 1), np.ascontiguousarray(gray[:, :, None])):
        assert estimator.predict(view, pixel_format="GRAY")[0].age == expected.age


def test_sides_beyond_the_limit(estimator: AgeEstimator) -> None:
    with pytest.raises(ValueError, match="65535"):
        estimator.predict(np.zeros((1, 65536), np.uint8), pixel_format="GRAY")


def test_rows_with_gaps_are_used_where_they_lie(estimator: AgeEstimator, hopper: NDArray[np.uint8]) -> None:
    wide = np.zeros((600, 700, 3), np.uint8)
    wide[:, 50:562] = hopper
    (one,) = estimator.predict(wide[:, 50:562], pixel_format="RGB")
    (other,) = estimator.predict(hopper, pixel_format="RGB")
    assert one.age == other.age


@pytest.mark.parametrize("thing", [None, 3, [[1, 2]], b"bytes", object()])
def test_things_that_are_no_picture(estimator: AgeEstimator, thing: object) -> None:
    with pytest.raises(TypeError, match="picture"):
        estimator.predict(thing, pixel_format="RGB")  # type: ignore[arg-type]


# ---- files


def test_path_and_array_agree(estimator: AgeEstimator, hopper: NDArray[np.uint8], hopper_path: Path) -> None:
    (one,) = estimator.predict(hopper_path)
    (other,) = estimator.predict(hopper, pixel_format="RGB")
    assert one.to_dict(probabilities=True) == other.to_dict(probabilities=True)
    with pytest.raises(ValueError, match="pixel_format"):
        estimator.predict(hopper_path, pixel_format="RGB")


def test_missing_file_and_folder(estimator: AgeEstimator, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        estimator.predict(tmp_path / "nowhere.jpg")
    with pytest.raises(PictureError, match=tmp_path.name):
        estimator.predict(tmp_path)


def test_pipe_and_device(tmp_path: Path) -> None:
    """Opening a pipe to which nobody writes would hang."""
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", Path("/dev/zero")):
        with pytest.raises(PictureError, match="regular file"):
            read_picture(path)


@pytest.mark.parametrize("content", [b"", b"this is a text, not a photograph", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_file_that_is_no_picture(estimator: AgeEstimator, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.jpg"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=r"notes\.jpg"):
        estimator.predict(path)


def test_truncated_at_every_length(hopper: NDArray[np.uint8], tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    Image.fromarray(hopper[::4, ::4].copy()).save(whole)
    data = whole.read_bytes()
    path = tmp_path / "cut.jpg"
    for length in range(0, len(data) - 2, 97):
        path.write_bytes(data[:length])
        with pytest.raises(PictureError, match=r"cut\.jpg"):
            read_picture(path)


def test_damaged_bytes_never_end_the_process(hopper: NDArray[np.uint8], tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "a camera"
    for suffix in ("jpg", "png", "webp", "avif", "gif", "bmp", "tiff", "jp2", "ppm"):
        path = tmp_path / f"noisy.{suffix}"
        Image.fromarray(hopper[::8, ::8].copy()).save(path, **({"exif": exif} if suffix in "jpg png webp avif" else {}))
        data = np.frombuffer(path.read_bytes(), np.uint8)
        for attempt in range(60):
            damaged = data.copy()
            # Every other time in the first bytes, where headers and EXIF lie.
            damaged[rng.integers(0, 200 if attempt % 2 else len(data), 8)] = rng.integers(0, 256, 8)
            path.write_bytes(damaged.tobytes())
            try:
                assert read_picture(path).dtype == np.uint8
            except PictureError as error:
                assert path.name in str(error)  # noqa: PT017 - either outcome is right, so raises() does not fit


def test_header_that_claims_a_huge_size(tmp_path: Path) -> None:
    """60,000 x 60,000 pixels, refused by name, in a process that never holds 500 MB."""
    path = png(tmp_path / "bomb.png", 60_000, 60_000, b"\0" * 1000)
    script = f"""
from agepred_edge import AgeEstimator, PictureError
estimator = AgeEstimator()
try:
    estimator.predict({str(path)!r})
except PictureError as error:
    print(error)
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    message, peak_kb = done.stdout.strip().splitlines()
    assert "100 megapixels" in message
    assert "bomb.png" in message
    # VmHWM and not ru_maxrss, which on Linux counts what the parent held when it forked.
    assert int(peak_kb) < 500_000


@pytest.mark.parametrize("tag", [0x0122, 0x011B, 0x0155])
def test_damaged_exif(hopper: NDArray[np.uint8], tmp_path: Path, tag: int) -> None:
    """An entry of a wrong type beside the orientation: the picture is read and turned; it once ended a whole batch."""
    path = tmp_path / "camera.jpg"
    entries = struct.pack(">HHI4s", tag, 2, 4, b"abc\0") + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 2) + entries + bytes(4)
    Image.fromarray(np.ascontiguousarray(hopper[::8, ::8])).save(path, exif=exif)
    assert read_picture(path).shape == (64, 75, 3)


def test_names_that_no_file_can_have() -> None:
    for name in ("a" * 300 + ".jpg", "b/" * 3000 + "c.jpg"):
        with pytest.raises(PictureError, match="cannot be read"):
            read_picture(name)


def test_progressive_jpeg_with_scans_without_end(hopper: NDArray[np.uint8], tmp_path: Path) -> None:
    """Each repeated scan costs as much as a whole picture; 140 bytes more a scan, and hours for a megabyte."""
    path = tmp_path / "scans.jpg"
    Image.fromarray(hopper).save(path, progressive=True)
    assert read_picture(path).shape == hopper.shape
    data = path.read_bytes()
    last = data[data.rindex(b"\xff\xda") : -2]
    path.write_bytes(data[:-2] + last * 200 + data[-2:])
    with pytest.raises(PictureError, match="scans"):
        read_picture(path)


def test_formats_that_are_no_pictures(tmp_path: Path) -> None:
    """EPS would start another program; a name does not make it a photograph."""
    path = tmp_path / "page.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(PictureError, match=r"page\.jpg"):
        read_picture(path)


def test_exif_rotation(estimator: AgeEstimator, hopper: NDArray[np.uint8], tmp_path: Path) -> None:
    """Each of the eight ways a camera may lie is turned upright: the face is found at the same place."""
    upright = Image.fromarray(hopper)
    transpose = Image.Transpose
    stored_as = {1: None, 2: transpose.FLIP_LEFT_RIGHT, 3: transpose.ROTATE_180, 4: transpose.FLIP_TOP_BOTTOM,
                 5: transpose.TRANSPOSE, 6: transpose.ROTATE_90, 7: transpose.TRANSVERSE,
                 8: transpose.ROTATE_270}  # fmt: skip
    (expected,) = estimator.predict(hopper, pixel_format="RGB")
    for orientation, operation in stored_as.items():
        stored = upright if operation is None else upright.transpose(operation)
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"turned{orientation}.png"
        stored.save(path, exif=exif)
        assert np.array_equal(read_picture(path), hopper), orientation
        assert estimator.predict(path)[0].age == expected.age


def test_cmyk(estimator: AgeEstimator, hopper: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "print.jpg"
    Image.fromarray(hopper).convert("CMYK").save(path, quality=95)
    decoded = read_picture(path)
    assert np.abs(decoded.astype(int) - hopper).mean() < 3
    (face,) = estimator.predict(path)
    assert abs(face.age - estimator.predict(hopper, pixel_format="RGB")[0].age) < 5


def test_sixteen_bits(estimator: AgeEstimator, hopper: NDArray[np.uint8], tmp_path: Path) -> None:
    """A 16-bit gray PNG is the 8-bit one at its high bytes, neither clipped to white nor black."""
    gray = np.asarray(Image.fromarray(hopper).convert("L"))
    path = tmp_path / "deep.png"
    Image.fromarray(gray.astype(np.uint16) * 256 + 99).save(path)
    decoded = read_picture(path)
    assert np.array_equal(decoded[..., 0], gray)
    (face,) = estimator.predict(path)
    assert face.age == estimator.predict(gray, pixel_format="GRAY")[0].age


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "YCbCr", "I", "F", "LAB"])
def test_every_mode_becomes_rgb(hopper: NDArray[np.uint8], tmp_path: Path, mode: str) -> None:
    path = tmp_path / "picture.tiff"
    picture = Image.fromarray(hopper[::4, ::4].copy())
    converted = picture.convert("L").convert(mode) if mode in ("I", "F") else picture.convert(mode)
    converted.save(path)
    decoded = read_picture(path)
    assert decoded.shape == (150, 128, 3)
    assert np.abs(decoded.mean() - hopper.mean()) < 40


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    path = tmp_path / "glass.png"
    Image.new("RGBA", (4, 4), (200, 0, 0, 0)).save(path)
    assert (read_picture(path) == 255).all()


def test_limit_of_memory_is_an_error(tmp_path: Path) -> None:
    """A picture that fits the limit but not the memory: an error with the file's name, not a killed process."""
    path = png(tmp_path / "large.png", 9_900, 9_900, b"\0" * 1000)
    script = f"""
import resource
from agepred_edge import PictureError, read_picture
from PIL import Image, PngImagePlugin
limit = 400 * 2**20  # bytes of address space, NumPy and Pillow included
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    read_picture({str(path)!r})
except PictureError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "large.png" in done.stdout
