"""The splits of a set that names none: dealt by one rule, from what its pictures show."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

from agepred_train.curation.duplicates import find_groups
from agepred_train.curation.sources import Source
from agepred_train.curation.splits import deal_own
from agepred_train.curation.survey import Survey, look
from agepred_train.data import Sample, Split


def own_splits(samples: Sequence[Sample], survey: Survey, *, seed: int = 1) -> list[Split]:
    """Return the splits of one set's pictures.

    Args:
        samples: all pictures of the set, in its order.
        survey: of these pictures.
        seed: of the order in which pictures are dealt out.
    """
    return deal_own(samples, find_groups(samples, [""] * len(samples), survey), seed=seed)


def with_splits(source: Source, cache: Path) -> Source:
    """Return a set whose pictures all have a split: its own words, or where it has none what `own_splits` deals.

    Dealt splits are part of what identifies the set: a run whose `val` was dealt otherwise is another run.

    Args:
        source: as it was read.
        cache: where what is seen in its pictures is kept; untouched where the set has splits of its own.
    """
    if source.has_splits:
        return source
    collection = source.collection
    splits = own_splits(collection.samples, look(collection.samples, cache))
    samples = tuple(
        dataclasses.replace(sample, split=split) for sample, split in zip(collection.samples, splits, strict=True)
    )
    listing = "\n".join(f"{sample.name} {sample.split}" for sample in samples)
    hashes = collection.hashes | {"dealt splits": hashlib.sha256(listing.encode()).hexdigest()}
    return dataclasses.replace(source, collection=dataclasses.replace(collection, samples=samples, hashes=hashes))
