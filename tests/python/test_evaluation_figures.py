"""Figures of a model: how they are counted, by hand."""

import json

import numpy as np
import pytest
from tiny_answers import answers, normal, row

from agepred_train.data import GROUPS
from agepred_train.evaluation.comparison import compare
from agepred_train.evaluation.figures import BANDS, DECADES, inside_range, measure, rank_correlation
from agepred_train.evaluation.predictions import group_of, group_of_label


def test_figures_by_hand():
    figures = measure(
        answers(
            row(20, 21.0, gender="female", coral="test"),  # within 1, exactly
            row(30, 25.5, race="other"),  # group 0-25 in place of 26-50
            row(60, 50.5, coral="test"),  # off by 9.5, group 26-50 in place of 51-75
            row(116, 96.0, faces=0, low=96.0, high=96.0),
        )
    )
    assert (figures["n"], figures["exact"], figures["no_face"], figures["unreadable"]) == (4, 4, 1, 0)
    assert figures["mae"] == pytest.approx((1 + 4.5 + 9.5 + 20) / 4)
    assert figures["mse"] == pytest.approx((1 + 4.5**2 + 9.5**2 + 400) / 4)
    assert figures["bias"] == pytest.approx((1 - 4.5 - 9.5 - 20) / 4)
    assert [figures[f"cs@{limit}"] for limit in (1, 3, 5, 9, 10, 15)] == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
    assert figures["group_accuracy"] == 0.5
    assert figures["groups"]["confusion"] == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    assert figures["coral_test_mae"] == pytest.approx((1 + 9.5) / 2)
    # Intervals reach from age - 3 to age + 5: they hold 20 and 30, not 60; the faceless one does not count.
    assert figures["interval_coverage"] == pytest.approx(2 / 3)
    assert figures["interval_width"] == pytest.approx(8)
    assert figures["bands"]["19-28"] == {"n": 1, "mae": 1.0, "bias": 1.0}
    assert figures["bands"]["81-116"] == {"n": 1, "mae": 20.0, "bias": -20.0}
    assert figures["bands"]["0-3"] == {"n": 0, "mae": None, "bias": None}
    assert figures["worst_decade"] == {"decade": "60-69", "mae": 9.5}  # 110-116 is worse, and nobody's worst
    assert (figures["genders"]["female"]["n"], figures["races"]["other"]["mae"]) == (1, 4.5)
    assert figures["ages"]["30"] == {"n": 1, "cs@5": 1.0, "mean": 25.5}
    assert figures["ranges"] is None
    assert figures["top1"] is None
    assert figures["calibration"] is None
    json.dumps(figures)


def test_perfect_answers():
    labels = range(117)
    figures = measure(answers(*(row(age, float(age)) for age in labels), probabilities=normal(labels, 0.1)))
    assert (figures["mae"], figures["group_accuracy"], figures["top1"], figures["rank_correlation"]) == (
        0,
        1,
        1,
        pytest.approx(1),
    )
    assert figures["coral_test_mae"] is None
    assert sum(band["n"] for band in figures["bands"].values()) == 117


@pytest.mark.parametrize("bands", [BANDS, DECADES])
def test_bands_cover_every_age_once(bands):
    assert [age for low, high in bands for age in range(low, high + 1)] == list(range(117))


def test_nothing_cannot_be_measured():
    with pytest.raises(ValueError, match="nothing"):
        measure(answers())


@pytest.mark.parametrize(
    ("label", "age", "margin", "inside"),
    [
        ((20, 29), 19.5, 0, True),
        ((20, 29), 19.49, 0, False),
        ((20, 29), 29.49, 0, True),
        ((20, 29), 29.5, 0, False),
        ((20, 29), 16.5, 3, True),
        ((20, 29), 16.4, 3, False),
        ((20, 29), 32.4, 3, True),
        ((20, 29), 32.5, 3, False),
        ((70, 116), 200.0, 0, True),
        ((70, 116), 69.4, 0, False),
        ((0, 2), -0.4, 0, True),
    ],
)
def test_range_holds_what_rounds_into_it(label, age, margin, inside):
    assert inside_range(answers(row(label, age)), margin).tolist() == [inside]


