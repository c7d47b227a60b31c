"""Which split a picture belongs to: groups of near-duplicates stay together, ages are spread evenly."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agepred_train.archive import DataError
from agepred_train.data import SPLITS, Sample, Split

# Years of age within which pictures are dealt out evenly.
_BAND = 10

# What a group follows where its members' own splits differ: a test picture must have no copy elsewhere.
_STRONGEST_FIRST: tuple[Split, ...] = ("test", "val", "train", "drop")

_DEALT: tuple[Split, ...] = ("train", "val", "test")

_SHARES = (70, 15, 15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How pictures are divided."""

    kind: Literal["own", "shares", "folds", "whole"] = "own"
    """`own`: as each set says, or as `deal_own` deals where one says nothing. `shares`: anew. `folds`: K parts, each
    one in turn for validation; what a set calls its test split stays that. `whole`: all in one split."""
    shares: tuple[int, int, int] = _SHARES
    """Train, val and test in percent."""
    folds: int = 1
    """K."""
    split: Split = "train"
    """The one split of `whole`."""


def parse_plan(text: str) -> Plan:
    """Return the plan that an option like `own`, `70/15/15`, `folds:5` or `test` asks for.

    Raises:
        DataError: it asks for none, for shares that are not 100 together, or for less than two folds.
    """
    if text == "own":
        return Plan()
    if text in _DEALT:
        return Plan(kind="whole", split=text)
    if match := re.fullmatch(r"folds:(\d{1,3})", text):
        if int(match[1]) < 2:
            raise DataError(f"--split {text}: there must be at least 2 folds")
        return Plan(kind="folds", folds=int(match[1]))
    if match := re.fullmatch(r"(\d{1,3})/(\d{1,3})/(\d{1,3})", text):
        train, val, test = (int(number) for number in match.groups())
        if train + val + test != 100:
            raise DataError(f"--split {text}: the shares are {train + val + test} percent together, not 100")
        return Plan(kind="shares", shares=(train, val, test))
    raise DataError(f"--split {text}: write own, TRAIN/VAL/TEST in percent, folds:K, train, val or test")


def deal_own(samples: Sequence[Sample], groups: Sequence[Sequence[int]], *, seed: int = 1) -> list[Split]:
    """Return the splits of a set that names none: 70/15/15, near-duplicates together, ages spread evenly.

    The one rule for such sets, whichever command reads them. It looks at nothing beside the set, so a set has the
    same splits alone and among others.

    Args:
        samples: all pictures of the set, in its order.
        groups: indices of those that belong together.
        seed: of the order in which pictures are dealt out.
    """
    return _of_parts(samples, _units(len(samples), groups), _SHARES, seed)


def divide(
    samples: Sequence[Sample], own: Sequence[bool], groups: Sequence[Sequence[int]], plan: Plan, *, seed: int = 1
) -> list[list[Split]]:
    """Return the split of every picture, once; for `folds` once a fold.

    All of a group come to one split, or to `drop` where their sets say otherwise and a stronger split holds one of
    them. The same samples, groups and seed give the same splits.

    Args:
        samples: all pictures.
        own: whether a picture's `split` is its set's own word; the plan `own` takes every split for that, so sets
            that name none are dealt first.
        groups: indices of pictures that belong together.
        plan: how to divide.
        seed: of the order in which pictures are dealt out.
    """
    units = _units(len(samples), groups)
    if plan.kind in ("whole", "shares"):
        dealt = [plan.split] * len(samples) if plan.kind == "whole" else _of_parts(samples, units, plan.shares, seed)
        # What a set's own table says to belong nowhere does not come back.
        return [
            [
                "drop" if known and sample.split == "drop" else split
                for known, sample, split in zip(own, samples, dealt, strict=True)
            ]
        ]
    if plan.kind == "own":
        result: list[Split] = ["drop"] * len(samples)
        _follow(samples, [True] * len(samples), units, result)
        return [result]
    said = [_own_split(samples, own, unit) for unit in units]
    free = [unit for unit, split in zip(units, said, strict=True) if split not in ("test", "drop")]
    part_of = list(zip(free, _deal(samples, free, (1,) * plan.folds, seed), strict=True))
    kept = [unit for unit, split in zip(units, said, strict=True) if split in ("test", "drop")]
    return [_of_fold(samples, own, part_of, kept, fold) for fold in range(plan.folds)]


def _of_fold(
    samples: Sequence[Sample],
    own: Sequence[bool],
    part_of: Sequence[tuple[Sequence[int], int]],
    kept: Sequence[Sequence[int]],
    fold: int,
) -> list[Split]:
    """Return the splits where one part validates, the others train, and `kept` units stay as their sets say."""
    result: list[Split] = ["drop"] * len(samples)
    for unit, part in part_of:
        for index in unit:
            if not (own[index] and samples[index].split == "drop"):
                result[index] = "val" if part == fold else "train"
    _follow(samples, own, kept, result)
    return result


def _units(count: int, groups: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return what is dealt out as a whole: groups, and single pictures."""
    grouped = {index for group in groups for index in group}
    return [*(list(group) for group in groups), *([index] for index in range(count) if index not in grouped)]


def _own_split(samples: Sequence[Sample], own: Sequence[bool], unit: Sequence[int]) -> Split | None:
    """Return the strongest split that the sets say of a unit; None where they say nothing."""
    said = {samples[index].split for index in unit if own[index]}
    return next((split for split in _STRONGEST_FIRST if split in said), None)


def _follow(
    samples: Sequence[Sample], own: Sequence[bool], units: Sequence[Sequence[int]], result: list[Split]
) -> None:
    """Put units where their sets want them; members whose set wants them elsewhere are dropped."""
    for unit in units:
        strongest = _own_split(samples, own, unit)
        assert strongest is not None
        for index in unit:
            stays = not own[index] or samples[index].split == strongest
            result[index] = strongest if stays else "drop"


def _of_parts(
    samples: Sequence[Sample], units: Sequence[Sequence[int]], shares: Sequence[int], seed: int
) -> list[Split]:
    result: list[Split] = ["drop"] * len(samples)
    for unit, part in zip(units, _deal(samples, units, shares, seed), strict=True):
        for index in unit:
            result[index] = SPLITS[part]
    return result


def _deal(samples: Sequence[Sample], units: Sequence[Sequence[int]], shares: Sequence[int], seed: int) -> list[int]:
    """Return the part, 0 to len(shares) - 1, that each unit comes to.

    Units go by in the order of their age bands, at random within one, each to the part that lacks most: so every part
    has its share of every band to within a few pictures.
    """
    shuffled = np.random.default_rng(seed).permutation(len(units)).tolist()
    order = sorted(shuffled, key=lambda number: _band(samples[units[number][0]]))
    share = np.array(shares, float) / sum(shares)
    counts = np.zeros(len(shares))
    parts = [0] * len(units)
    for number in order:
        size = len(units[number])
        lack = np.where(share > 0, share * (counts.sum() + size) - counts, -np.inf)
        parts[number] = int(lack.argmax())
        counts[parts[number]] += size
    return parts


def _band(sample: Sample) -> int:
    return (sample.age_min + sample.age_max) // 2 // _BAND
