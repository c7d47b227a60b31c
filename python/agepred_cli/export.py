"""The command `agepred export`: the best network of a run as fp32.onnx."""

from pathlib import Path
from typing import Annotated

import typer

import agepred_edge
from agepred_cli.failure import reported, training_tools

EXAMPLES = """\b
Examples:
  agepred export build/runs/first_light
  agepred export build/runs/first_light --out build/fp32.onnx --model-version 0.5.0
"""


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished training run.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write [default: RUN/fp32.onnx].")
    ] = None,
    model_version: Annotated[
        str, typer.Option(metavar="VERSION", help="Of the model, as the file names it.")
    ] = agepred_edge.__version__,
    features: Annotated[
        bool, typer.Option("--features/--no-features", help="Whether the file can explain its answers.")
    ] = True,
) -> None:
    """Write a run's best network as fp32.onnx.

    The file is compared with the network before it gets its name.
    """
    with training_tools():
        from agepred_train import export as exporting  # noqa: PLC0415
    with reported(exporting.ExportError, ValueError):
        written = exporting.export(run, out or run / "fp32.onnx", version=model_version, features=features)
    typer.echo(f"wrote {written}")
