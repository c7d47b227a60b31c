"""The card of a released detector: what it is for, what it was made from, and how it does beside its rival."""

import textwrap
from collections.abc import Callable
from typing import Any

from agepred_train.markdown import table

_SUMMARY = """\
Finds faces in a picture: a box, a score and five points (eyes, nose tip, corners of the mouth) of each. `int8.onnx`
finds, `points_int8.onnx` looks at each face once more and puts its points where they belong; the `fp32` files are
their unquantized siblings. {parameters:,} parameters and {refiner:,} in the refiner; {int8:,} and {points:,} bytes in 8
bits. A face is called one from a score of {min_score:g} on, chosen on validation scenes. This card is generated from
`metrics.json`."""

_INTENDED = """\
To cut out faces for agepred's age models on small devices.{found}
"""

_OUT_OF_SCOPE = """\
- No identification of people, and no counting that someone's rights depend on: it misses faces, and takes other things
  for faces (below).
- No drawings, statues, animals, and no faces upside down.
"""

_TERMS = """\
The terms of the parts differ; they are stated apart and none replaces another.

- Code and this file's packaging: MIT.
- {origin}
- Pictures: WIDER FACE (scenes; non-commercial research), Helen with the points of 300-W
  (research only), UTKFace (non-commercial research), FairFace (CC BY 4.0), and photographs without people of ImageNet
  and BSDS500 (research). Whether weights trained on them may serve commercially is a question for a lawyer.
- Teachers that labeled what the sets leave out: YuNet (Apache-2.0) for faces, MediaPipe's face mesh (Apache-2.0) for
  points.
"""

_CAVEATS = """\
- Boxes and points are labels of others, with their errors. Points of profiles are guesses of a teacher.
- Very small and blurred faces of the scenes are not always labeled, so precision is understated.
- Large faces are portraits without labels: what the float files answer on the picture as it is stands for the truth, so
  their own errors there are understated.
- The rival may have been trained on some of the test scenes.
"""

_Get = Callable[[dict[str, Any]], Any]

_SPANS = {
    "<32": "lower than 32 pixels",
    "32-63": "32 to 63 pixels high",
    "64-127": "64 to 127 pixels high",
    ">=128": "128 pixels and higher",
}
"""Sizes of faces by which recall is stated: as the evaluation names them, and in words."""


def _of(found: dict[str, int] | None, size: str) -> str | None:
    return None if found is None else f"{found[size]:,} of {found['pictures']:,}"


def _at(*names: str) -> _Get:
    """Return the figure at a path; None where a part of the path is not there."""

    def get(row: Any) -> Any:
        for name in names:
            row = row.get(name) if isinstance(row, dict) else None
        return row

    return get


def _precisions(row: str, height: str) -> _Get:
    """Return how many faces of a height each precision finds."""

    def get(figures: dict[str, Any]) -> str | None:
        part = figures.get(row, {}).get(height)
        return None if part is None else "{int8_found} and {fp32_found} of {faces}".format(**part)

    return get


_POINT_ROWS = (("landmarks_full", "labeled points"), ("landmarks_quarter", "labeled points, shrunk to a quarter"))
_SCENE_ROWS = (("scenes_640", "scenes, longer side 640"), ("scenes_320", "scenes, longer side 320"))
_LARGE = (("large_faces", "at full size"), ("large_faces_640", "longer side 640"))
_LARGE_HEIGHTS = ("150", "300", "450", "600")

