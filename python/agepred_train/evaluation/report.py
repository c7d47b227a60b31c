"""An evaluation as one HTML file that needs nothing beside it: tables, plots, and the worst answers as pictures."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from agepred_train.evaluation.calibration import PIT_BINS
from agepred_train.evaluation.document import Evaluation
from agepred_train.evaluation.figures import SCORES
from agepred_train.evaluation.headlines import NOTHING, heading, headlines, markdown_table, percent, signed, years
from agepred_train.evaluation.predictions import Answers
from agepred_train.evaluation.verification import CHALLENGE_AGE
from agepred_train.evaluation.worst import caption, thumbnail, worst
from agepred_train.pages import STYLE, picture, table
from agepred_train.plots import Line, bars, plot, points, steps
from agepred_train.storage import replacing

_GREEN, _BLUE = "#2e7d32", "#1565c0"
_AXIS = 125  # end of the axes of ages, in years: ticks are a fifth of it apart

_METHOD = """Models are asked through agepred's C++ core, with the same call that users make. The largest face answers;
a picture without a face, or one that cannot be read, is answered with the median age of the training split; no picture
is left out and no age is rounded. CS@k is the share with an error of at most k years. An answer is inside of a range
from half a year below its first year to half a year above its last one. Intervals of 95 % are by the bootstrap, those
in brackets, of shares of minors, Wilson's."""

Figures = Mapping[str, Mapping[str, Any]]


