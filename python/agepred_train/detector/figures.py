"""What a reader of an evaluation asks first: a table of one line a figure, one column a detector."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Line = tuple[str, list[str]]
"""A title and the figure of each detector in words."""

_NOTHING = "-"


def headlines(rows: Mapping[str, Mapping[str, Any]], columns: Sequence[str]) -> list[Line]:
    """Return the lines for the rows that were measured; every figure stands in the JSON too."""
    lines: list[Line] = []
    for row, of_column in rows.items():
        for title, words in _lines_of(row, next(iter(of_column.values()))):
            texts = [words(of_column[column]) if column in of_column else _NOTHING for column in columns]
            lines.append((title, texts))
    return lines


def heading(document: Mapping[str, Any]) -> str:
    """Return what was measured on, in a few words."""
    if "wider" in document["rows"]:
        return "WIDER FACE, val"
    if document["options"]["split"] is not None:
        return f"split {document['options']['split']}"
    return ", ".join(
        f"{name}, split {used['split']}" if used.get("split") else name for name, used in document["data"].items()
    )


_Words = Callable[[Any], str]


def _lines_of(row: str, example: Mapping[str, Any]) -> list[tuple[str, _Words]]:
    """Return titles and wordings of a row; a row without a wording of its own shows by its shape what it is."""
    if row in _WORDINGS:
        return _WORDINGS[row](example)
    title = row.replace("_", " ")
    if "expected_error" in example:
        return [(f"{title}: mean gap between score and hits", _number("expected_error", 3))]
    return _boxes(title) if "ap" in example else _points(title)


def _rolled(_: Mapping[str, Any]) -> list[tuple[str, _Words]]:
    return [("turned by 40 degrees: faces found", _share("found")), *_points("turned by 40 degrees")]


def _unconfirmed(_: Mapping[str, Any]) -> list[tuple[str, _Words]]:
    return [
        ("answers from 32 px a picture: without a label", _number("unlabeled_per_picture", 3)),
        ("  nor a sure answer of the teacher", _number("unsure_per_picture", 3)),
        ("  nor any answer of the teacher", _number("unconfirmed_per_picture", 3)),
    ]


def _backgrounds(_: Mapping[str, Any]) -> list[tuple[str, _Words]]:
    return [
        ("answers per 1,000 background tiles, working threshold", _number("working", 1, "per_1000_tiles")),
        ("answers per 1,000 background tiles, threshold 0.3", _number("at_0.3", 1, "per_1000_tiles")),
    ]


def _chips(example: Mapping[str, Any]) -> list[tuple[str, _Words]]:
    return [(f"{name}: faces found, full / half size", _chips_found(name)) for name in example]


def _steadiness(_: Mapping[str, Any]) -> list[tuple[str, _Words]]:
    return [
        ("age under shifts and scales, standard deviation, years", _number("all", 3, "age_stddev")),
        ("  under shifts alone", _number("shifts", 3, "age_stddev")),
        ("  under scales alone", _number("scales", 3, "age_stddev")),
        ("points under shifts and scales, of eyes' distance", _share("all", "points_stddev", digits=2)),
    ]


def _wider(example: Mapping[str, Any]) -> list[tuple[str, _Words]]:
    kind = "" if example["official_lists"] else " (by height of faces: not the authors' subsets)"
    return [(f"WIDER FACE {name}{kind}: AP", _number(name, 3, "ap")) for name in ("easy", "medium", "hard")]


def _boxes(title: str) -> list[tuple[str, _Words]]:
    return [
        (f"{title}: AP at IoU 0.5", _number("ap", 3)),
        (f"{title}: recall from 32 px", _share("recall_from_32")),
        *[(f"  {span} px", _share("recall", span, "recall")) for span in ("<32", "32-63", "64-127", ">=128")],
        ("  precision at the working threshold", _share("precision")),
    ]


def _points(title: str) -> list[tuple[str, _Words]]:
    return [
        (f"{title}: point error, mean / 95th percentile", _mean_and_p95),
        ("  faces without an answer", lambda figures: f"{figures['missed']} of {figures['faces']}"),
    ]


def _precisions(example: Mapping[str, Any]) -> list[tuple[str, _Words]]:
    lines: list[tuple[str, _Words]] = [
        (f"int8 minus fp32, percentage points: {row} {name.removesuffix('_points')}", _number(row, 3, name))
        for row, names in example.items()
        if not row.startswith("large_faces")
        for name in names
    ]
    for row, shown in (("large_faces", "at full size"), ("large_faces_640", "longer side 640")):
        for height in (name for name in example[row] if name != "pictures"):
            lines += [
                (f"int8 and fp32, faces of {height} px, {shown}: found", _large_found(row, height)),
                ("  point error of each / points apart", _large_errors(row, height)),
            ]
    return lines


def _share(*path: str, digits: int = 1) -> _Words:
    return lambda figures: _said(_at(figures, path), lambda value: f"{100 * value:.{digits}f} %")


def _number(first: str, digits: int, *rest: str) -> _Words:
    return lambda figures: _said(_at(figures, (first, *rest)), lambda value: f"{value:.{digits}f}")


def _mean_and_p95(figures: Mapping[str, Any]) -> str:
    return _said(figures["mean"], lambda mean: f"{100 * mean:.2f} / {100 * figures['p95']:.2f} %")


def _chips_found(name: str) -> _Words:
    return lambda figures: "{full} / {half} of {pictures}".format(**figures[name])


def _large_found(row: str, height: str) -> _Words:
    return lambda figures: "{int8_found} and {fp32_found} of {faces}".format(**figures[row][height])


def _large_errors(row: str, height: str) -> _Words:
    def words(figures: Mapping[str, Any]) -> str:
        one, other, apart = (
            _said(figures[row][height][name], lambda value: f"{100 * value:.2f} %")
            for name in ("int8_error", "fp32_error", "points")
        )
        return f"{one} and {other} / {apart}"

    return words


def _at(figures: Any, path: Sequence[str]) -> float | None:
    for name in path:
        figures = figures[name]
    return None if figures is None else float(figures)


def _said(value: float | None, words: Callable[[float], str]) -> str:
    return _NOTHING if value is None else words(value)


_WORDINGS: dict[str, Callable[[Mapping[str, Any]], list[tuple[str, _Words]]]] = {
    "rolled": _rolled,
    "unconfirmed": _unconfirmed,
    "backgrounds": _backgrounds,
    "chips": _chips,
    "steadiness": _steadiness,
    "int8_vs_fp32": _precisions,
    "wider": _wider,
}
