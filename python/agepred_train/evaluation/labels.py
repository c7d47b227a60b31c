"""What an evaluation is asked about: labeled pictures of one set or several, and which of them count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from agepred_train.archive import DataError
from agepred_train.curation.labeled_sets import read_sets
from agepred_train.curation.labels import Ranges
from agepred_train.data import Sample, Split, median_age
from agepred_train.sources import join_collections

MEDIAN_AGE = 29.0
"""Median age of UTKFace's split `train`, the answer where there is no face and a set has no exact ages to train on."""

Part = Split | Literal["all"]
"""A split, or all pictures but those that belong nowhere (`drop`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledSet:
    """Labeled pictures in a fixed order."""

    name: str
    """The set's; of several all their names."""
    samples: tuple[Sample, ...]
    """Beside those of other sets they are named `set/picture`."""
    has_splits: bool
    """Whether every picture has a split; without, all of them count, whatever split is asked for."""
    hashes: Mapping[str, str]
    """sha256 of what was read, by file name: the same that training puts on record."""
    silent: tuple[str, ...] = ()
    """Sets that name no splits themselves: with `has_splits` these were dealt."""

    def part(self, split: Part, limit: int | None = None) -> list[Sample]:
        """Return the pictures that count, in order; at most `limit`, spread evenly over them.

        Raises:
            DataError: there are none.
        """
        wanted = {"train", "val", "test"} if split == "all" or not self.has_splits else {split}
        chosen = [sample for sample in self.samples if sample.split in wanted]
        if not chosen:
            raise DataError(f"{self.name}: no picture belongs to the split {split}; choose another split or other data")
        asked = min(limit or len(chosen), len(chosen))
        return [chosen[number * len(chosen) // asked] for number in range(asked)]

    def median_train_age(self) -> float:
        """Return the median of the exact ages of the split `train` in years; MEDIAN_AGE where there are none."""
        exact = [sample for sample in self.samples if sample.split == "train" and sample.age_min == sample.age_max]
        return float(median_age(exact)) if self.has_splits and exact else MEDIAN_AGE


def read_labeled(
    data: Path | Sequence[Path],
    labels: Path | None = None,
    *,
    layout: str | None = None,
    ranges: Ranges | None = None,
    caches: Path | None = None,
) -> LabeledSet:
    """Read what `agepred train` reads: the same pictures, labels, splits and hashes.

    Args:
        data: the sets, in any layout.
        labels: the table of a tar or a folder, where it does not lie beside the tar.
        layout: of all sets; None: recognized by what lies there.
        ranges: what named classes of ages stand for.
        caches: folder in which what is seen in the pictures of sets without splits is kept, so that these can be
            dealt; None: nothing is dealt, and where one of the sets names no splits, all pictures of all count.

    Raises:
        FileNotFoundError, NotADirectoryError: a file is not there.
        DataError: the data is not what it should be.
    """
    paths = [data] if isinstance(data, Path) else data
    sets = read_sets(paths, layout=layout, ranges=ranges, labels=labels, caches=caches)
    silent = tuple(name for name, source in sets.items() if not source.has_splits)
    collections = {name: source.collection for name, source in sets.items()}
    if caches is None:
        # Nothing is trained on an undivided set here, so all of it is there to be measured on.
        collections |= {
            name: replace(part, samples=tuple(replace(sample, split="test") for sample in part.samples))
            for name, part in collections.items()
            if name in silent
        }
    whole = join_collections(collections) if len(collections) > 1 else next(iter(collections.values()))
    return LabeledSet(
        name="+".join(sets),
        samples=whole.samples,
        has_splits=caches is not None or not silent,
        hashes=whole.hashes,
        silent=silent,
    )
