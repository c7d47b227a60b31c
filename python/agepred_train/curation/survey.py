"""One look at every picture: its size, the hash of its bytes, and a hash of what it shows."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agepred_train.archive import DataError
from agepred_train.data import Sample
from agepred_train.fingerprints import Fingerprints, fingerprints, rows_of, unknown
from agepred_train.parallel import in_chunks
from agepred_train.storage import replacing

HASH_SIDE = 16
"""A gradient hash has this many rows and columns of bits."""
DETAIL_SIDE = 32
"""The same for the finer one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survey:
    """What was seen, one row a picture; rows of pictures that cannot be decoded hold zeros but for `sha256`."""

    names: NDArray[np.str_]
    """Sample names, [n]."""
    sizes: NDArray[np.int32]
    """Width and height in pixels, [n, 2]; zero where the picture cannot be decoded."""
    sha256: Fingerprints
    """Of the encoded picture, [n, 32]."""
    gradients: NDArray[np.uint8]
    """Gradient hash: where brightness rises from left to right; 16 x 16 bits, packed, [n, 32]."""
    details: NDArray[np.uint8]
    """The same of 32 x 32, [n, 0, 128], and where brightness changes at all, [n, 1, 128]."""

    def readable(self) -> NDArray[np.bool_]:
        """Return which pictures can be decoded, [n]."""
        readable: NDArray[np.bool_] = self.sizes[:, 0] > 0
        return readable

    def at(self, rows: Sequence[int] | NDArray[np.intp]) -> "Survey":
        """Return some of the rows, in the order given."""
        chosen = np.array(rows, np.intp)
        columns: dict[str, Any] = {name: getattr(self, name)[chosen] for name in self.__slots__}
        return Survey(**columns)


def look(samples: Sequence[Sample], out: Path) -> Survey:
    """Look at every picture and write the cache `out`; a stopped run goes on where it was.

    What was seen in the same bytes is not looked at again, whatever the picture is called; a changed picture under an
    old name is.
    """
    unfinished = out.with_name(out.name + ".partial")
    pictures = fingerprints(samples)
    finished = _load(out)
    names = np.array([sample.name for sample in samples], np.str_)
    if np.array_equal(finished.names, names) and np.array_equal(finished.sha256, pictures):
        return finished
    out.parent.mkdir(parents=True, exist_ok=True)
    survey = _together(finished, _load(unfinished))
    missing = unknown(pictures, survey.sha256)
    done = 0
    for rows in in_chunks(_look, [samples[row] for row in missing], description="reading pictures"):
        survey = _append(survey, rows, pictures[missing[done : done + len(rows)]])
        done += len(rows)
        _save(survey, unfinished)
    survey = dataclasses.replace(survey.at(rows_of(pictures, survey.sha256)), names=names)
    _save(survey, out)
    unfinished.unlink(missing_ok=True)
    return survey


def gradients_of(picture: NDArray[np.uint8], side: int) -> NDArray[np.int16]:
    """Return by how much brightness rises from each cell to the next, [side, side], of a picture [height, width, 3].

    Cells are those of the picture shrunk to side + 1 columns and `side` rows, so size, compression and light change
    few of the signs.
    """
    gray = Image.fromarray(picture).convert("L").resize((side + 1, side), Image.Resampling.BOX)
    values = np.asarray(gray, np.int16)
    rises: NDArray[np.int16] = values[:, 1:] - values[:, :-1]
    return rises


_Bits = NDArray[np.uint8]
_Row = tuple[str, tuple[int, int], _Bits, _Bits]


def _look(sample: Sample) -> _Row:
    try:
        picture = sample.read_picture()
    except DataError:
        return sample.name, (0, 0), *_no_hashes()
    size = (picture.shape[1], picture.shape[0])
    fine = gradients_of(picture, DETAIL_SIDE)
    details = np.stack([np.packbits(fine > 0), np.packbits(fine != 0)])
    return sample.name, size, np.packbits(gradients_of(picture, HASH_SIDE) > 0), details


def _no_hashes() -> tuple[_Bits, _Bits]:
    return np.zeros(HASH_SIDE**2 // 8, np.uint8), np.zeros((2, DETAIL_SIDE**2 // 8), np.uint8)


def _nothing() -> Survey:
    return Survey(
        names=np.empty(0, np.str_),
        sizes=np.empty((0, 2), np.int32),
        sha256=np.empty((0, 32), np.uint8),
        gradients=np.empty((0, HASH_SIDE**2 // 8), np.uint8),
        details=np.empty((0, 2, DETAIL_SIDE**2 // 8), np.uint8),
    )


def _append(survey: Survey, rows: Sequence[_Row], pictures: Fingerprints) -> Survey:
    names, sizes, gradients, details = zip(*rows, strict=True)
    seen = Survey(
        names=np.array(names, np.str_),
        sizes=np.array(sizes, np.int32),
        sha256=pictures,
        gradients=np.array(gradients),
        details=np.array(details),
    )
    return _together(survey, seen)


def _together(first: Survey, second: Survey) -> Survey:
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in Survey.__slots__
    }
    return Survey(**columns)


def _save(survey: Survey, path: Path) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **dataclasses.asdict(survey))


def _load(path: Path) -> Survey:
    """Return a cache; nothing where there is none."""
    if not path.exists():
        return _nothing()
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            columns: dict[str, Any] = {name: arrays[name] for name in Survey.__slots__}
    except (ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: not what a look at pictures leaves ({error}); delete it and run again") from error
    return Survey(**columns)
