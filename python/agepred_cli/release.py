"""The command `agepred release`: puts a model's folder together from a run and its evaluations."""

from pathlib import Path
from typing import Annotated

import typer

from agepred_cli.failure import fail, reported, training_tools

EXAMPLES = """\b
Examples:
  agepred release build/runs/first_light --evaluation build/test.json
  agepred release RUN --files build/pipeline --data build/pipeline/data.csv --evaluation utkface.json \\
    --evaluation fairface_test.json --evaluation portraits.json
  agepred release RUN --evaluation test.json --command 'agepred train first_light ../shared/data/utkface.tar'

\b
An evaluation is what `agepred eval INT8 FP32 --json FILE` wrote for both files at once, one a set, of all pictures of
its split test, or of a set without splits. What the project's card should have besides (UTKFace, FairFace's
photographs, portraits, degraded pictures) and is not named is stated as not measured.
"""


def release(  # noqa: PLR0917 - Typer reads the parameters by name
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the training run.")],
    evaluations: Annotated[
        list[Path], typer.Option("--evaluation", metavar="JSON", help="Figures of both files on a set; in order.")
    ],
    files: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where int8.onnx and fp32.onnx lie [default: RUN].")
    ] = None,
    tables: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="TABLE", help="What `agepred data` wrote, where the run was trained on that."),
    ] = None,
    teachers: Annotated[
        list[Path] | None,
        typer.Option(
            "--teacher",
            metavar="RUN",
            help="A run that taught this one, or that it began from; likewise for those runs. All must be named.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="Of the model.")] = "age_mobilenet_v2",
    models: Annotated[Path, typer.Option(metavar="DIR", help="Where released models lie.")] = Path("models"),
    commands: Annotated[
        list[str] | None,
        typer.Option("--command", metavar="LINE", help="A command that led here, for the card; in order."),
    ] = None,
) -> None:
    """Put a released model's folder together.

    It is DIR/NAME-VERSION, with both model files, metrics.json and card.md. Parts that do not belong
    together are refused, and so are figures of pictures that the model was trained on.
    """
    with training_tools():
        from agepred_train import release as releasing  # noqa: PLC0415
    for table in tables or ():
        if table.suffix != ".csv":
            fail(f"--data {table}: name the table that `agepred data` wrote")
    folder = files or run
    parts = releasing.Parts(
        run=run,
        fp32=folder / releasing.FP32,
        int8=folder / releasing.INT8,
        evaluations=evaluations,
        tables=tables or (),
        teachers=teachers or (),
        commands=commands or (),
    )
    with reported(ValueError):
        typer.echo(f"wrote {releasing.release(parts, models, name=name)}")
