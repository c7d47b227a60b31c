"""Read cell arrays of MATLAB's level 5 files: as much of the format as WIDER FACE's lists of subsets take.

The format is MathWorks' "MAT-File Format": a header of 128 bytes, then elements of a type, a length and data padded to
eight bytes; an element may be compressed with zlib; arrays nest (cells hold arrays).
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agepred_train.archive import DataError

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _CHAR = 1, 4
_NUMERIC = range(6, 16)  # double, single, and the integers
_DTYPES = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
    16: "u1",
    17: "u2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Element:
    kind: int
    data: bytes


def read_mat(path: Path) -> dict[str, Any]:
    """Return the variables: nested lists for cells (flat, column by column), text for rows of characters, else arrays.

    Variables of other kinds (structures, sparse matrices) are left out.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is no level 5 file, or it is cut off.
    """
    content = path.read_bytes()
    if len(content) < _HEADER or content[126:128] not in (b"IM", b"MI"):
        raise DataError(f"{path}: not a MATLAB file of level 5 (version 7.3 is another format); take the authors' file")
    order = "<" if content[126:128] == b"IM" else ">"
    try:
        variables = (_array(element, order) for element in _elements(content[_HEADER:], order))
        return {name: value for name, value in variables if name}
    except (struct.error, zlib.error, ValueError, IndexError, KeyError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path}: damaged or cut off ({error}); fetch it again") from error


def _elements(data: bytes, order: str) -> list[_Element]:
    """Return the elements of a run of bytes, unpacked where they are compressed."""
    found = []
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:  # small: type and length share a word, the data fill the next one
            kind, length, begin, following = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        else:
            begin = at + 8
            following = begin + length + (0 if kind == _COMPRESSED else -length % 8)
        if begin + length > len(data):
            raise ValueError("an element is longer than the file")
        part = data[begin : begin + length]
        found += _elements(zlib.decompress(part), order) if kind == _COMPRESSED else [_Element(kind=kind, data=part)]
        at = following
    return found


def _array(element: _Element, order: str) -> tuple[str, Any]:
    """Return name and value of an array; no name for what is not read."""
    if element.kind != _MATRIX or not element.data:
        return "", np.empty(0)
    flags, shape, name, *parts = _elements(element.data, order)
    kind = _numbers(flags, order)[0] & 0xFF
    title = name.data.decode("ascii")
    if kind == _CELL:
        return title, [_array(part, order)[1] for part in parts]
    if kind == _CHAR:
        wide = parts[0].kind in (4, 17)
        return title, parts[0].data.decode(("utf-16-le" if order == "<" else "utf-16-be") if wide else "utf-8")
    if kind in _NUMERIC:
        return title, _numbers(parts[0], order).reshape(tuple(_numbers(shape, order)), order="F")
    return "", None


def _numbers(element: _Element, order: str) -> NDArray[Any]:
    return np.frombuffer(element.data, np.dtype(_DTYPES[element.kind]).newbyteorder("<" if order == "<" else ">"))
