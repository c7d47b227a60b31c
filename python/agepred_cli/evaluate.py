"""The command `agepred eval`: judges a model file on labeled pictures, through the C++ core."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import agepred_edge
from agepred_cli.data import Source, open_source
from agepred_cli.failure import fail, reported, training_tools

EXAMPLES = """\b
Examples:
  agepred eval int8.onnx ../shared/data/utkface.tar
  agepred eval build/runs/first_light/int8.onnx ../shared/data/utkface.tar --split test
"""


def evaluate(  # noqa: PLR0917 - Typer reads the parameters by name
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model file, or a file name of the packaged one.")],
    source: Source,
    split: Annotated[Literal["train", "val", "test"], typer.Option(help="Which pictures.")] = "val",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV of all answers, figures beside it [default: MODEL-SPLIT.csv]."),
    ] = None,
    face_model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Face detector (or: AGEPRED_FACE_MODEL).")
    ] = None,
    points_model: Annotated[
        str | None, typer.Option(metavar="FILE", help='Refiner of the points; "none" for the detector\'s own.')
    ] = None,
) -> None:
    """Judge a model file on labeled pictures.

    Every picture of the split is answered, through the same call that users make; one without a face, or one
    that cannot be read, with the median age. Choose by `val`; `test` is for the end.
    """
    with training_tools():
        from agepred_train.evaluate import evaluate_file  # noqa: PLC0415
    with reported(ValueError):
        path = agepred_edge.find_age_model(model)
        finder = agepred_edge.FaceDetector(face_model, points_model=points_model)
        # Never into the folder of the packaged model, which a bare name means.
        beside = path.parent if Path(model) == path else Path()
        target = out or beside / f"{path.stem}-{split}.csv"
        if target.is_dir() or not target.absolute().parent.is_dir():
            fail(f"--out {target}: name a file in a folder that exists")
    collection = open_source(source)
    with reported(ValueError):
        report = evaluate_file(path, finder, collection, split, target)
    for line in _figures(report["figures"]):
        typer.echo(line)
    typer.echo(f"wrote {target} and {target.with_suffix('.json')}")


def _figures(figures: dict[str, Any]) -> list[str]:
    """What a reader asks first; the JSON has the rest."""
    lines = [
        f"pictures            {figures['n']}, {figures['no_face']} of them without a face found"
        f" ({figures['unreadable']} could not be read)",
        f"mean absolute error {figures['mae']:.3f} years",
        f"group accuracy      {figures['group_accuracy']:.1%}",
    ]
    lines += [
        f"within {key.removeprefix('cs@'):>2} years     {value:.1%}"
        for key, value in figures.items()
        if key.startswith("cs@")
    ]
    if figures["interval_coverage"] is not None:
        coverage, width = figures["interval_coverage"], figures["interval_width"]
        lines.append(f"interval holds      {coverage:.1%} of the ages and is {width:.1f} years wide")
    return lines
