"""Several data sets as one: each picture's name says which it is of."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agepred_train.archive import DataError
from agepred_train.data import Collection, Sample
from agepred_train.prepare import FACE_COLUMNS, Faces

_SEPARATOR = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedCollection(Collection):
    """Pictures of several data sets; names begin with their source's."""

    sources: tuple[str, ...]
    """Names of the sources; the first that has pictures in `val` is the one whose figures choose the epoch."""


def join(parts: Mapping[str, tuple[Collection, Faces]]) -> tuple[JoinedCollection, Faces]:
    """Return data sets and their faces as one of each, in the order given.

    Raises:
        DataError: a source's name is empty or holds a slash, or the faces are not all of one detector.
    """
    collection = join_collections({source: part for source, (part, _) in parts.items()})
    found = [faces for _, faces in parts.values()]
    detectors = {(faces.detector_sha256, faces.points_sha256) for faces in found}
    if len(detectors) != 1:
        raise DataError(
            f"the faces of {', '.join(parts)} were found by {len(detectors)} different detectors or refiners; "
            "prepare all of them with the same"
        )
    names = [
        faces.names if isinstance(part, JoinedCollection) else np.char.add(source + _SEPARATOR, faces.names)
        for source, (part, faces) in parts.items()
    ]
    columns: dict[str, Any] = {name: np.concatenate([getattr(faces, name) for faces in found]) for name in FACE_COLUMNS}
    return collection, dataclasses.replace(found[0], names=np.concatenate(names), **columns)


def join_collections(parts: Mapping[str, Collection]) -> JoinedCollection:
    """Return data sets as one, in the order given; names of samples, skipped files and hashes become `source/name`.

    What is joined already, such as a table of `agepred data` of several sets, keeps its sources and their names.

    Raises:
        DataError: a source's name is empty or holds a slash, or two have one name.
    """
    sources: list[str] = []
    samples: list[Sample] = []
    for source, part in parts.items():
        if not source or _SEPARATOR in source:
            raise DataError(f"{source!r} cannot name a data set: a slash ends the name")
        if isinstance(part, JoinedCollection):
            sources += part.sources
            samples += part.samples
        else:
            sources.append(source)
            samples += named_by_source(source, part.samples)
    if len(set(sources)) < len(sources):
        raise DataError(f"two sources are named {max(sources, key=sources.count)}; rename one of them")
    return JoinedCollection(
        samples=tuple(samples),
        skipped=tuple(_prefixed(source, line) for source, part in parts.items() for line in part.skipped),
        hashes={
            _prefixed(source, name): digest for source, part in parts.items() for name, digest in part.hashes.items()
        },
        sources=tuple(sources),
    )


def named_by_source(source: str, samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples with names that begin with their source's."""
    return [dataclasses.replace(sample, name=_prefixed(source, sample.name)) for sample in samples]


def sources_of(collection: Collection) -> tuple[str, ...]:
    """Return the names of a collection's sources; one empty name where it is a single data set."""
    return collection.sources if isinstance(collection, JoinedCollection) else ("",)


def of_source(samples: Sequence[Sample], source: str) -> list[Sample]:
    """Return the samples of one source, in order; all where the name is empty."""
    return [sample for sample in samples if not source or sample.name.startswith(source + _SEPARATOR)]


def weights_by_source(text: str) -> dict[str, float]:
    """Read weights like `fairface=0.5,snapshots=2`.

    Raises:
        ValueError: the text is not of that form, or a weight is below 0.
    """
    weights: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        source, _, number = part.partition("=")
        try:
            weights[source] = float(number)
        except ValueError as error:
            raise ValueError(f"{part!r}: expected SOURCE=WEIGHT, such as fairface=0.5") from error
        if not 0 <= weights[source] < float("inf"):
            raise ValueError(f"{part!r}: a weight is at least 0")
    return weights


def _prefixed(source: str, name: str) -> str:
    return f"{source}{_SEPARATOR}{name}"
