"""The command `agepred release`: puts a model's folder together from a run and its evaluations."""

from pathlib import Path
from typing import Annotated

import typer

from agepred_cli.failure import fail, reported, training_tools

EXAMPLES = """\b
Examples:
  agepred release build/runs/first_light
  agepred release build/runs/first_light --command 'agepred train first_light ../shared/data/utkface.tar'

RUN holds what the other commands leave there by default: record.json (train), fp32.onnx (export),
int8.onnx (quantize), fp32-DATA-test.csv and int8-DATA-test.csv (eval --split test of both, of one set).
"""


def release(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the training run.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Of the model.")] = "age_mobilenet_v2",
    models: Annotated[Path, typer.Option(metavar="DIR", help="Where released models lie.")] = Path("models"),
    commands: Annotated[
        list[str] | None,
        typer.Option("--command", metavar="LINE", help="A command that led here, for the card; in order."),
    ] = None,
) -> None:
    """Put a released model's folder together.

    It is DIR/NAME-VERSION, with both model files, metrics.json and card.md. Parts that do not belong
    together are refused.
    """
    with training_tools():
        from agepred_train import release as releasing  # noqa: PLC0415
    parts = releasing.Parts(
        run=run,
        fp32=run / "fp32.onnx",
        int8=run / "int8.onnx",
        fp32_test=_answers(run, "fp32"),
        int8_test=_answers(run, "int8"),
        commands=commands or [],
    )
    with reported(ValueError):
        typer.echo(f"wrote {releasing.release(parts, models, name=name)}")


def _answers(run: Path, model: str) -> Path:
    """The answers of a model on `test`, which must be those of one set."""
    found = sorted(run.glob(f"{model}-*-test.csv"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        fail(f"{run}: one {model}-DATA-test.csv is needed, there is {names}; evaluate again with --split test")
    return found[0]
