"""What a reader of an evaluation asks first: a table of one line a figure, one column a model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agepred_train import markdown
from agepred_train.evaluation.figures import CARD_SCORES

Line = tuple[str, list[str]]
"""A title and the figure of each column in words."""

NOTHING = "-"

_Words = Callable[[Any], str]


def headlines(document: Mapping[str, Any]) -> list[Line]:
    """Return the lines of an evaluation's JSON; those that no column has are left out."""
    columns = list(document["columns"])
    lines = [
        (title, [_said(document["figures"][name], path, words) for name in columns]) for title, path, words in _ROWS
    ]
    lines += [
        (title, [_said(document["compared"].get(name), path, words) for name in columns])
        for title, path, words in _compared(columns[0])
    ]
    lines += _degraded(document, columns)
    sizes = [document["columns"][name].get("bytes") for name in columns]
    lines.append(("size of the file, MB", [NOTHING if size is None else f"{size / 1e6:.2f}" for size in sizes]))
    return [(title, texts) for title, texts in lines if any(text != NOTHING for text in texts)]


def heading(document: Mapping[str, Any]) -> str:
    """Return what was measured on, in a few words."""
    data = document["data"]
    split = f", split {data['split']}" if data["split"] else ""
    limit = " (a part)" if data["limit"] else ""
    return f"{data['name']}{split}, {data['pictures']:,} pictures{limit}"


def markdown_table(document: Mapping[str, Any]) -> str:
    """Return the lines as a table in Markdown, for a card."""
    return markdown.table(
        [heading(document), *document["columns"]], [[title, *texts] for title, texts in headlines(document)]
    )


def years(value: float) -> str:
    """Return years with two decimals."""
    return f"{value:.2f}"


def signed(value: float) -> str:
    """Return years with their sign."""
    return f"{value:+.2f}"


def percent(value: float) -> str:
    """Return a share in percent."""
    return f"{100 * value:.1f} %"


def _count(value: int) -> str:
    return f"{value:,}"


def _worst(row: Mapping[str, Any]) -> str:
    return f"{row['mae']:.2f} ({row['decade']})"


def _span(ends: Sequence[float]) -> str:
    return f"{ends[0]:.2f} to {ends[1]:.2f}"


def _signed_span(ends: Sequence[float]) -> str:
    return f"{ends[0]:+.2f} to {ends[1]:+.2f}"


def _passed(row: Mapping[str, Any]) -> str:
    return NOTHING if row["share"] is None else f"{percent(row['share'])} of {row['n']:,}"


def _covered(row: Mapping[str, Any]) -> str:
    return f"{percent(row['coverage'])}, {row['width']:.1f} years"


def _covered_by_band(row: Mapping[str, Any]) -> str:
    shares = [band["coverage"] for band in row["bands"].values()]
    return " / ".join(NOTHING if share is None else f"{100 * share:.0f}" for share in shares) + " %"


_ROWS: list[tuple[str, tuple[str, ...], _Words]] = [
    ("pictures without a face, answered with the median", ("no_face",), _count),
    ("  of these could not be read", ("unreadable",), lambda value: f"{value:,}" if value else NOTHING),
    ("mean absolute error, years", ("mae",), years),
    ("  95 % interval", ("mae_interval",), _span),
    ("mean squared error, years squared", ("mse",), lambda value: f"{value:.1f}"),
    ("bias, years (positive: taken for older)", ("bias",), signed),
    ("rank correlation with the age", ("rank_correlation",), years),
    ("MAE on the CORAL test list, years", ("coral_test_mae",), years),
    ("worst decade's MAE (0-9 ... 70-79), years", ("worst_decade",), _worst),
    ("right one of four groups", ("group_accuracy",), percent),
    ("likeliest year is the label (top-1)", ("top1",), percent),
    *(
        (f"within {limit} year{'s' if limit > 1 else ''} (CS@{limit})", (f"cs@{limit}",), percent)
        for limit in CARD_SCORES
    ),
    ("inside of the labeled range", ("ranges", "inside@0"), percent),
    ("  or at most 3 years outside", ("ranges", "inside@3"), percent),
    ("the model's own intervals hold", ("interval_coverage",), percent),
    ("80 % intervals: hold, mean width", ("calibration", "intervals", "0.8"), _covered),
    ("  labels 0-9 / 10-29 / 30-49 / 50 and over", ("calibration", "intervals", "0.8"), _covered_by_band),
    ("90 % intervals: hold, mean width", ("calibration", "intervals", "0.9"), _covered),
    ("  labels 0-9 / 10-29 / 30-49 / 50 and over", ("calibration", "intervals", "0.9"), _covered_by_band),
    ("calibration: mean gap of level and coverage", ("calibration", "gap"), percent),
    ("all under 18 who are taken for 25 or older", ("verification", "minors"), _passed),
    ("  those of 13-17", ("verification", "teenagers"), _passed),
    ("worst minus best gender x race cell, one mix of ages, years", ("subgroup_gap", "gap"), years),
]


def _compared(first: str) -> list[tuple[str, tuple[str, ...], _Words]]:
    return [
        (f"{first} minus this model: MAE, years", ("mae_difference",), signed),
        ("  95 % interval, paired", ("mae_interval",), _signed_span),
        ("  largest of the decades 0-9 ... 70-79", ("worst_decade_difference",), signed),
        (f"{first} and this model: ages apart, mean, years", ("mean_age_difference",), years),
        ("  at most", ("max_age_difference",), years),
    ]


def _degraded(document: Mapping[str, Any], columns: Sequence[str]) -> list[Line]:
    degraded = document["degraded"]
    if not degraded:
        return []
    names = next(iter(degraded.values()))["rows"]
    lines = [
        (
            f"degraded, {name}: MAE, years",
            [_said(degraded.get(column), ("rows", name, "mae"), years) for column in columns],
        )
        for name in names
    ]
    lines += [
        (
            f"degraded, {name}: inside of the range",
            [_said(degraded.get(column), ("rows", name, "inside@0"), percent) for column in columns],
        )
        for name in names
    ]
    worst = [_said(degraded.get(column), ("worst_minus_clean",), signed) for column in columns]
    return [*lines, ("degraded: worst MAE minus clean MAE, years", worst)]


def _said(tree: Any, path: Sequence[str], words: _Words) -> str:
    """Return a figure in words; a branch that is None has none."""
    for name in path:
        tree = None if tree is None else tree[name]
    return NOTHING if tree is None else words(tree)
