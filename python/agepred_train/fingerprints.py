"""Pictures by the bytes in which they are stored: what was found in them is found again, whatever they are called."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from agepred_train.archive import StoredPicture
from agepred_train.parallel import core_count

Fingerprints = NDArray[np.uint8]
"""sha256 of encoded pictures, [n, 32]."""

NO_FINGERPRINTS: Fingerprints = np.empty((0, 32), np.uint8)


def fingerprints(pictures: Sequence[StoredPicture]) -> Fingerprints:
    """Return the sha256 of each picture's encoded bytes, in order; nothing is decoded.

    Raises:
        OSError: a file is not there.
    """
    with ThreadPoolExecutor(core_count()) as pool:
        return np.frombuffer(b"".join(pool.map(_sha256, pictures)), np.uint8).reshape(-1, 32)


def unknown(wanted: Fingerprints, known: Fingerprints) -> list[int]:
    """Return the rows of `wanted` that are not known, in order; of equal ones the first."""
    seen = {row.tobytes() for row in known}
    rows = []
    for number, row in enumerate(wanted):
        if (digest := row.tobytes()) not in seen:
            seen.add(digest)
            rows.append(number)
    return rows


def rows_of(wanted: Fingerprints, known: Fingerprints) -> NDArray[np.intp]:
    """Return where each of `wanted` lies in `known`, [n]; KeyError where one does not."""
    place = {row.tobytes(): number for number, row in enumerate(known)}
    return np.array([place[row.tobytes()] for row in wanted], np.intp)


def _sha256(picture: StoredPicture) -> bytes:
    return hashlib.sha256(picture.read_bytes()).digest()
