"""The figures of one model's answers: pure functions of them. docs/evaluation.md defines each."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agepred_train.data import GROUPS, OLDEST
from agepred_train.evaluation.bootstrap import mean_interval
from agepred_train.evaluation.calibration import calibration
from agepred_train.evaluation.distribution import likeliest_year
from agepred_train.evaluation.predictions import Answers, Prediction
from agepred_train.evaluation.subgroups import subgroup_gap, subgroups
from agepred_train.evaluation.verification import verification
from agepred_train.prepare import CORRUPT

BANDS = ((0, 3), (4, 8), (9, 18), (19, 28), (29, 40), (41, 60), (61, 80), (81, 116))
"""Bands of age in which the model card reports errors: first and last labeled year."""
DECADES = (*((low, low + 9) for low in range(0, 110, 10)), (110, 116))
"""Decades of the labeled age."""
YOUNGEST_OLD = 80
"""Decades from here on hold too few pictures to be anybody's worst."""
SCORES = tuple(range(1, 16))
"""Errors in years at which the cumulative score is reported."""
CARD_SCORES = (1, 3, 5, 10)
"""Those that a card shows."""
MARGINS = (0, 3)
"""Years by which an answer may lie outside of a labeled range."""


def measure(answers: Answers) -> dict[str, Any]:
    """Return all figures of a model's answers, JSON-ready: years for errors and widths, shares from 0 to 1.

    `no_face` counts what was answered with the median: pictures without a face, and the `unreadable` ones. What needs
    exact ages is None where all labels are ranges, what needs ranges or distributions where there are none.

    Raises:
        ValueError: there are no answers.
    """
    rows = answers.rows
    if not rows:
        raise ValueError("no answers: there is nothing to measure")
    exact = answers.where(answers.is_exact())
    figures: dict[str, Any] = {
        "n": len(rows),
        "no_face": sum(row.faces < 1 for row in rows),
        "unreadable": sum(row.faces == CORRUPT for row in rows),
        **_of_exact_ages(exact),
        "ranges": _of_ranges(answers.where(~answers.is_exact())),
        **_of_groups(rows),
        "coral_test_mae": _part(exact, [row.coral == "test" for row in exact.rows])["mae"],
        **_own_interval(exact),
        "calibration": calibration(answers),
        "bands": _by_age(exact, BANDS),
        "decades": _by_age(exact, DECADES),
        "genders": _by_word(exact, lambda row: row.gender),
        "races": _by_word(exact, lambda row: row.race),
        "subgroups": subgroups(answers),
        "subgroup_gap": subgroup_gap(answers),
        "verification": verification(answers),
        "ages": _by_year(exact),
    }
    figures["worst_decade"] = worst_decade(figures["decades"])
    return figures


def brief(answers: Answers) -> dict[str, Any]:
    """Return the few figures of `measure` by which degraded pictures are judged; `inside@0` is that of ranges."""
    ages = _of_exact_ages(answers.where(answers.is_exact()))
    ranges = _of_ranges(answers.where(~answers.is_exact()))
    return {
        "no_face": sum(row.faces < 1 for row in answers.rows),
        **{name: ages[name] for name in ("mae", "bias", "rank_correlation")},
        "inside@0": ranges["inside@0"] if ranges else None,
    }


