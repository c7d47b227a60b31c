"""The tables of a model card, each from one evaluation of a release's metrics.json: int8 and fp32 side by side.

Differences are int8 minus fp32. A table that an evaluation has nothing for is empty text.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agepred_train.evaluation.headlines import NOTHING, percent, signed, years
from agepred_train.known_sets import title_of
from agepred_train.markdown import table

Evaluation = Mapping[str, Any]
"""One of metrics.json's `evaluations`."""

_FEWEST_DECADES = 3  # fewer rows are no table: studio portraits of young adults have two

_Words = Callable[[Any], str]


def headlines(evaluations: Mapping[str, Evaluation]) -> str:
    """Return the first figures of all sets, a line a figure."""
    rows = []
    for evaluation in evaluations.values():
        title = f"**{title_of(evaluation['data'])}**, {evaluation['data']['pictures']:,} pictures"
        lines = _headlines(evaluation)
        rows += [[title if not number else "", *line] for number, line in enumerate(lines)]
    return table(["measured on", "figure", "int8", "fp32", "int8 - fp32"], rows)


def decades(evaluation: Evaluation) -> str:
    """Return errors by decade of the label."""
    int8, fp32 = _both(evaluation, "decades")
    apart = evaluation["int8_minus_fp32"]["decades"]
    known = [decade for decade, row in int8.items() if row["n"]]
    if len(known) < _FEWEST_DECADES:
        return ""
    rows = [
        [
            decade,
            f"{int8[decade]['n']:,}",
            years(int8[decade]["mae"]),
            signed(int8[decade]["bias"]),
            years(fp32[decade]["mae"]),
            signed(fp32[decade]["bias"]),
            signed(apart[decade]),
        ]
        for decade in known
    ]
    head = ["labeled age", "pictures", "int8: MAE", "bias", "fp32: MAE", "bias", "int8 - fp32, MAE"]
    return table(head, rows)


def subgroups(evaluation: Evaluation) -> str:
    """Return errors by gender and race with their intervals."""
    int8, fp32 = _both(evaluation, "subgroups")
    if not int8:
        return ""
    rows = [
        [
            cell,
            f"{row['n']:,}",
            _with_interval(row),
            signed(row["bias"]),
            _with_interval(fp32[cell]),
            signed(fp32[cell]["bias"]),
            signed(row["mae"] - fp32[cell]["mae"]),
        ]
        for cell, row in int8.items()
    ]
    head = ["gender, race", "pictures", "int8: MAE (95 %)", "bias", "fp32: MAE (95 %)", "bias", "int8 - fp32, MAE"]
    return table(head, rows)


def ranges(evaluation: Evaluation, by: str) -> str:
    """Return shares inside of labeled ranges, `by_range` or `by_group` (gender, race)."""
    int8, fp32 = _both(evaluation, "ranges")
    if not int8:
        return ""
    rows = [
        [
            word,
            f"{row['n']:,}",
            percent(row["inside@0"]),
            percent(row["inside@3"]),
            percent(fp32[by][word]["inside@0"]),
            percent(fp32[by][word]["inside@3"]),
            _points(row["inside@0"] - fp32[by][word]["inside@0"]),
        ]
        for word, row in int8[by].items()
    ]
    title = "labeled range" if by == "by_range" else "gender, race"
    head = [
        title,
        "pictures",
        "int8: inside",
        "or 3 years off",
        "fp32: inside",
        "or 3 years off",
        "int8 - fp32, inside",
    ]
    return table(head, rows)


def calibration(evaluation: Evaluation) -> str:
    """Return how many labels intervals hold, by level and by band of the label."""
    both = _both(evaluation, "calibration")
    if not all(both):
        return ""
    levels = [figures["intervals"] for figures in both]
    bands = list(next(iter(levels[0].values()))["bands"])
    rows = [
        [
            f"{100 * float(level):.0f} %",
            name,
            percent(one[level]["coverage"]),
            f"{one[level]['width']:.1f}",
            *(_said(one[level]["bands"][band]["coverage"], percent) for band in bands),
        ]
        for level in levels[0]
        for name, one in zip(("int8", "fp32"), levels, strict=True)
    ]
    return table(["intervals of", "", "hold", "mean width, years", *(f"labels {band}" for band in bands)], rows)


