"""The command `agepred calibrate`: fits a model file's temperature and interval offsets on held-out pictures."""

from pathlib import Path
from typing import Annotated

import typer

import agepred_edge
from agepred_cli.failure import fail, reported, training_tools

EXAMPLES = """\b
Examples:
  agepred calibrate build/runs/first_light/int8.onnx --data ../shared/data/utkface.tar
  agepred calibrate int8.onnx --data holiday --labels holiday.csv --out calibrated.onnx
"""


def calibrate(  # noqa: PLR0917 - Typer reads the parameters by name
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file.")],
    data: Annotated[Path, typer.Option(metavar="ARCHIVE|FOLDER", help="Pictures: an uncompressed tar, or a folder.")],
    labels: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Ages of the pictures [default: DATA's name with .csv].")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write [default: MODEL is replaced].")
    ] = None,
    face_model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Face detector (or: AGEPRED_FACE_MODEL).")
    ] = None,
    points_model: Annotated[
        str | None, typer.Option(metavar="FILE", help='Refiner of the points; "none" for the detector\'s own.')
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write what was fitted, and what it does, there.")
    ] = None,
) -> None:
    """Make a model file's intervals hold what they claim.

    Fits a temperature, and how far the ends of intervals are moved by age, on the pictures of the split `val` (all
    where there are no splits), which training must not have seen, and stores both in the file. The coverage that is
    shown is of pictures that were left out of the fit, a fifth at a time.
    """
    with training_tools():
        from agepred_train import calibrate as calibrating  # noqa: PLC0415
        from agepred_train.evaluation.ask import Question, ask, with_offsets_of  # noqa: PLC0415
        from agepred_train.evaluation.labels import read_labeled  # noqa: PLC0415
        from agepred_train.storage import write_json  # noqa: PLC0415
    if not model.is_file():
        fail(f"{model}: there is no such file")
    for option, file in (("--out", out), ("--json", json_file)):
        if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
            fail(f"{option} {file}: name a file in a folder that exists")
    with reported(ValueError):
        labeled = read_labeled(data, labels)
        question = Question(labeled=labeled, median_age=labeled.median_train_age())
        estimator = agepred_edge.AgeEstimator(model, face_model=face_model, points_model=points_model)
        answers = with_offsets_of(ask(estimator, question.samples(), question.median_age, title=model.name), model)
        calibration = calibrating.fit(answers)
        coverage = calibrating.crossed_coverage(answers)
        written = calibrating.calibrate_file(model, out or model, calibration)
    typer.echo(f"temperature times {calibration.temperature:.3f}")
    for level, (before, after) in coverage.items():
        typer.echo(f"{level:.0%} intervals hold {before:.1%} of the ages; calibrated {after:.1%}")
    if json_file is not None:
        write_json(json_file, calibrating.describe(calibration, coverage))
        typer.echo(f"wrote {json_file}")
    typer.echo(f"wrote {written}")
