"""What training crops are cut from, decoded once: of every picture with a face the part around it.

A cached crop could not be varied as training varies it, by moving the five points before the cut. So the pixels around
the face are kept as they are in the picture, and a crop that needs others is cut from the picture itself. Crops are
those of the whole picture to within one gray level: the window's pixels are the picture's, and where the picture ends,
the window ends with it, so that the border is filled alike.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from agepred_edge import DEFAULT_POINTS
from agepred_train.archive import DataError
from agepred_train.data import Sample
from agepred_train.extent import crop_corners
from agepred_train.parallel import in_chunks
from agepred_train.prepare import Faces
from agepred_train.storage import replacing

Pixels = NDArray[np.uint8]
Points = NDArray[np.float32]

# Share of the crop's side that is kept around it: rotations, scales and shifts of two standard deviations stay inside.
_MARGIN = 0.25

# Larger windows are not kept: of large pictures the file would hold more bytes than the pictures have.
_LARGEST = 512 * 512 * 3

# Pixels around a crop that its outermost samples may touch: bilinear neighbors, and rounding.
_REACH = 2.0

# Windows in a chunk; they are in memory at once.
_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows:
    """A file of pixels and where each picture's window lies in it."""

    pixels: Path
    """The windows, one after the other, RGB."""
    key: str
    """Hash of everything that decides the windows."""
    names: NDArray[np.str_]
    """Sample names, [n]."""
    offsets: NDArray[np.int64]
    """First byte of each window, [n]."""
    boxes: NDArray[np.int32]
    """Each window's x, y, width, height in pixels of the picture, [n, 4]; size 0 where there is none."""
    sizes: NDArray[np.int32]
    """Width and height of the picture, [n, 2]."""

    def row_of(self) -> dict[str, int]:
        """Return the row of each sample name."""
        return {str(name): row for row, name in enumerate(self.names)}

    def around(self, row: int, points: Points, target: Points = DEFAULT_POINTS) -> tuple[Pixels, Points] | None:
        """Return a window [height, width, 3] and five points [5, 2] in its pixels, for the crop that they cut.

        `target` is where the crop puts the points, as shares of its side.

        None where the crop needs pixels that the window lacks. Safe in any thread and in forked workers.
        """
        x, y, width, height = (int(number) for number in self.boxes[row])
        corners = crop_corners(points, target)
        low, high = corners.min(axis=0) - _REACH, corners.max(axis=0) + _REACH
        for start, length, whole, first, last in zip(
            (x, y), (width, height), self.sizes[row].tolist(), low.tolist(), high.tolist(), strict=True
        ):
            if not _holds(start, length, whole, first, last):
                return None
        file = os.open(self.pixels, os.O_RDONLY)
        try:
            content = os.pread(file, width * height * 3, int(self.offsets[row]))
        finally:
            os.close(file)
        return np.frombuffer(content, np.uint8).reshape(height, width, 3), points - np.array([x, y], np.float32)

    def link(self, pixels: Path) -> None:
        """Give the file of pixels and its index another name as well, in the same folder."""
        for file, other in ((self.pixels, pixels), (_index_of(self.pixels), _index_of(pixels))):
            with replacing(other) as temporary:
                os.link(file, temporary)

    def save_index(self, path: Path) -> None:
        """Write all but the pixels; a file of that name is replaced only once the new one is whole."""
        columns = {name: getattr(self, name) for name in self.__slots__ if name != "pixels"}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **columns)


def windows_of(manifest: Path) -> Path:
    """Return where the windows of a manifest's pictures are kept."""
    return manifest.with_name(f"{manifest.stem}-windows.bin")


def keep_windows(samples: Sequence[Sample], faces: Faces, out: Path) -> Windows:
    """Write the windows of all samples with a face: `out` for the pixels, beside it an index; on all cores.

    A stopped run goes on where it was; a finished file of the same samples and faces is returned as it is.

    Raises:
        DataError: what lies beside `out` is no index.
    """
    key = _key(samples, faces)
    found = find_windows(samples, faces, out)
    if found is not None:
        return found
    unfinished = out.with_name(out.name + ".partial")
    windows = _load_index(_index_of(unfinished), unfinished, key) or _nothing(unfinished, key)
    out.parent.mkdir(parents=True, exist_ok=True)
    row_of = faces.row_of()
    work = partial(_cut_window, faces=faces, row_of=row_of)
    with unfinished.open("r+b" if unfinished.exists() else "w+b") as file:
        # What was written behind the last index is cut again.
        file.truncate(_end(windows))
        file.seek(0, os.SEEK_END)
        start = len(windows.names)
        for rows in in_chunks(work, samples, description="keeping crops", start=start, chunk=_CHUNK):
            for window, _, _ in rows:
                file.write(window)
            file.flush()
            windows = _append(windows, samples[len(windows.names) :][: len(rows)], rows)
            windows.save_index(_index_of(unfinished))
    unfinished.replace(out)
    _index_of(unfinished).replace(_index_of(out))
    return find_windows(samples, faces, out) or _changed(out)


