"""Labeled pictures: what is known of each, and what identifies a set of them."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from agepred_train.archive import DataError, StoredPicture

Split = Literal["train", "val", "test", "drop"]
SPLITS: tuple[Split, ...] = get_args(Split)

GENDERS = ("male", "female")
"""In the order of UTKFace's codes."""
RACES = ("White", "Black", "Asian", "Indian", "other")
"""In the order of UTKFace's codes."""

GROUPS = ((0, 25), (26, 50), (51, 75), (76, 116))
"""First and last age of each of the four groups by which answers are judged."""

# The network's classes: UTKFace's oldest label is 116.
AGES = range(117)
OLDEST = AGES.stop - 1
"""Upper end of a range that is open, such as 70+, in years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(StoredPicture):
    """One labeled picture and the place where its bytes lie."""

    age_min: int
    """Lowest apparent age that the label allows, in years, 0 to 116."""
    age_max: int
    """Highest; `age_min` where the label is one age."""
    split: Split
    """`train`, `val`, `test`, or `drop` for what belongs nowhere."""
    gender: str = ""
    """In the set's own words; empty where it is not known."""
    race: str = ""
    """In the set's own words; empty where it is not known."""
    coral: str = ""
    """Membership in the published CORAL split: `train`, `test` or empty."""
    group: str = ""
    """Name that near-duplicates share; empty where none are known."""
    weight: float = 1.0
    """How much the label counts in training, 0 to 1."""
    dropped: str | None = None
    """Why training leaves the picture out, as `agepred data` has judged; empty where it does not, None where nobody has
    judged, so that training does."""

    def __post_init__(self) -> None:
        """Check the labels."""
        for age in (self.age_min, self.age_max):
            if age not in AGES:
                raise DataError(f"age {age} is not within {AGES.start} to {AGES.stop - 1}")
        if self.age_min > self.age_max:
            raise DataError(f"the ages {self.age_min} to {self.age_max} are no range")
        if not 0 <= self.weight <= 1:
            raise DataError(f"weight {self.weight} is not within 0 to 1")
        if self.split not in SPLITS:
            raise DataError(f"split {self.split!r} is none of {', '.join(SPLITS)}")

    @property
    def age(self) -> int:
        """The labeled age in years; ValueError where the label is a range."""
        if self.age_min != self.age_max:
            raise ValueError(f"{self.name}: labeled with a range, {self.age_min} to {self.age_max} years")
        return self.age_min


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """The pictures of one data set, in a fixed order, with what identifies them."""

    samples: tuple[Sample, ...]
    """All usable pictures."""
    skipped: tuple[str, ...] = ()
    """Files left out, each as `name: reason`."""
    hashes: dict[str, str]
    """sha256 of what was read, by file name; it goes into the training record."""

    def part(self, split: Split) -> list[Sample]:
        """Return the samples of one split, in order."""
        return [sample for sample in self.samples if sample.split == split]


def names_and_sizes(samples: Iterable[Sample]) -> str:
    """Return a sha256 in hex that stands for pictures in files of their own: to read them all would take minutes."""
    listing = "\n".join(f"{sample.name} {sample.size}" for sample in samples)
    return hashlib.sha256(listing.encode()).hexdigest()


def median_age(samples: Iterable[Sample]) -> int:
    """Return the lower median of the ages in years: the answer where a picture shows no face."""
    ages = sorted(sample.age for sample in samples)
    if not ages:
        raise DataError("no samples: the median age of nothing is not defined")
    return ages[(len(ages) - 1) // 2]