def worst_decade(decades: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Return the decade of 0-9 ... 70-79 with the largest MAE as {decade, mae}; None where all are empty."""
    known = {
        name: row["mae"]
        for name, row in decades.items()
        if row["mae"] is not None and int(name.split("-")[0]) < YOUNGEST_OLD
    }
    if not known:
        return None
    name = max(known, key=lambda key: known[key])
    return {"decade": name, "mae": known[name]}


def inside_range(answers: Answers, margin: float) -> NDArray[np.bool_]:
    """Return where the age is inside of the labeled range, [n]: min - 0.5 <= age < max + 0.5, widened by a margin.

    A range up to 116 is open: no age is too old for it.
    """
    low = answers.column("age_min") - 0.5 - margin
    last = answers.column("age_max")
    high = np.where(last >= OLDEST, np.inf, last + 0.5 + margin)
    age = answers.column("age")
    inside: NDArray[np.bool_] = (low <= age) & (age < high)
    return inside


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Return Spearman's rank correlation, equal values sharing their mean rank; None where one is constant."""
    ranks = [_ranks(values) for values in (first, second)]
    if len(first) < 2 or any(np.ptp(rank) == 0 for rank in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[place]
    return ranks


def _of_exact_ages(exact: Answers) -> dict[str, Any]:
    """Figures over the pictures whose label is one age; None where there are none."""
    names = ("mae", "mae_interval", "mse", "bias", "median_error", "rank_correlation", "top1")
    if not exact.rows:
        return {"exact": 0, **dict.fromkeys(names), **{f"cs@{limit}": None for limit in SCORES}}
    errors = exact.errors()
    sizes = np.abs(errors)
    return {
        "exact": len(exact.rows),
        "mae": float(sizes.mean()),
        "mae_interval": list(mean_interval(sizes)),
        "mse": float((errors**2).mean()),
        "bias": float(errors.mean()),
        "median_error": float(np.median(sizes)),
        "rank_correlation": rank_correlation(exact.column("age"), exact.column("age_min")),
        "top1": _top1(exact),
        **{f"cs@{limit}": float((sizes <= limit).mean()) for limit in SCORES},
    }


def _top1(exact: Answers) -> float | None:
    """Share whose most probable year is the labeled one; without a face the median is that year."""
    if exact.probabilities is None:
        return None
    year = np.where(
        exact.column("faces") > 0, likeliest_year(exact.probabilities, exact.first_age), exact.column("age")
    )
    return float((year == exact.column("age_min")).mean())


def _of_ranges(ranged: Answers) -> dict[str, Any] | None:
    """Figures over the pictures whose label is a range: shares inside, by margin in years, all and by range."""
    if not ranged.rows:
        return None
    inside = {margin: inside_range(ranged, margin) for margin in MARGINS}
    low, high = ranged.column("age_min"), ranged.column("age_max")
    by_range = {}
    for first, last in sorted(set(zip(low.tolist(), high.tolist(), strict=True))):
        mask = (low == first) & (high == last)
        name = f"{first:.0f}+" if last >= OLDEST else f"{first:.0f}-{last:.0f}"
        by_range[name] = {"n": int(mask.sum())} | {f"inside@{m}": float(inside[m][mask].mean()) for m in MARGINS}
    words = {
        word: np.array([row.gender == word for row in ranged.rows])
        for word in _words(row.gender for row in ranged.rows)
    } | {word: np.array([row.race == word for row in ranged.rows]) for word in _words(row.race for row in ranged.rows)}
    return {
        "n": len(ranged.rows),
        **{f"inside@{margin}": float(mask.mean()) for margin, mask in inside.items()},
        "inside_interval": list(mean_interval(inside[0].astype(float))),
        "by_range": by_range,
        "by_group": {
            word: {"n": int(mask.sum())} | {f"inside@{m}": float(inside[m][mask].mean()) for m in MARGINS}
            for word, mask in words.items()
        },
    }


def _of_groups(rows: Iterable[Prediction]) -> dict[str, Any]:
    """Accuracy and confusion matrix (label down, answer across) of the groups, where one holds the whole label."""
    names = [f"{low}-{high}" for low, high in GROUPS]
    confusion = np.zeros((len(names), len(names)), int)
    for row in rows:
        if row.label_group:
            confusion[names.index(row.label_group), names.index(row.group)] += 1
    total = int(confusion.sum())
    return {
        "group_accuracy": float(np.trace(confusion) / total) if total else None,
        "groups": {"names": names, "confusion": confusion.tolist()},
    }


def _own_interval(exact: Answers) -> dict[str, float | None]:
    """Coverage and mean width of the interval that the model itself gives, where it gave a distribution."""
    usable = exact.where((exact.column("faces") > 0) & (exact.column("stddev") > 0))
    if not usable.rows:
        return {"interval_coverage": None, "interval_width": None}
    label, low, high = (usable.column(name) for name in ("age_min", "low", "high"))
    inside = (low <= label) & (label <= high)
    return {"interval_coverage": float(inside.mean()), "interval_width": float((high - low).mean())}


def _by_age(exact: Answers, bands: Iterable[tuple[int, int]]) -> dict[str, dict[str, Any]]:
    label = exact.column("age_min")
    return {f"{low}-{high}": _part(exact, (low <= label) & (label <= high)) for low, high in bands}


def _by_word(exact: Answers, word_of: Callable[[Prediction], str]) -> dict[str, dict[str, Any]]:
    words = [word_of(row) for row in exact.rows]
    return {word: _part(exact, [other == word for other in words]) for word in _words(words)}


def _by_year(exact: Answers) -> dict[str, dict[str, Any]]:
    """Number, share within five years, and mean answer, by the labeled year."""
    label, age = exact.column("age_min"), exact.column("age")
    return {
        f"{year:.0f}": {
            "n": int(mask.sum()),
            "cs@5": float((np.abs(age[mask] - year) <= 5).mean()),
            "mean": float(age[mask].mean()),
        }
        for year in np.unique(label)
        for mask in [label == year]
    }


def _words(words: Iterable[str]) -> list[str]:
    return sorted({word for word in words if word})


def _part(exact: Answers, mask: Any) -> dict[str, Any]:
    """Return number, MAE and mean signed error (positive: taken for older) of some of the answers."""
    rows = exact.where(np.asarray(mask, bool))
    if not rows.rows:
        return {"n": 0, "mae": None, "bias": None}
    errors = rows.errors()
    return {"n": len(errors), "mae": float(np.abs(errors).mean()), "bias": float(errors.mean())}
