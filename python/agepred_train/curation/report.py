"""A preparation as one HTML file that needs nothing beside it: histograms, what was dropped, and pictures of it."""

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from agepred_edge import align
from agepred_train.archive import DataError
from agepred_train.curation.bars import bars
from agepred_train.curation.curate import REASONS, Curated
from agepred_train.data import SPLITS, Sample
from agepred_train.storage import replacing, write_json

Shown = TypeVar("Shown")

_SHOWN = 12  # pictures, groups or names of a kind
_SIDE = 120  # pixels of a picture's longer side

_STYLE = """
body{font:14px/1.45 sans-serif;max-width:1100px;margin:24px auto;padding:0 16px;color:#222}
table{border-collapse:collapse;margin:8px 0 20px}td,th{padding:3px 12px;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}h2{margin-top:36px}svg{margin:0 12px 12px 0}
figure{display:inline-block;width:124px;margin:4px;vertical-align:top;font-size:11px;overflow-wrap:anywhere}
figure img{display:block}.group{border-left:3px solid #ddd;padding-left:6px;margin:8px 0}code{overflow-wrap:anywhere}
"""


def write_reports(folder: Path, curated: Curated, summary: Mapping[str, Any]) -> None:
    """Write `report.html` and `report.json` into a folder; files of those names are replaced only by whole ones.

    Args:
        folder: made where it is not there.
        curated: the preparation, for its pictures.
        summary: its figures, from `summarize`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", summary)
    page = _page(curated, summary)
    with replacing(folder / "report.html") as temporary:
        # Names of files may hold bytes that are no text.
        temporary.write_text(page, encoding="utf-8", errors="replace")


def _page(curated: Curated, summary: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Data</title>",
            f"<style>{_STYLE}</style><h1>{escape(', '.join(summary['sets']))}</h1>",
            f"<p>{summary['pictures']} pictures; {summary['training']} to train on.</p>",
            _sets(summary["sets"]),
            "<h2>Splits</h2>",
            _splits(summary["splits"]),
            "<h2>Left out of training</h2>",
            "<p>Evaluation leaves out nothing: a reason bears on pictures of the training split alone.</p>",
            _dropped(summary["dropped"]),
            *_examples(curated),
            "<h2>Near-duplicates</h2>",
            *_duplicates(curated, summary["duplicates"]),
            *(part for name, figures in summary["sets"].items() for part in _set(curated, name, figures)),
            f"<p>Faces: {escape(summary['detector']['name'])} <code>{summary['detector']['sha256']}</code>, "
            f"points <code>{summary['detector']['points_sha256'] or 'not refined'}</code>; cleaned by "
            f"{escape(summary['cleaner']['name'])}.</p></html>",
        ]
    )


def _sets(sets: Mapping[str, Mapping[str, Any]]) -> str:
    heading = ["set", "layout", "pictures", "exact ages", "not usable", "crop area outside", "crops with > 10 %"]
    rows = [
        [
            name,
            figures["layout"],
            str(figures["pictures"]),
            str(figures["exact_ages"]),
            str(len(figures["unusable"])),
            _percent(figures["outside"]["mean"]),
            _percent(figures["outside"]["visible"]),
        ]
        for name, figures in sets.items()
    ]
    return _table(heading, rows)


def _splits(splits: Mapping[str, Mapping[str, Any]]) -> str:
    counts = _table(["split", "pictures"], [[split, str(splits[split]["pictures"])] for split in SPLITS])
    plots = [
        bars(f"{split}: ages", splits[split]["ages"]) for split in ("train", "val", "test") if splits[split]["pictures"]
    ]
    return counts + "".join(plots)


def _dropped(dropped: Mapping[str, Mapping[str, int]]) -> str:
    rows = [[REASONS[name], str(count["of_training"]), str(count["pictures"])] for name, count in dropped.items()]
    return _table(["reason", "of the training split", "of all pictures"], rows)


def _examples(curated: Curated) -> list[str]:
    parts = []
    for reason, words in REASONS.items():
        rows = [row for row, why in enumerate(curated.dropped) if why == reason]
        if rows:
            parts.append(f"<h3>{escape(words)}: {len(rows)}</h3>")
            parts += [_picture(curated, row) for row in _spread(rows)]
    return parts


def _duplicates(curated: Curated, figures: Mapping[str, Any]) -> list[str]:
    parts = [
        f"<p>{figures['groups']} groups with {figures['pictures']} pictures, {figures['exact_copies']} of them "
        f"copies to the byte; {figures['groups_across_sets']} groups reach over several sets. "
        f"In {len(figures['conflicts'])} groups the ages disagree.</p>"
    ]
    for group in _spread(curated.conflicts):
        pictures = "".join(_picture(curated, row) for row in group[:_SHOWN])
        parts.append(f'<div class="group">{pictures}</div>')
    return parts


def _set(curated: Curated, name: str, figures: Mapping[str, Any]) -> Iterable[str]:
    yield f"<h2>{escape(name)}</h2>"
    for warning in figures["warnings"]:
        yield f"<p><b>{escape(warning)}</b></p>"
    yield bars(f"{name}: ages", figures["ages"])
    for kind in ("genders", "races"):
        yield bars(f"{name}: {kind}", list(figures[kind].values()), list(figures[kind]))
    rows = [row for row, origin in enumerate(curated.sets) if origin == name and curated.faces.counts[row] > 0]
    yield "<h3>Crops</h3>"
    yield from (_figure(partial(_crop, curated, row), _label(curated.samples[row])) for row in _spread(rows))
    if figures["unusable"]:
        yield f"<h3>Not usable: {len(figures['unusable'])}</h3>"
        yield "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in figures["unusable"][:_SHOWN]) + "</ul>"
    digests = "; ".join(f"{escape(file)} <code>{digest}</code>" for file, digest in figures["sha256"].items())
    yield f"<p>{digests}</p>"


def _picture(curated: Curated, row: int) -> str:
    sample = curated.samples[row]
    caption = f"{sample.name}, {_label(sample)}, {sample.split}"
    return _figure(partial(_with_box, sample, curated.judged.boxes[row]), caption)


def _with_box(sample: Sample, box: NDArray[np.float32]) -> Image.Image:
    """Return the picture, shrunk, with the box of its largest face, if there is one."""
    picture = Image.fromarray(sample.read_picture())
    scale = _SIDE / max(picture.size)
    shown = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    x, y, width, height = (float(number) * scale for number in box)
    if width > 0 and height > 0:
        ImageDraw.Draw(shown).rectangle((x, y, x + width, y + height), outline="#ff1744")
    return shown


def _crop(curated: Curated, row: int) -> Image.Image:
    picture = curated.samples[row].read_picture()
    return Image.fromarray(align(picture, curated.faces.landmarks[row], side=112, pixel_format="RGB"))


def _figure(load: Callable[[], Image.Image], caption: str) -> str:
    """Return a picture with its caption; of one that cannot be decoded the caption alone."""
    try:
        buffer = io.BytesIO()
        load().save(buffer, "JPEG", quality=80)
        content = base64.b64encode(buffer.getvalue()).decode()
        image = f'<img src="data:image/jpeg;base64,{content}" alt="{escape(caption)}">'
    except DataError:
        image = ""
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def _label(sample: Sample) -> str:
    if sample.age_min == sample.age_max:
        return f"{sample.age_min} years"
    return f"{sample.age_min} to {sample.age_max} years"


def _spread(items: Sequence[Shown]) -> list[Shown]:
    """Return as many of the items as are shown, evenly over their order."""
    count = min(len(items), _SHOWN)
    return [items[index * len(items) // count] for index in range(count)]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heading)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
