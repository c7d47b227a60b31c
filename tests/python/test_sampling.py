"""What an epoch is made of: balance between ages, shares of processes, and the same draws whenever asked."""

from pathlib import Path

import numpy as np
import pytest

from agepred_train import sampling
from agepred_train.data import Sample
from agepred_train.sampling import EpochSampler, ShareSampler, balancing_weights


def sample(low, high=None):
    return Sample(name="x", path=Path("x"), size=1, age_min=low, age_max=low if high is None else high, split="train")


def test_each_age_weighs_the_same_in_all():
    samples = [sample(20)] * 60 + [sample(50)] * 30 + [sample(90)] * 10
    weights = balancing_weights(samples, by_group=False, power=1.0)
    assert weights.mean() == pytest.approx(1.0)
    assert weights[:60].sum() == pytest.approx(weights[60:90].sum()) == pytest.approx(weights[90:].sum())
    np.testing.assert_allclose(balancing_weights(samples, by_group=False, power=0.0), 1.0)
    half = balancing_weights(samples, by_group=False, power=0.5)
    assert half[-1] / half[0] == pytest.approx(np.sqrt(6.0))


def test_groups_balance_by_group():
    samples = [sample(age) for age in range(26)] + [sample(30)] * 4
    weights = balancing_weights(samples, by_group=True, power=1.0)
    assert weights[:26].sum() == pytest.approx(weights[26:].sum())
    assert np.ptp(weights[:26]) == pytest.approx(0)


def test_a_range_counts_for_its_ages_evenly():
    samples = [sample(20, 29), sample(20), sample(80)]
    weights = balancing_weights(samples, by_group=False, power=1.0)
    counts = np.full(10, 0.1)
    counts[0] = 1.1
    by_hand = np.array([(0.1 / counts).sum(), 1 / 1.1, 1.0])
    np.testing.assert_allclose(weights, by_hand / by_hand.mean())


def epoch(sampler, number):
    sampler.set_epoch(number)
    return list(sampler)


def test_an_epoch_is_the_same_whenever_it_is_asked_for():
    for weights in (None, np.arange(1.0, 41.0)):
        first, second = (EpochSampler(40, weights=weights, processes=1, seed=3) for _ in range(2))
        assert epoch(first, 2) == epoch(second, 2)
        assert epoch(first, 2) != epoch(first, 3)
        assert epoch(EpochSampler(40, weights=weights, processes=1, seed=4), 2) != epoch(first, 2)


def test_weights_say_how_often():
    weights = np.array([1.0] * 50 + [3.0] * 50)
    sampler = EpochSampler(100, weights=weights, processes=1, seed=0)
    drawn = np.concatenate([epoch(sampler, number) for number in range(100)])
    assert (drawn >= 50).mean() == pytest.approx(0.75, abs=0.02)


def test_processes_share_an_epoch_without_overlap(monkeypatch):
    shares = []
    for number in range(3):
        monkeypatch.setattr(sampling, "rank", lambda number=number: number)
        sampler = EpochSampler(41, weights=None, processes=3, seed=0)
        shares.append(epoch(sampler, 1))
        assert len(shares[-1]) == len(sampler) == 13
        assert len(list(ShareSampler(41, 3))) == len(ShareSampler(41, 3))
    assert len({index for share in shares for index in share}) == 39


def test_validation_is_shared_to_the_last_sample(monkeypatch):
    seen = []
    for number in range(3):
        monkeypatch.setattr(sampling, "rank", lambda number=number: number)
        seen += list(ShareSampler(41, 3))
    assert sorted(seen) == list(range(41))
