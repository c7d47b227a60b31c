"""Bootstrap, calibration, verification and subgroups against references that are written another way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_answers import answers, normal, row

from agepred_train.evaluation.bootstrap import mean_interval
from agepred_train.evaluation.calibration import calibration, pit_histogram
from agepred_train.evaluation.distribution import (
    intervals,
    likeliest_group,
    likeliest_year,
    mean_and_stddev,
    quantiles,
)
from agepred_train.evaluation.offsets import IntervalOffsets
from agepred_train.evaluation.subgroups import subgroup_gap, subgroups
from agepred_train.evaluation.verification import verification, wilson_interval
from agepred_train.graph import read_keys, read_model

distributions = st.lists(st.floats(0, 1), min_size=2, max_size=12).filter(lambda p: sum(p) > 1e-3)


def test_bootstrap_of_two_values_is_the_binomials():
    """Means of resamples of zeros and ones are binomial shares: its quantiles are known."""
    values = np.repeat([0.0, 1.0], [70, 30])
    low, high = mean_interval(values)
    # 2.5 and 97.5 % quantiles of Binomial(100, 0.3) are 21 and 39.
    assert low == pytest.approx(0.21, abs=0.011)
    assert high == pytest.approx(0.39, abs=0.011)


def test_bootstrap_is_near_the_normal_interval_and_repeatable():
    values = np.random.default_rng(1).exponential(4, 5000)
    low, high = mean_interval(values)
    reach = 1.96 * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - reach, abs=0.1 * reach)
    assert high == pytest.approx(values.mean() + reach, abs=0.1 * reach)
    assert mean_interval(values) == (low, high)
    assert mean_interval([3.0]) == (3.0, 3.0)
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])


def test_bootstrap_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(2)
    held = [low <= 1 <= high for low, high in (mean_interval(rng.exponential(1, 120)) for _ in range(200))]
    assert 0.88 <= np.mean(held) <= 0.99


@settings(max_examples=50, deadline=None)
@given(distributions, st.floats(0.01, 0.99), st.integers(0, 20))
def test_quantile_is_where_the_cumulative_probability_arrives(p, q, first):
    p = np.array(p) / np.sum(p)
    found = float(quantiles(p[None], first, [q])[0, 0])
    assert first <= found <= first + len(p) - 1
    # The probability below it, each year spread evenly over its own unit.
    below = float(np.sum(p * np.clip(found - (first + np.arange(len(p)) - 0.5), 0, 1)))
    if first < found < first + len(p) - 1:
        assert below == pytest.approx(q, abs=1e-6)
    elif found == first:
        assert below >= q - 1e-6
    else:
        assert below <= q + 1e-6


def test_core_gives_the_same_answers_from_its_own_distribution(estimator, int8_model, hopper):
    (face,) = estimator.predict(hopper, pixel_format="RGB")
    p, info = face.probabilities[None], estimator.info
    mean, stddev = mean_and_stddev(p, info.first_age)
    [(low, high)] = intervals(
        p, info.first_age, [info.interval_level], IntervalOffsets.from_keys(read_keys(read_model(int8_model)))
    )
    assert mean[0] == pytest.approx(face.age, abs=2e-3)
    assert stddev[0] == pytest.approx(face.stddev, abs=2e-3)
    assert (low[0], high[0]) == (pytest.approx(face.interval[0], abs=2e-3), pytest.approx(face.interval[1], abs=2e-3))
    assert likeliest_group(p, info.first_age, info.groups) == [face.group]
    assert likeliest_year(p, info.first_age)[0] == info.first_age + np.argmax(face.probabilities)


def test_true_distributions_are_calibrated_and_false_ones_are_not():
    rng = np.random.default_rng(3)
    means = rng.uniform(20, 90, 4000)
    p = normal(means, 5)
    labels = [int(rng.choice(117, p=one / one.sum())) for one in p.astype(float)]
    rows = [row(label, float(mean)) for label, mean in zip(labels, means, strict=True)]
    true = calibration(answers(*rows, probabilities=p))
    # Whole years: an interval that reaches into a year's unit holds its middle or not, 0.02 more or less.
    assert true["intervals"]["0.8"]["coverage"] == pytest.approx(0.8, abs=0.03)
    assert true["intervals"]["0.9"]["coverage"] == pytest.approx(0.9, abs=0.03)
    assert true["gap"] < 0.02
    assert true["pit"] == pytest.approx([0.1] * 10, abs=0.015)
    narrow = calibration(answers(*rows, probabilities=normal(means, 2.5)))
    assert narrow["gap"] > 0.1
    assert narrow["pit"][0] > 0.15 < narrow["pit"][-1]
    assert narrow["intervals"]["0.8"]["width"] < 0.6 * true["intervals"]["0.8"]["width"]


def test_coverage_by_band_by_hand():
    p = normal([5, 5, 20, 60], 1.0)
    # 80 % of a normal distribution lie within 1.28 (and the width of a year) of its mean.
    rows = [row(5, 5.0), row(9, 5.0), row(20, 20.0), row(60, 60.0, faces=0)]
    bands = calibration(answers(*rows, probabilities=p))["intervals"]["0.8"]["bands"]
    assert bands == {
        "0-9": {"n": 2, "coverage": 0.5},
        "10-29": {"n": 1, "coverage": 1.0},
        "30-49": {"n": 0, "coverage": None},
        "50-116": {"n": 0, "coverage": None},
    }


@settings(max_examples=50, deadline=None)
@given(distributions, st.data())
def test_integral_transform_is_the_mean_of_random_ones(p, data):
    """Nonrandomized is what the randomized transform is on average: uniform between F(a - 1) and F(a)."""
    p = np.array(p) / np.sum(p)
    label = data.draw(st.integers(0, len(p) - 1))
    shares = pit_histogram(p[None].astype(np.float64), 0, np.array([label]))
    assert shares.sum() == pytest.approx(1)
    assert (shares >= -1e-12).all()
    low, high = p[:label].sum(), p[: label + 1].sum()
    if high - low > 1e-6:
        grid = low + (high - low) * (np.arange(20000) + 0.5) / 20000
        expected = np.histogram(grid, np.linspace(0, 1, 11))[0] / 20000
        assert shares == pytest.approx(expected, abs=1e-3)


def test_year_of_no_probability_counts_in_one_bin():
    shares = pit_histogram(np.array([[0.5, 0.0, 0.5], [1.0, 0.0, 0.0]]), 0, np.array([1, 1]))
    assert np.count_nonzero(shares) == 2
    assert shares.sum() == pytest.approx(1)


def test_verification_by_hand():
    figures = verification(
        answers(
            row(17, 25.0, gender="female"),  # passes, exactly
            row(13, 24.9),
            row(12, 30.0),
            row(18, 26.0),
            row(40, 24.0),
            row((3, 9), 10.0),
            row((10, 19), 40.0),  # on both sides of 18: nowhere
            row((20, 29), 26.0, gender="", race=""),
        )
    )
    assert (figures["minors"]["n"], figures["minors"]["share"]) == (4, 0.5)
    assert (figures["teenagers"]["n"], figures["teenagers"]["share"]) == (2, 0.5)
    assert (figures["adults"]["n"], figures["adults"]["share"]) == (3, pytest.approx(2 / 3))
    assert figures["genders"]["female"]["share"] == 1
    assert figures["gender_races"]["male Black"]["n"] == 3
    assert set(figures["races"]) == {"Black"}
    assert verification(answers(row(50, 40.0)))["minors"]["share"] is None


def test_wilsons_interval_solves_its_equation():
    for count, total in ((0, 10), (3, 10), (21, 173), (10, 10)):
        low, high = wilson_interval(count, total)
        for end in {low, high} - {0.0, 1.0}:
            assert abs(count / total - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / total), abs=1e-7)
    assert wilson_interval(0, 10)[0] == 0
    assert wilson_interval(10, 10)[1] == pytest.approx(1)


def people(gender, race, ages, error):
    return [
        row(age, float(age + error), gender=gender, race=race, file=f"{gender}{race}{n}") for n, age in enumerate(ages)
    ]


def test_table_of_genders_and_races():
    rows = people("male", "White", [20, 30], 2) + people("female", "Asian", [40], -3) + people("", "Asian", [50], 9)
    table = subgroups(answers(*rows, row((20, 29), 99.0)))
    assert table == {
        "female Asian": {"n": 1, "mae": 3.0, "low": 3.0, "high": 3.0, "bias": -3.0},
        "male White": {"n": 2, "mae": 2.0, "low": 2.0, "high": 2.0, "bias": 2.0},
    }


def test_gap_does_not_punish_a_cell_for_its_ages():
    """Two cells that err alike at every age, one of them older: no gap, where plain MAEs part."""
    young, old = [25] * 90 + [55] * 10, [25] * 10 + [55] * 90

    def people_of(gender, ages):
        return [row(age, float(age + (2 if age < 41 else 8)), gender=gender) for age in ages]

    gap = subgroup_gap(answers(*people_of("male", young), *people_of("female", old)), pictures=100)
    assert gap["gap"] == pytest.approx(0)
    assert gap["plain_gap"] == pytest.approx(0.8 * 6)
    assert gap["decades"] == {"21-30": 0.5, "51-60": 0.5}


def test_gap_by_hand_and_who_counts():
    rows = [
        *people("male", "White", [21, 30, 41], 2),
        *people("female", "White", [25, 26, 45], 4),
        *people("male", "other", [25, 35, 45], 50),  # not a group
        *people("male", "Indian", [25], 50),  # too few
        *people("female", "Asian", [20, 61, 25, 26], 50),  # two of them of other ages
    ]
    gap = subgroup_gap(answers(*rows), pictures=3)
    assert gap["cells"] == {"female White": 4.0, "male White": 2.0}
    assert gap["gap"] == 2.0
    assert gap["decades"] == {"21-30": pytest.approx(2 / 3), "41-50": pytest.approx(1 / 3)}
    assert subgroup_gap(answers(*rows)) is None
    assert subgroup_gap(answers(row((20, 29), 25.0))) is None
