"""Splits: groups stay together, shares and ages come out even, and a test picture has no copy elsewhere."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from agepred_train.archive import DataError
from agepred_train.curation.splits import Plan, deal_own, divide, parse_plan
from agepred_train.data import Sample


def make(count, split="train", seed=0):
    ages = np.random.default_rng(seed).integers(0, 117, count).tolist()
    return [
        Sample(name=str(number), age_min=age, age_max=age, split=split, path=Path("x"), size=1)
        for number, age in enumerate(ages)
    ]


def random_groups(count, number, seed=0):
    order = np.random.default_rng(seed).permutation(count).tolist()
    sizes = np.random.default_rng(seed + 1).integers(2, 6, number).tolist()
    return [sorted(order.pop() for _ in range(size)) for size in sizes]


@pytest.mark.parametrize("shares", [(70, 15, 15), (100, 0, 0), (34, 33, 33), (0, 50, 50)])
def test_shares_come_out_overall_and_in_every_band_of_ages(shares):
    samples = make(3000)
    groups = random_groups(3000, 100)
    (splits,) = divide(samples, [False] * 3000, groups, Plan(kind="shares", shares=shares))
    for low in (0, 30, 60, 90):
        band = [split for sample, split in zip(samples, splits, strict=True) if low <= sample.age_min < low + 30]
        for name, share in zip(("train", "val", "test"), shares, strict=True):
            assert band.count(name) == pytest.approx(share / 100 * len(band), abs=12)
            assert share or not band.count(name)
    assert "drop" not in splits


@pytest.mark.parametrize("plan", [Plan(kind="shares"), Plan(kind="folds", folds=3), parse_plan("val")])
def test_a_group_never_parts(plan):
    samples = make(400)
    groups = random_groups(400, 60)
    for splits in divide(samples, [False] * 400, groups, plan):
        for group in groups:
            assert len({splits[index] for index in group}) == 1


def test_the_seed_alone_decides():
    samples, groups = make(300), random_groups(300, 20)
    first, again, other = (deal_own(samples, groups, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_every_picture_validates_in_one_fold():
    samples, groups = make(101), random_groups(101, 10)
    folds = divide(samples, [False] * 101, groups, Plan(kind="folds", folds=5))
    assert len(folds) == 5
    for index in range(101):
        assert Counter(fold[index] for fold in folds) == {"val": 1, "train": 4}
    assert max(fold.count("val") for fold in folds) - min(fold.count("val") for fold in folds) <= 5


def test_own_splits_stay_and_copies_of_stronger_ones_are_dropped():
    samples = [
        *make(1, "train"), *make(1, "test"), *make(1, "val"), *make(1, "train"),
        *make(1, "val"), *make(1, "train"), *make(1, "train"), *make(1, "drop"),
    ]  # fmt: skip
    (splits,) = divide(samples, [True] * 8, [[0, 1, 2], [3, 4]], Plan())
    assert splits == ["drop", "test", "drop", "drop", "val", "train", "train", "drop"]


def test_a_set_that_names_no_splits_is_dealt_by_one_rule():
    samples, groups = make(200), random_groups(200, 30)
    splits = deal_own(samples, groups)
    assert [splits] == divide(samples, [False] * 200, groups, Plan(kind="shares", shares=(70, 15, 15)))
    assert all(len({splits[index] for index in group}) == 1 for group in groups)


def test_folds_leave_a_sets_test_split_alone():
    samples = [*make(5, "test"), *make(20, "train"), *make(10, "val"), *make(2, "drop")]
    folds = divide(samples, [True] * 37, [[0, 6]], Plan(kind="folds", folds=2))
    for splits in folds:
        assert splits[:5] == ["test"] * 5
        assert splits[6] == "drop"
        assert splits[-2:] == ["drop"] * 2
        assert set(splits[7:35]) == {"train", "val"}


def test_plans_are_written_as_options():
    assert parse_plan("80/10/10") == Plan(kind="shares", shares=(80, 10, 10))
    assert parse_plan("folds:5").folds == 5
    assert parse_plan("test").split == "test"
    assert parse_plan("own") == Plan()


@pytest.mark.parametrize("text", ["", "80/10", "80/10/20", "folds:1", "folds:x", "drop", "-10/60/50", "70/15/15\n"])
def test_plans_that_make_no_sense_are_refused(text):
    with pytest.raises(DataError, match="--split"):
        parse_plan(text)


@pytest.mark.parametrize("plan", ["70/15/15", "train"])
def test_what_the_set_drops_does_not_come_back(plan):
    samples = [*make(40), *make(20, split="drop", seed=1)]
    (splits,) = divide(samples, [True] * 60, (), parse_plan(plan))
    assert all((split == "drop") == (sample.split == "drop") for sample, split in zip(samples, splits, strict=True))
