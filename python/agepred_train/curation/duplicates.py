"""Pictures that are copies or near-duplicates of each other, and those among them that contradict each other."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from agepred_train.curation.survey import DETAIL_SIDE, HASH_SIDE, Survey
from agepred_train.data import Sample

NEAR = 22
"""Bits of the gradient hash, of 256, in which near-duplicates differ at most: where UTKFace's pairs are fewest between
copies and strangers (docs/decisions.md, 24)."""

# Share of the finer hash's bits in which near-duplicates differ at most, of those where one of the two has any
# structure: heads before one white wall share the wall, and little else.
_DETAIL = 0.15

# Share of those bits where there must be structure: of blank pictures nothing can be said.
_STRUCTURE = 0.1

# Pictures whose hashes are compared with all others at once: bounds the memory at this many rows of floats.
_BLOCK = 512


def find_groups(samples: Sequence[Sample], sets: Sequence[str], survey: Survey) -> list[list[int]]:
    """Return the groups of two and more pictures that belong together, each as sorted indices, in order.

    Together belong pictures with the same bytes, near-duplicates, and pictures that share a group in their own
    set's table; and what belongs to one of a group belongs to all of it.
    Pictures that cannot be decoded belong to nothing by what they show.

    Args:
        samples: all pictures.
        sets: name of each picture's set: groups of two sets' tables have nothing to do with each other.
        survey: of these pictures.
    """
    readable = np.flatnonzero(survey.readable())
    forest = _Forest(len(samples))
    named = [(origin, sample.group) if sample.group else None for origin, sample in zip(sets, samples, strict=True)]
    forest.join_equal((index, key) for index, key in enumerate(named) if key is not None)
    forest.join_equal((int(index), survey.sha256[index].tobytes()) for index in readable)
    for pairs in near_pairs(survey.gradients[readable], NEAR):
        rows = readable[pairs]
        for first, second in rows[_agree(survey.details[rows[:, 0]], survey.details[rows[:, 1]])].tolist():
            forest.join(first, second)
    return forest.groups()


def exact_copies(survey: Survey) -> int:
    """Return how many readable pictures have the bytes of one before them."""
    digests = [row.tobytes() for row in survey.sha256[survey.readable()]]
    return len(digests) - len(set(digests))


def near_pairs(hashes: NDArray[np.uint8], near: int) -> Iterator[NDArray[np.intp]]:
    """Yield the pairs (i, j), i < j, of packed hashes [n, 32] that differ in at most `near` bits, as arrays [m, 2]."""
    # With bits as -1 and 1 a product of matrices counts equal bits: 40,000 pictures take seconds.
    signs = np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
    least = HASH_SIDE**2 - 2 * near
    for start in range(0, len(signs), _BLOCK):
        pairs = np.argwhere(signs[start : start + _BLOCK] @ signs[start:].T >= least)
        yield pairs[pairs[:, 0] < pairs[:, 1]] + start


def _agree(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which pairs of details [m, 2, 128] agree where there is anything to see, [m]."""
    structured = first[:, 1] | second[:, 1]
    differing = (first[:, 0] ^ second[:, 0]) & structured
    total = _count(structured)
    agree: NDArray[np.bool_] = (total >= _STRUCTURE * DETAIL_SIDE**2) & (_count(differing) <= _DETAIL * total)
    return agree


def _count(bits: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return the number of bits that are set in each row."""
    counts: NDArray[np.intp] = np.unpackbits(bits, axis=1).sum(axis=1)
    return counts


def contradict(samples: Iterable[Sample]) -> bool:
    """Return whether no single age agrees with the labels of all of these pictures."""
    labels = [(sample.age_min, sample.age_max) for sample in samples]
    return max(low for low, _ in labels) > min(high for _, high in labels)


class _Forest:
    """Disjoint sets of indices (union-find)."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def _root(self, index: int) -> int:
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index

    def join(self, first: int, second: int) -> None:
        low, high = sorted((self._root(first), self._root(second)))
        self._parent[high] = low

    def join_equal(self, keyed: Iterable[tuple[int, object]]) -> None:
        """Join indices that have equal keys."""
        first_of: dict[object, int] = {}
        for index, key in keyed:
            self.join(first_of.setdefault(key, index), index)

    def groups(self) -> list[list[int]]:
        members: dict[int, list[int]] = {}
        for index in range(len(self._parent)):
            members.setdefault(self._root(index), []).append(index)
        return [group for group in members.values() if len(group) > 1]