def verification(evaluation: Evaluation) -> str:
    """Return who is taken for 25 or older: minors of all kinds, and adults."""
    int8, fp32 = _both(evaluation, "verification")
    if not int8["minors"]["n"]:
        return ""
    words = {"minors": "all under 18", "teenagers": "those of 13 to 17", "adults": "18 and older"}
    lines = [(words[key], int8[key], fp32[key]) for key in ("minors", "teenagers")]
    kind = "gender_races" if int8["gender_races"] else "genders"
    lines += [(f"{word}, under 18", row, fp32[kind][word]) for word, row in int8[kind].items()]
    lines.append((words["adults"], int8["adults"], fp32["adults"]))
    rows = [
        [
            word,
            f"{one['n']:,}",
            _share(one),
            _share(other),
            _points(one["share"] - other["share"]),
        ]
        for word, one, other in lines
        if one["n"]
    ]
    return table(["labeled", "pictures", "int8: pass (95 %)", "fp32: pass (95 %)", "int8 - fp32"], rows)


def degraded(evaluation: Evaluation) -> str:
    """Return the error on degraded pictures; of ranges, the share inside."""
    both = [evaluation["degraded"].get(key) for key in ("int8", "fp32")]
    if not all(both):
        return ""
    exact = _both(evaluation, "mae")[0] is not None
    name, words, difference = ("mae", years, signed) if exact else ("inside@0", percent, _points)
    clean = [figures["mae"] if exact else figures["ranges"]["inside@0"] for figures in evaluation["figures"].values()]
    lines = [("as they are", *clean)]
    lines += [(key, *(one["rows"][key][name] for one in both if one)) for key in both[0]["rows"]] if both[0] else []
    rows = [[word, words(one), words(other), difference(one - other)] for word, one, other in lines]
    figure = "MAE, years" if exact else "inside of the range"
    return table(["pictures", f"int8: {figure}", f"fp32: {figure}", "int8 - fp32"], rows)


def _headlines(evaluation: Evaluation) -> list[list[str]]:
    int8, fp32 = evaluation["figures"]["int8"], evaluation["figures"]["fp32"]
    apart = evaluation["int8_minus_fp32"]
    lines = []
    if int8["mae"] is not None:
        errors = [f"{years(row['mae'])} ({_span(row['mae_interval'], years)})" for row in (int8, fp32)]
        difference_of_errors = f"{signed(apart['mae_difference'])} ({_span(apart['mae_interval'], signed)})"
        lines.append(["mean absolute error, years (95 %)", *errors, difference_of_errors])
    if int8["ranges"]:
        shares = [
            f"{percent(row['inside@0'])} ({_span(row['inside_interval'], percent)})"
            for row in _both(evaluation, "ranges")
        ]
        difference_of_shares = _points(int8["ranges"]["inside@0"] - fp32["ranges"]["inside@0"])
        lines.append(["inside of the labeled range (95 %)", *shares, difference_of_shares])
    for title, path, words, difference in _HEADLINES:
        one, other = (_at(row, path) for row in (int8, fp32))
        if one is not None and other is not None:
            lines.append([title, words(one), words(other), difference(one - other)])
    return lines


def _points(share: float) -> str:
    """Return a difference of two shares in percentage points."""
    return f"{100 * share:+.1f}"


_HEADLINES: tuple[tuple[str, tuple[str, ...], _Words, _Words], ...] = (
    ("the same on the CORAL test list", ("coral_test_mae",), years, signed),
    ("bias, years (positive: taken for older)", ("bias",), signed, signed),
    ("within 5 years", ("cs@5",), percent, _points),
    ("inside, or at most 3 years outside", ("ranges", "inside@3"), percent, _points),
    ("right one of four groups (0-25, 26-50, 51-75, 76-116)", ("group_accuracy",), percent, _points),
    ("80 % intervals hold the label", ("calibration", "intervals", "0.8", "coverage"), percent, _points),
    ("minors taken for 25 or older", ("verification", "minors", "share"), percent, _points),
)


def _both(evaluation: Evaluation, figure: str) -> tuple[Any, Any]:
    return evaluation["figures"]["int8"][figure], evaluation["figures"]["fp32"][figure]


def _with_interval(row: Mapping[str, float]) -> str:
    return f"{years(row['mae'])} ({_span((row['low'], row['high']), years)})"


def _span(ends: Sequence[float], words: _Words) -> str:
    return " to ".join(map(words, ends))


def _share(row: Mapping[str, Any]) -> str:
    return f"{percent(row['share'])} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"


def _said(value: float | None, words: _Words) -> str:
    return NOTHING if value is None else words(value)


def _at(tree: Any, path: Sequence[str]) -> Any:
    for name in path:
        tree = None if tree is None else tree.get(name)
    return tree
