"""The command `agepred calibrate`: fits a model file's temperature and interval offsets on held-out pictures."""

from pathlib import Path
from typing import Annotated

import typer

import agepred_edge
from agepred_cli.failure import fail, reported, training_tools
from agepred_cli.labeled_sets import open_labeled
from agepred_cli.options import (
    FaceModel,
    Labels,
    Layout,
    MeasuredSets,
    MeasuredSplit,
    PointsModel,
    Ranges,
    check_file,
)

EXAMPLES = """\b
Examples:
  agepred calibrate build/runs/first_light/int8.onnx --data ../shared/data/utkface.tar
  agepred calibrate int8.onnx --data build/utkface.csv
  agepred calibrate int8.onnx --data holiday --labels holiday.csv --split all --out calibrated.onnx
"""


def calibrate(  # noqa: PLR0917 - Typer reads the parameters by name
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file.")],
    data: MeasuredSets,
    labels: Labels = None,
    layout: Layout = None,
    ranges: Ranges = None,
    split: MeasuredSplit = "val",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write [default: MODEL is replaced].")
    ] = None,
    face_model: FaceModel = None,
    points_model: PointsModel = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write what was fitted, and what it does, there.")
    ] = None,
) -> None:
    """Make a model file's intervals hold what they claim.

    Fits a temperature, and how far the ends of intervals are moved by age, on the pictures of the split `val`,
    which training must not have seen, and stores both in the file. The coverage that is shown is of pictures that
    were left out of the fit, a fifth at a time. The answers that it is fitted on are kept beside the file that is
    written, as MODEL-DATA-SPLIT-calibration.csv; a stopped calibration goes on.
    """
    with training_tools():
        from agepred_train import calibrate as calibrating  # noqa: PLC0415
        from agepred_train.evaluation.ask import Question, answers_file, evaluate_file, files_of  # noqa: PLC0415
        from agepred_train.storage import write_json  # noqa: PLC0415
    if not model.is_file():
        fail(f"{model}: there is no such file")
    read = (*data, *([labels] if labels else []))
    check_file("--out", out, read)
    target = out or model
    with reported(ValueError):
        labeled = open_labeled(data, labels, layout, ranges, whole=split == "all")
        question = Question(labeled=labeled, split=split, median_age=labeled.median_train_age())
        calibrating.refuse_few(question.samples())
        kept = answers_file(target.parent, model, question, "calibration")
        check_file("--json", json_file, (model, target, *read, *files_of(kept)))
        finder = agepred_edge.FaceDetector(face_model, points_model=points_model)
        answers, _ = evaluate_file(model, finder, question, kept, title=model.name)
        calibration = calibrating.fit(answers)
        coverage = calibrating.crossed_coverage(answers)
        written = calibrating.calibrate_file(
            model, target, calibration, split=question.named_split, hashes=labeled.hashes
        )
    typer.echo(f"temperature times {calibration.temperature:.3f}")
    for level, (before, after) in coverage.items():
        typer.echo(f"{level:.0%} intervals hold {before:.1%} of the ages; calibrated {after:.1%}")
    if json_file is not None:
        write_json(json_file, calibrating.describe(calibration, coverage))
        typer.echo(f"wrote {json_file}")
    typer.echo(f"wrote {written}")
