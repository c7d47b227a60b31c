"""An evaluation as one HTML file that needs nothing beside it: tables, plots, and the worst cases as pictures."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from agepred_train.detector.evaluation import Evaluation
from agepred_train.detector.figures import heading, headlines
from agepred_train.detector.worst import Case, thumbnail
from agepred_train.pages import STYLE, picture, table
from agepred_train.plots import Line, plot, steps
from agepred_train.storage import replacing

_METHOD = """Every answer comes through agepred's C++ core. Boxes: answers are taken from the surest on; each belongs to
the labeled face that it overlaps most, and is a hit from an overlap of 0.5 on, once a face. Average precision is the
area below the interpolated curve at a threshold of 0.02; recall is at the working threshold. Points: a face's answer is
the largest box that holds the center of its labeled points; the error is the mean distance of the five points over the
distance between the labeled eyes; faces without an answer are counted and bear on no error. Where int8 and fp32 are
compared on large faces, fp32's answer on the picture as it is stands for the label that portraits lack.
Calibration counts an answer that is right but not labeled as wrong."""


def write_report(path: Path, evaluation: Evaluation) -> None:
    """Write the report; a file of that name is replaced only once the new one is whole."""
    page = _page(evaluation)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _page(evaluation: Evaluation) -> str:
    document = evaluation.to_dict()
    columns = list(document["columns"])
    rows = document["rows"]
    parts = [
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Face detectors</title>",
        f"<style>{STYLE}</style><h1>Face detectors, {escape(heading(document))}</h1>",
        table(["", *columns], [[title, *texts] for title, texts in headlines(rows, columns)]),
        f"<p>{escape(_METHOD)}</p>",
        *(f"<p>Left out: {escape(row)}, {escape(reason)}</p>" for row, reason in document["left_out"].items()),
        "<h2>Curves</h2>",
        *_curves(rows),
        "<h2>Points</h2>",
        *_points(rows),
        "<h2>Calibration</h2>",
        *_calibrations(rows),
        "<h2>Worst cases</h2><p>Labels are green, answers red.</p>",
        *_cases(evaluation.cases),
        "<h2>What was measured</h2>",
        table(["", "pictures", "files"], [_data_row(name, used) for name, used in document["data"].items()]),
        table(
            ["", "file", "SHA-256", "threshold"],
            [row for name in columns for row in _files(name, document["columns"][name])],
        ),
        f"<p>agepred {escape(document['agepred'])}; detections took "
        + ", ".join(f"{seconds:.1f} s ({escape(name)})" for name, seconds in document["detection_seconds"].items())
        + ".</p></html>",
    ]
    return "\n".join(parts)


def _curves(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        plot(
            f"{row}: precision and recall",
            "recall",
            "precision",
            [
                Line(
                    name=f"{name}, AP {figures['ap']:.3f}",
                    x=figures["curve"]["recall"],
                    y=figures["curve"]["precision"],
                )
                for name, figures in of_column.items()
            ],
        )
        for row, of_column in rows.items()
        if _have(of_column, "curve")
    ]


def _points(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    parts = []
    for row, of_column in rows.items():
        if not _have(of_column, "histogram"):
            continue
        parts.append(f"<h3>{escape(row)}</h3>")
        for kind in ("by_point", "by_height", "by_roll"):
            groups = list(next(iter(of_column.values()))[kind])
            cells = [
                [f"{column}: {group}", *_error_cells(figures[kind][group])]
                for group in groups
                for column, figures in of_column.items()
            ]
            heading = ["", "faces", "missed", "mean", "median", "95th percentile"]
            parts.append(table(heading, cells))
            parts += [
                _histograms(f"{row}, {column}: {kind.replace('_', ' ')}", figures["histogram"], kind)
                for column, figures in of_column.items()
            ]
    return parts


def _histograms(title: str, histogram: Mapping[str, Any], kind: str) -> str:
    shown = {name: counts for name, counts in histogram[kind].items() if sum(counts)}
    lines = []
    for name, counts in shown.items():
        x, y = steps(histogram["edges"], counts)
        lines.append(Line(name=f"{name} ({sum(counts)})", x=x, y=y))
    top = max([0.05, *(value for line in lines for value in line.y)])
    return plot(
        title, "error over the distance between the eyes", "share", lines, x_end=histogram["edges"][-1], y_end=top
    )


def _calibrations(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    parts = []
    for row, of_column in rows.items():
        if not _have(of_column, "bins"):
            continue
        lines = [
            Line(
                name=name,
                x=[line["mean_score"] for line in figures["bins"] if line["answers"]],
                y=[line["hits"] for line in figures["bins"] if line["answers"]],
            )
            for name, figures in of_column.items()
        ]
        ideal = Line(name="a score that is the share of hits", x=[0, 1], y=[0, 1], dashed=True)
        parts.append(plot(row, "mean score", "share of labeled faces", [*lines, ideal]))
        heading = ["score", *(f"{name}: {what}" for name in of_column for what in ("answers", "hits"))]
        bins = zip(*(figures["bins"] for figures in of_column.values()), strict=True)
        cells = [
            [f"{of_bin[0]['from']:.1f} to {of_bin[0]['to']:.1f}"]
            + [text for line in of_bin for text in (str(line["answers"]), _percent(line["hits"]))]
            for of_bin in bins
        ]
        parts.append(table(heading, cells))
    return parts


def _cases(cases: Sequence[Case]) -> list[str]:
    parts, heading = [], ""
    for case in cases:
        if heading != (heading := f"{case.column}: {case.kind}"):
            parts.append(f"<h3>{escape(heading)}</h3>")
        parts.append(picture(thumbnail(case), case.caption))
    return parts or ["<p>None.</p>"]


def _data_row(name: str, used: Mapping[str, Any]) -> list[str]:
    files = "; ".join(f"{file} {digest}" for file, digest in used["sha256"].items())
    return [name, f"{used['pictures']} of {used['of']}", files]


def _files(name: str, described: Mapping[str, Any]) -> list[list[str]]:
    threshold = "the model's own" if described["min_score"] is None else f"{described['min_score']:g}"
    return [
        [f"{name}: {kind.replace('_', ' ')}", file["file"], file["sha256"], threshold if kind == "model" else ""]
        for kind, file in described.items()
        if isinstance(file, dict)
    ]


def _error_cells(figures: Mapping[str, Any]) -> list[str]:
    counts = [str(figures.get(name, "")) for name in ("faces", "missed")]
    return [*counts, *(_percent(figures[name]) for name in ("mean", "median", "p95"))]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _have(of_column: Mapping[str, Any], key: str) -> bool:
    return all(key in figures for figures in of_column.values())