def test_ranges_by_hand():
    figures = measure(
        answers(
            row((20, 29), 25.0, gender="female"),
            row((20, 29), 31.0),
            row((70, 116), 80.0),
            row((26, 50), 60.0),
        )
    )
    assert (figures["n"], figures["exact"], figures["mae"], figures["worst_decade"]) == (4, 0, None, None)
    ranges = figures["ranges"]
    assert (ranges["n"], ranges["inside@0"], ranges["inside@3"]) == (4, 0.5, 0.75)
    assert ranges["by_range"]["20-29"] == {"n": 2, "inside@0": 0.5, "inside@3": 1.0}
    assert ranges["by_range"]["70+"]["n"] == 1
    assert ranges["by_group"]["female"] == {"n": 1, "inside@0": 1.0, "inside@3": 1.0}
    # 20-29 and 70-116 lie in two groups; only 26-50 is judged.
    assert np.sum(figures["groups"]["confusion"]) == 1
    json.dumps(figures)


def test_exact_ages_and_ranges_do_not_mix():
    mixed = measure(answers(row(30, 33.0), row((20, 29), 50.0)))
    assert (mixed["n"], mixed["exact"], mixed["mae"], mixed["ranges"]["n"]) == (2, 1, 3.0, 1)
    with pytest.raises(ValueError, match="no exact error"):
        answers(row((20, 29), 25.0)).errors()


@pytest.mark.parametrize(("age", "group"), [(0, "0-25"), (25.99, "0-25"), (26, "26-50"), (116.0, "76-116")])
def test_groups_reach_to_the_next_ones_first_year(age, group):
    assert group_of(age, GROUPS) == group


def test_labels_that_lie_in_two_groups_have_none():
    assert (group_of_label(0, 25), group_of_label(20, 29), group_of_label(76, 116)) == ("0-25", "", "76-116")
    with pytest.raises(ValueError, match="117"):
        group_of(117, GROUPS)


def test_rank_correlation_shares_ranks_and_ignores_scale():
    # By hand: ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
    tied = rank_correlation(np.array([1.0, 5, 5, 9]), np.array([1.0, 2, 3, 4]))
    assert tied == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 50))
    # Without ties: 1 - 6 sum of squared differences of ranks / (n^3 - n).
    gaps = first.argsort().argsort() - second.argsort().argsort()
    assert rank_correlation(first, second) == pytest.approx(1 - 6 * (gaps**2).sum() / (50**3 - 50))
    assert rank_correlation(np.exp(first), second) == pytest.approx(rank_correlation(first, second))
    assert rank_correlation(np.ones(4), np.arange(4.0)) is None


def test_comparison_of_two_models():
    first = answers(row(20, 22.0, file="a"), row(35, 35.0, file="b"), row((20, 29), 40.0, file="c"))
    second = answers(row(20, 21.0, file="a"), row(35, 38.0, file="b"), row((20, 29), 40.5, file="c"))
    result = compare(first, second)
    assert (result["mae_difference"], result["mean_age_difference"], result["max_age_difference"]) == (-1.0, 1.5, 3.0)
    assert result["decades"] == {"20-29": 1.0, "30-39": -3.0}
    assert result["worst_decade_difference"] == 1.0
    assert compare(second, first)["mae_difference"] == 1.0
    with pytest.raises(ValueError, match="same pictures"):
        compare(first, answers(*second.rows[::-1]))
    with pytest.raises(ValueError, match="same pictures"):
        compare(answers(), answers())


def test_paired_interval_sees_what_two_single_ones_do_not():
    """Errors scatter by years; that one model is better by a tenth everywhere is certain all the same."""
    errors = np.random.default_rng(0).normal(0, 5, 400)
    first = answers(*(row(50, 50 + abs(e), file=str(n)) for n, e in enumerate(errors)))
    second = answers(*(row(50, 50 + abs(e) + 0.1, file=str(n)) for n, e in enumerate(errors)))
    low, high = compare(first, second)["mae_interval"]
    assert low == pytest.approx(-0.1)
    assert high == pytest.approx(-0.1)
    one, other = (measure(which)["mae_interval"] for which in (first, second))
    assert one[1] > other[0]