def write_report(folder: Path, evaluation: Evaluation) -> list[Path]:
    """Write report.html and figures.md (the table for a card); files of that name give way once the new are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    document = evaluation.to_dict()
    pages = {
        folder / "report.html": _page(evaluation, document),
        folder / "figures.md": markdown_table(document) + "\n",
    }
    for path, text in pages.items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return list(pages)


def _page(evaluation: Evaluation, document: Mapping[str, Any]) -> str:
    # The constant is a yardstick of the table; its curves would hide the others'.
    figures = {
        name: row for name, row in document["figures"].items() if document["columns"][name]["kind"] != "constant"
    }
    exact = {name: row for name, row in figures.items() if row["exact"]}
    title = f"Ages: {heading(document)}"
    parts = [
        f"<!DOCTYPE html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>",
        f"<style>{STYLE}</style><h1>{escape(title)}</h1>",
        table(["", *document["columns"]], [[line, *texts] for line, texts in headlines(document)]),
        f"<p>{escape(_METHOD)}</p>",
        *_errors(exact),
        *_clouds(exact, evaluation.answers),
        *_ranges(figures),
        *_groups(figures),
        *_calibrations(figures),
        *_minors(figures),
        *_cells(exact),
        *_worst(evaluation, list(figures)),
        "<h2>What was measured</h2>",
        table(["file", "SHA-256"], list(document["data"]["sha256"].items())),
        table(
            ["", "what", "file", "SHA-256"],
            [
                [name, row["kind"], row.get("file", ""), row.get("sha256", "")]
                for name, row in document["columns"].items()
            ],
        ),
        f"<p>agepred {escape(document['agepred'])}; {document['bootstrap']['resamples']} resamples, "
        f"seed {document['bootstrap']['seed']}; median age {document['median_train_age']:g}.</p></html>",
    ]
    return "\n".join(parts)


def _errors(exact: Figures) -> list[str]:
    if not exact:
        return []
    decades = {name: {key: row for key, row in one["decades"].items() if row["n"]} for name, one in exact.items()}
    names = list(next(iter(decades.values())))
    mae = [_by_decade(name, rows, "mae") for name, rows in decades.items()]
    bias = [_by_decade(name, rows, "bias") for name, rows in decades.items()]
    top = _ceiling(max(value for line in mae for value in line.y))
    reach = _ceiling(max(abs(value) for line in bias for value in line.y))
    scores = [
        Line(name=name, x=[0, *SCORES], y=[0, *(row[f"cs@{limit}"] for limit in SCORES)]) for name, row in exact.items()
    ]
    shown = list(exact.items())[:2]
    by_year = [
        Line(
            name=f"{name}: share of each age within 5 years",
            x=[int(year) for year in row["ages"]],
            y=[one["cs@5"] for one in row["ages"].values()],
        )
        for name, row in shown
    ]
    cells = [
        [decade, f"{rows[decade]['n']:,}", *(text for one in decades.values() for text in _error_cells(one[decade]))]
        for rows in [next(iter(decades.values()))]
        for decade in names
    ]
    head = ["labeled age", "pictures", *(f"{name}: {what}" for name in exact for what in ("MAE", "bias"))]
    return [
        "<h2>Errors</h2>",
        plot("Mean absolute error by decade", "labeled age", "years", mae, x_end=_AXIS, y_end=top),
        plot("Bias by decade", "labeled age", "years", bias, x_end=_AXIS, y_start=-reach, y_end=reach),
        plot("Cumulative score", "error of at most, years", "share", scores, x_end=SCORES[-1]),
        bars("CS@5 by age", "labeled age", "share", by_year, colors=(_GREEN, _BLUE)[: len(shown)], x_end=_AXIS),
        table(head, cells),
    ]


def _by_decade(name: str, rows: Mapping[str, Mapping[str, Any]], key: str) -> Line:
    centers = [sum(map(int, decade.split("-"))) / 2 for decade in rows]
    return Line(name=name, x=centers, y=[row[key] for row in rows.values()])


def _clouds(exact: Figures, answers: Mapping[str, Answers]) -> list[str]:
    if not exact:
        return []
    parts = ["<h2>Answered against labeled</h2>"]
    for name, row in exact.items():
        known = answers[name].where(answers[name].is_exact())
        cloud = Line(name=name, x=known.column("age_min").tolist(), y=known.column("age").tolist())
        means = Line(
            name="mean answer",
            x=[int(year) for year in row["ages"]],
            y=[one["mean"] for one in row["ages"].values()],
        )
        ideal = Line(name="no error", x=[0, _AXIS], y=[0, _AXIS], dashed=True)
        parts.append(points(name, "labeled age", "answered age", cloud, [means, ideal], end=_AXIS))
    return parts


def _ranges(figures: Figures) -> list[str]:
    known = {name: row["ranges"] for name, row in figures.items() if row["ranges"]}
    if not known:
        return []
    parts = ["<h2>Inside of labeled ranges</h2>"]
    for key, title in (("by_range", "range"), ("by_group", "gender, race")):
        first = next(iter(known.values()))[key]
        head = [title, "pictures", *(f"{name}: {what}" for name in known for what in ("inside", "or 3 years outside"))]
        cells = [
            [word, f"{row['n']:,}", *(percent(one[key][word][f"inside@{m}"]) for one in known.values() for m in (0, 3))]
            for word, row in first.items()
        ]
        parts.append(table(head, cells))
    return parts


def _groups(figures: Figures) -> list[str]:
    parts = ["<h2>Age groups</h2><p>Labeled down, answered across.</p>"]
    for name, row in figures.items():
        names, confusion = row["groups"]["names"], row["groups"]["confusion"]
        cells = [
            [group, *(f"{count:,} ({percent(count / max(1, sum(counts)))})" for count in counts)]
            for group, counts in zip(names, confusion, strict=True)
        ]
        parts.append(table([name, *names], cells))
    return parts


def _calibrations(figures: Figures) -> list[str]:
    known = {name: row["calibration"] for name, row in figures.items() if row["calibration"]}
    if not known:
        return []
    ideal = Line(name="as claimed", x=[0, 1], y=[0, 1], dashed=True)
    curves = [
        Line(name=f"{name}, gap {percent(row['gap'])}", x=row["levels"], y=row["curve"]) for name, row in known.items()
    ]
    edges = np.linspace(0, 1, PIT_BINS + 1).tolist()
    histograms = []
    for name, row in known.items():
        # `steps` makes shares of counts; shares of ten thousand keep four digits.
        x, y = steps(edges, [round(1e4 * share) for share in row["pit"]])
        histograms.append(Line(name=name, x=x, y=y))
    flat = Line(name="true distributions", x=[0, 1], y=[1 / PIT_BINS] * 2, dashed=True)
    top = max(value for line in histograms for value in line.y)
    return [
        "<h2>Calibration</h2>",
        plot("Central intervals", "probability claimed", "share that hold the label", [*curves, ideal]),
        plot("Probability integral transform", "transform", "share", [*histograms, flat], y_end=max(0.2, top)),
    ]


def _minors(figures: Figures) -> list[str]:
    head = ["", *(f"{name}" for name in figures)]
    titles = {"minors": "under 18", "teenagers": "13 to 17", "adults": "18 and older"}
    cells = [
        [title, *(_share_cell(row["verification"][key]) for row in figures.values())] for key, title in titles.items()
    ]
    for kind in ("genders", "races", "gender_races"):
        for word in next(iter(figures.values()))["verification"][kind]:
            shares = [_share_cell(row["verification"][kind][word]) for row in figures.values()]
            cells.append([f"under 18, {word}", *shares])
    return [f"<h2>Taken for {CHALLENGE_AGE} or older</h2>", table(head, cells)]


def _cells(exact: Figures) -> list[str]:
    known = {name: row for name, row in exact.items() if row["subgroups"]}
    if not known:
        return []
    first = next(iter(known.values()))["subgroups"]
    head = ["", "pictures", *(f"{name}: {what}" for name in known for what in ("MAE", "95 %", "bias"))]
    cells = [
        [cell, f"{row['n']:,}", *(text for one in known.values() for text in _subgroup_cells(one["subgroups"][cell]))]
        for cell, row in first.items()
    ]
    gaps = [
        f"{name}: worst minus best {years(row['subgroup_gap']['gap'])} years at one mix of ages, "
        f"{years(row['subgroup_gap']['plain_gap'])} as they are ({len(row['subgroup_gap']['cells'])} cells)"
        for name, row in known.items()
        if row["subgroup_gap"]
    ]
    return ["<h2>Gender and race</h2>", table(head, cells), *(f"<p>{escape(gap)}</p>" for gap in gaps)]


def _worst(evaluation: Evaluation, columns: Sequence[str]) -> list[str]:
    parts = ["<h2>Worst answers</h2>"]
    for name in columns:
        answers = evaluation.answers[name]
        parts.append(f"<h3>{escape(name)}</h3>")
        parts += [picture(thumbnail(evaluation.samples[row]), caption(answers, row)) for row in worst(answers)]
    return parts


def _error_cells(row: Mapping[str, Any]) -> list[str]:
    return [_known(row["mae"], years), _known(row["bias"], signed)]


def _subgroup_cells(row: Mapping[str, Any]) -> list[str]:
    return [years(row["mae"]), f"{row['low']:.2f} to {row['high']:.2f}", signed(row["bias"])]


def _share_cell(row: Mapping[str, Any]) -> str:
    if row["share"] is None:
        return NOTHING
    return f"{percent(row['share'])} of {row['n']:,} [{100 * row['low']:.1f} to {100 * row['high']:.1f}]"


def _known(value: float | None, words: Callable[[float], str]) -> str:
    return NOTHING if value is None else words(value)


def _ceiling(value: float) -> float:
    """Return the end of an axis: the next multiple of five."""
    return max(5.0, 5 * float(np.ceil(value / 5)))