# Row of the evaluation, title, figure, form.
_ROWS: tuple[tuple[str, str, _Get, str], ...] = (
    ("landmarks_full", "point error, mean (share of the distance between the eyes)", lambda row: row["mean"], "{:.1%}"),
    ("landmarks_full", "the same, 95th percentile", lambda row: row["p95"], "{:.1%}"),
    ("landmarks_quarter", "shrunk to a quarter: mean", lambda row: row["mean"], "{:.1%}"),
    ("landmarks_quarter", "the same, 95th percentile", lambda row: row["p95"], "{:.1%}"),
    ("rolled", "turned by 40 degrees: faces found", lambda row: row["found"], "{:.1%}"),
    ("rolled", "the same, point error", lambda row: row["mean"], "{:.1%}"),
    ("scenes_640", "scenes, longer side 640: AP at an overlap of 0.5", lambda row: row["ap"], "{:.3f}"),
    ("scenes_320", "the same, 320", lambda row: row["ap"], "{:.3f}"),
    ("scenes_640", "640: recall of faces of 32 pixels and higher", lambda row: row["recall_from_32"], "{:.1%}"),
    *(
        (
            "scenes_640",
            f"the same, {span} pixels",
            lambda row, span=span: row["recall"][span]["recall"],
            "{:.1%}",
        )
        for span in _SPANS
    ),
    ("unconfirmed", "answers of 32 pixels and higher that no label confirms, a picture",
     lambda row: row["unlabeled_per_picture"], "{:.3f}"),
    ("unconfirmed", "the same, and no teacher is sure of", lambda row: row["unsure_per_picture"], "{:.3f}"),
    ("backgrounds", "answers per 1,000 tiles without a face",
     lambda row: row["working"]["per_1000_tiles"], "{:.1f}"),
    ("backgrounds", "the same, from a score of 0.3 on", _at("at_0.3", "per_1000_tiles"), "{:.1f}"),
    ("calibration", "mean gap between an answer's score and the share of labeled faces among such answers",
     _at("expected_error"), "{:.3f}"),
    *(
        ("chips", title, lambda row, set_name=set_name, size=size: _of(row.get(set_name), size), "{}")
        for set_name, name in (("portraits", "portraits"), ("fairface_test", "FairFace"), ("utkface", "UTKFace"))
        for size, title in (("full", f"faces found on {name}"), ("half", "the same at half size"))
    ),
    ("steadiness", "standard deviation of the age under small shifts and scales, years",
     lambda row: row["all"]["age_stddev"], "{:.2f}"),
    *(
        ("int8_vs_fp32", f"8 bits minus floats, percentage points: {figure}, {words}", _at(row, key), "{:+.2f}")
        for row, words in _POINT_ROWS
        for key, figure in (
            ("mean_points", "mean error"), ("p95_points", "95th percentile of errors"), ("found_points", "faces found")
        )
    ),
    *(
        ("int8_vs_fp32", f"8 bits minus floats, percentage points: {figure}, {words}", _at(row, key), "{:+.2f}")
        for row, words in _SCENE_ROWS
        for key, figure in (("ap_points", "AP"), ("recall_from_32_points", "recall from 32 pixels on"))
    ),
    *(
        line
        for row, words in _LARGE
        for height in _LARGE_HEIGHTS
        for line in (
            ("int8_vs_fp32", f"faces of {height} pixels, {words}: found in 8 bits and in floats",
             _precisions(row, height), "{}"),
            ("int8_vs_fp32", "the same, point error in 8 bits", _at(row, height, "int8_error"), "{:.2%}"),
            ("int8_vs_fp32", "the same, point error in floats", _at(row, height, "fp32_error"), "{:.2%}"),
            ("int8_vs_fp32", "the same, points of both apart", _at(row, height, "points"), "{:.2%}"),
        )
    ),
)  # fmt: skip


def write_detector_card(metrics: dict[str, Any]) -> str:
    """Return the card as Markdown, from the content of a release's metrics.json."""
    files, parameters = metrics["files"], metrics["parameters"]
    summary = _SUMMARY.format(
        parameters=parameters["fp32.onnx"],
        refiner=parameters["points_fp32.onnx"],
        int8=files["int8.onnx"]["bytes"],
        points=files["points_int8.onnx"]["bytes"],
        min_score=metrics["min_score"],
    )
    return (
        "\n\n".join(
            [
                f"# {metrics['name']} {metrics['version']}",
                _wrapped(summary),
                "## Intended use",
                _wrapped(_INTENDED.format(found=_found(metrics)).strip()),
                "## Out of scope",
                _OUT_OF_SCOPE.strip(),
                "## Training",
                "\n\n".join(map(_wrapped, _training(metrics["records"]))),
                "## Terms",
                _TERMS.format(origin=_wrapped(_origin(metrics["records"]), "  ")).strip(),
                "## Results",
                _results(metrics["test"]),
                "## Caveats",
                _CAVEATS.strip(),
                "## How it was made",
                "\n".join(["```sh", *metrics["commands"], "```"]),
            ]
        )
        + "\n"
    )


