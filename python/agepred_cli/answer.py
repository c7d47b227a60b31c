"""The command `agepred answer`: what a training run says of pictures, whether or not a model file can hold it."""

from pathlib import Path
from typing import Annotated

import typer

import agepred_edge
from agepred_cli.failure import fail, reported, training_tools
from agepred_cli.labeled_sets import open_measured
from agepred_cli.options import (
    FaceModel,
    Labels,
    Layout,
    MaybeMeasuredPart,
    MeasuredSets,
    PointsModel,
    Ranges,
    check_file,
)

EXAMPLES = """\b
Examples:
  agepred answer build/runs/reference_groups_mobilenet_v2 --data utkface.tar --split test --out groups.csv
  agepred eval int8.onnx --data utkface.tar --split test --predictions groups=groups.csv
"""


def answer(  # noqa: PLR0917 - Typer reads the parameters by name
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run of `agepred train`.")],
    data: MeasuredSets,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The CSV to write.")],
    labels: Labels = None,
    layout: Layout = None,
    ranges: Ranges = None,
    split: MaybeMeasuredPart = None,
    face_model: FaceModel = None,
    points_model: PointsModel = None,
) -> None:
    """Write the answers of a training run, any backbone and any head, as `agepred eval --predictions` reads them.

    PyTorch answers, on the crops that the C++ core cuts. A run that `agepred export` takes is better measured by
    `agepred eval` itself, as on a device.
    """
    with training_tools():
        from agepred_train.answers import write_answers  # noqa: PLC0415
    if not run.is_dir():
        fail(f"{run}: there is no such folder")
    tables = [source.with_suffix(".csv") for source in data]
    check_file("--out", out, (*data, *tables, *([labels] if labels else [])))
    if run.resolve() == out.resolve().parent:
        fail(f"--out {out}: the folder is the run's; name a file elsewhere")
    with reported(ValueError):
        labeled, part = open_measured(data, labels, layout, ranges, split)
        samples = labeled.part(part)
        answered = write_answers(run, samples, agepred_edge.FaceDetector(face_model, points_model=points_model), out)
    without = f", {len(samples) - answered} of them without a face" if answered < len(samples) else ""
    typer.echo(f"wrote {out}: {len(samples)} pictures{without}")
