"""A survey of explanations as one HTML file that needs nothing beside it, and as JSON."""

import io
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from agepred_edge import enlarge_map, tint
from agepred_train.cells import CellGrid
from agepred_train.explain.survey import Decade, Survey
from agepred_train.pages import STYLE, picture, table
from agepred_train.plots import Line, plot
from agepred_train.storage import replacing, write_json

_SHOWN = 200  # pixels of a picture's side

_METHOD = """Grad-CAM of the answered age, before its ReLU: red places make a face look older, blue ones younger. A map
says how many years each of its cells adds to the age or takes from it, to first order. The largest face of a picture
counts; a decade's mean is over the faces whose labeled age, or range of ages, lies within it, on their mean crop."""
_CHECK = """Deletion: more and more of a crop gives way to another face that is answered the same age, the places first
that the map says make it look oldest. A map that means something lets the age fall sooner than the same map with its
cells shuffled (random), and the reverse order lets it fall later. Insertion begins with the other face: its pictures
are those of deletion in the reverse order. An area is the mean of a curve less the age of the whole crop."""
_ORDER_TITLES = {"map": "in the map's order", "random": "in a random order", "reverse": "in the reverse order"}


def write_report(folder: Path, survey: Survey, document: Mapping[str, Any]) -> list[Path]:
    """Write explain.html and explain.json; files of that name give way once the new ones are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    page, figures = folder / "explain.html", folder / "explain.json"
    with replacing(page) as temporary:
        temporary.write_text(_page(survey, document), encoding="utf-8")
    write_json(figures, dict(document))
    return [page, figures]


def summary(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the first figures of a survey in words."""
    deletion, data = document["deletion"], document["data"]
    split = f", split {data['split']}" if data["split"] else ""
    counts = [
        ("pictures", f"{data['pictures']:,} of {data['name']}{split}"),
        ("without a face; unreadable", f"{data['no_face']:,}; {data['unreadable']:,}"),
    ]
    if deletion is None:
        return [*counts, ("deletion", "not measured: there is one face, and none to exchange places with")]
    return [
        *counts,
        ("deletion, map against random order", _years(deletion["map_against_random"])),
        ("deletion, reverse against random order", _years(deletion["reverse_against_random"])),
        ("deletion, map against reverse order", _years(deletion["map_against_reverse"])),
        ("faces whose age falls sooner by the map than by its reverse", f"{deletion['share_below_reverse']:.1%}"),
    ]


def _page(survey: Survey, document: Mapping[str, Any]) -> str:
    model, data = document["model"], document["data"]
    title = f"Why these ages: {model['name']} on {data['name']}"
    parts = [
        f"<!DOCTYPE html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>",
        f"<style>{STYLE}</style><h1>{escape(title)}</h1>",
        table(["", ""], summary(document)),
        f"<p>{escape(_METHOD)}</p>",
        *_decades(survey),
        *_deletion(document["deletion"]),
        "<h2>What was measured</h2>",
        table(["", ""], [(str(key), str(value)) for key, value in model.items()]),
        table(["file", "SHA-256"], list(data["sha256"].items())),
        f"<p>agepred {escape(document['agepred'])}.</p></html>",
    ]
    return "\n".join(parts)


def _decades(survey: Survey) -> list[str]:
    grid = survey.explainer.grid
    known = {f"{low} to {high}": one for (low, high), one in survey.decades.items() if one.count}
    # One scale for all means: decades may be compared by their colors.
    full = max(float(np.abs(one.mean_map()).max()) for one in (survey.everybody, *known.values())) or 1.0
    means = [
        _figure(_mean_caption(name, one), one.mean_crop(), one.mean_map(), full, grid)
        for name, one in {"all": survey.everybody, **known}.items()
    ]
    examples = []
    for name, one in known.items():
        if one.example is not None:
            crop, cells, age = one.example
            largest = float(np.abs(cells).max()) or 1.0
            caption = f"labeled {name}, answered {age:.0f}; full color: {largest:.2f} years"
            examples.append(_figure(caption, crop, cells, largest, grid))
    return [
        f"<h2>Mean maps by labeled age</h2><p>Full color: {full:.2f} years a cell, in all of them.</p>",
        *means,
        "<h2>The first face of each decade</h2><p>Each in its own scale.</p>",
        *examples,
    ]


def _mean_caption(name: str, decade: Decade) -> str:
    return f"{name}: {decade.count:,} faces, mean answer {decade.age_sum / decade.count:.1f}"


def _figure(caption: str, crop: NDArray[np.uint8], cells: ArrayLike, full: float, grid: CellGrid) -> str:
    heat = enlarge_map(cells, len(crop), first=grid.first, step=grid.step)
    shown = Image.fromarray(tint(crop, heat, full)).resize((_SHOWN, _SHOWN), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=85)
    return picture(buffer.getvalue(), caption)


def _deletion(deletion: Mapping[str, Any] | None) -> list[str]:
    if deletion is None:
        return []
    shares, curves = deletion["shares"], deletion["curves"]
    inserted = {"map": curves["reverse"][::-1], "random": curves["random"][::-1], "reverse": curves["map"][::-1]}
    ages = [age for curve in curves.values() for age in curve]
    # Ticks are a fifth of the axis apart.
    low, high = 5 * np.floor(min(ages) / 5), 5 * np.ceil(max(ages) / 5)
    rows = [(_ORDER_TITLES[order], _years(values)) for order, values in deletion["areas"].items()]
    rows += [
        ("map against random", _years(deletion["map_against_random"])),
        ("reverse against random", _years(deletion["reverse_against_random"])),
        ("map against reverse", _years(deletion["map_against_reverse"])),
    ]
    plots = [
        plot(
            f"{title}, mean of {deletion['faces']:,} faces",
            x_title,
            "answered age",
            [Line(name=_ORDER_TITLES[order], x=shares, y=y, dashed=order == "random") for order, y in lines.items()],
            y_start=float(low),
            y_end=float(max(high, low + 5)),
        )
        for title, x_title, lines in (
            ("Deletion", "share of the pixels replaced", curves),
            ("Insertion", "share of the pixels put in", inserted),
        )
    ]
    return [
        f"<h2>Does the map mean something?</h2><p>{escape(_CHECK)}</p>",
        *plots,
        table(["area under the deletion curve", "years [95 %, bootstrap over faces, paired]"], rows),
        f"<p>{deletion['bootstrap']['resamples']} resamples, seed {deletion['bootstrap']['seed']}.</p>",
    ]


def _years(values: Mapping[str, float]) -> str:
    return f"{values['mean']:+.2f} [{values['low']:+.2f} to {values['high']:+.2f}] years"