def _wrapped(text: str, indent: str = "") -> str:
    """Return text in lines of at most 120 characters; those of a list's item stand below its first letter."""
    lines = textwrap.fill(
        f"{indent}{text}", 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return lines.removeprefix(indent)


def _found(metrics: dict[str, Any]) -> str:
    """Return sentences on which faces the released file finds, from its own column; empty if nothing was measured."""
    test, released = metrics["test"], metrics["files"]["int8.onnx"]["sha256"]
    own = next((name for name, column in test["columns"].items() if column["model"]["sha256"] == released), None)
    scenes, rolled = (test["rows"].get(row, {}).get(own) for row in ("scenes_640", "rolled"))
    sentences = []
    if scenes is not None:
        recalls = [(scenes["recall"][span]["recall"], words) for span, words in _SPANS.items()]
        shares = "; ".join(f"{recall:.0%} of those {words}" for recall, words in recalls if recall is not None)
        sentences.append(
            f" Of the labeled faces of the test scenes, shown with a longer side of 640, it finds {shares}."
        )
    if rolled is not None:
        sentences.append(f" Of the faces of `landmarks`, turned by 40 degrees, it finds {rolled['found']:.0%}.")
    return "".join(sentences)


def _training(records: dict[str, Any]) -> tuple[str, ...]:
    """Return a paragraph on each run, and one on both."""
    detector, refiner = records["detector"], records["refiner"]
    seen, looked = detector["recipe"], refiner["recipe"]
    best, nearest = detector["best"], refiner["best"]
    return (
        f"The detector: recipe `{seen['name']}`, {seen['steps']:,} steps of {seen['batch_size']} composed scenes of "
        f"{seen['side']} pixels{_start(detector)}; the best epoch was chosen on {best['val_pictures']} scenes of "
        f"`val`, as they are and at half size (AP {best['val_ap']:.3f}).",
        f"The refiner: recipe `{looked['name']}`, {looked['steps']:,} steps of {looked['batch_size']} crops of "
        f"{looked['crop_side']} pixels{_start(refiner)}; chosen on {nearest['val_crops']} crops of `val` (mean error "
        f"{nearest['val_error']:.1%}).",
        "`test` was used for no choice.",
    )


def _origin(records: dict[str, Any]) -> str:
    """Return where the first weights came from, as far as the records tell."""
    detector, refiner = records["detector"], records["refiner"]
    teacher = detector.get("teacher_sha256")
    if teacher:
        yunet = f"YuNet (Apache-2.0; sha256 {teacher})"
        if detector.get("start_weights_sha256"):
            first = (
                "The detector was trained from the weights of an earlier run of ours, named above, with "
                f"{yunet} as its teacher."
            )
        else:
            first = (
                f"The detector has the layers of {yunet}, with strides in place of pools: every layer starts from "
                "YuNet's weights, and all were trained on."
            )
        if refiner.get("start_weights_sha256"):
            return f"{first} The refiner was trained from the weights of an earlier run of ours, named above."
        return f"{first} The refiner was trained from random numbers."
    if any(record.get("start_weights_sha256") for record in records.values()):
        return "Trained from the weights of earlier runs of ours, named above, whose records say what they began with."
    return "Trained from random numbers; no other file's weights."


def _start(record: dict[str, Any]) -> str:
    digest = record.get("start_weights_sha256")
    return f" from the weights of an earlier run of ours ({digest[:12]})" if digest else ""


def _results(test: dict[str, Any]) -> str:
    columns = list(test["columns"])
    rows = test["rows"]
    body = [
        [title, *(_figure(rows[row].get(column), get, form) for column in columns)]
        for row, title, get, form in _ROWS
        if row in rows
    ]
    return "Test splits, through the same library; `--against` is the rival's file.\n\n" + table(["", *columns], body)


def _figure(row: dict[str, Any] | None, get: _Get, form: str) -> str:
    value = None if row is None else get(row)
    return "-" if value is None else form.format(value)