def find_windows(samples: Sequence[Sample], faces: Faces, out: Path) -> Windows | None:
    """Return the finished windows of these samples and faces; None where there are none, or of others.

    Raises:
        DataError: the index beside `out` is none.
    """
    windows = _load_index(_index_of(out), out, _key(samples, faces))
    return windows if windows is not None and len(windows.names) == len(samples) else None


def _key(samples: Sequence[Sample], faces: Faces) -> str:
    """Return a hash of data, detector, points model and geometry: anything else would cut the same windows."""
    row_of = faces.row_of()
    rows = [row_of[sample.name] for sample in samples]
    digest = hashlib.sha256(f"2 {_MARGIN} {_LARGEST} {faces.detector_sha256} {faces.points_sha256}".encode())
    digest.update(DEFAULT_POINTS.tobytes())
    # A picture is known by its name and its bytes, which `prepare` has looked at.
    digest.update("\n".join(sample.name for sample in samples).encode())
    digest.update(faces.pictures[rows].tobytes())
    digest.update(faces.counts[rows].tobytes() + faces.landmarks[rows].tobytes())
    return digest.hexdigest()


_Row = tuple[bytes, tuple[int, int, int, int], tuple[int, int]]


def _cut_window(sample: Sample, *, faces: Faces, row_of: dict[str, int]) -> _Row:
    """Return a window's pixels, its box and the picture's size; nothing without a face or where it is too large."""
    row = row_of[sample.name]
    if faces.counts[row] < 1:
        return b"", (0, 0, 0, 0), (0, 0)
    picture = sample.read_picture()
    height, width = picture.shape[:2]
    corners = crop_corners(faces.landmarks[row])
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = _MARGIN * float(np.hypot(*(corners[1] - corners[0]))) + _REACH
    left, top = (int(np.clip(np.floor(end - margin), 0, None)) for end in low)
    right, bottom = (
        int(np.clip(np.ceil(end + margin), 0, size)) for end, size in zip(high, (width, height), strict=True)
    )
    if right <= left or bottom <= top or (right - left) * (bottom - top) * 3 > _LARGEST:
        return b"", (0, 0, 0, 0), (width, height)
    return picture[top:bottom, left:right].tobytes(), (left, top, right - left, bottom - top), (width, height)


def _holds(start: int, length: int, whole: int, first: float, last: float) -> bool:
    """Return whether a window from `start` on holds what a crop from `first` to `last` needs along one axis.

    What lies beyond the picture, 0 to `whole`, is its mirror image: it needs as many pixels inside of the border.
    """
    end = start + length
    if start == 0 and end == whole:
        return length > 0
    if first < 0:
        last = max(last, -first + 1)
        first = 0
    if last > whole:
        first = min(first, 2 * whole - last - 1)
        last = whole
    return start <= first and last <= end


def _nothing(pixels: Path, key: str) -> Windows:
    return Windows(
        pixels=pixels,
        key=key,
        names=np.empty(0, np.str_),
        offsets=np.empty(0, np.int64),
        boxes=np.empty((0, 4), np.int32),
        sizes=np.empty((0, 2), np.int32),
    )


def _append(windows: Windows, samples: Sequence[Sample], rows: Sequence[_Row]) -> Windows:
    lengths = [len(window) for window, _, _ in rows]
    offsets = _end(windows) + np.cumsum([0, *lengths[:-1]])
    return Windows(
        pixels=windows.pixels,
        key=windows.key,
        names=np.concatenate([windows.names, np.array([sample.name for sample in samples], np.str_)]),
        offsets=np.concatenate([windows.offsets, offsets.astype(np.int64)]),
        boxes=np.concatenate([windows.boxes, np.array([box for _, box, _ in rows], np.int32)]),
        sizes=np.concatenate([windows.sizes, np.array([size for _, _, size in rows], np.int32)]),
    )


def _end(windows: Windows) -> int:
    """Return the length of the pixels' file that an index speaks of."""
    if not len(windows.names):
        return 0
    return int(windows.offsets[-1]) + int(windows.boxes[-1, 2]) * int(windows.boxes[-1, 3]) * 3


def _index_of(pixels: Path) -> Path:
    return pixels.with_name(pixels.name + ".npz")


def _load_index(index: Path, pixels: Path, key: str) -> Windows | None:
    """Return the windows of an index if it has that key and its pixels are there."""
    if not index.exists() or not pixels.exists():
        return None
    try:
        with index.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            columns: dict[str, Any] = {name: arrays[name] for name in Windows.__slots__ if name != "pixels"}
    except (ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"{index}: no index of crops ({error}); delete it and run again") from error
    windows = Windows(pixels=pixels, **(columns | {"key": str(columns["key"])}))
    return windows if windows.key == key and _end(windows) <= pixels.stat().st_size else None


def _changed(out: Path) -> Windows:
    raise DataError(f"{out}: was changed while it was written; run one `agepred data` at a time")
