"""The command `agepred quantize`: fp32.onnx to int8.onnx."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from agepred_cli.failure import fail, reported, training_tools
from agepred_cli.labeled_sets import open_faces
from agepred_cli.options import FacesCache, Layout, Ranges

EXAMPLES = """\b
Examples:
  agepred quantize build/runs/first_light/fp32.onnx ../shared/data/utkface.tar
  agepred quantize fp32.onnx UTKFace --method percentile --out int8-percentile.onnx
"""


def quantize(  # noqa: PLR0917 - Typer reads the parameters by name
    fp32: Annotated[Path, typer.Argument(metavar="FP32", help="File that `agepred export` wrote.")],
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE...", help="What the network was trained with, as for `agepred train`."),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write [default: int8.onnx beside FP32].")
    ] = None,
    layout: Layout = None,
    ranges: Ranges = None,
    faces: FacesCache = None,
    method: Annotated[
        Literal["minmax", "percentile", "entropy"], typer.Option(help="How ranges are found.")
    ] = "minmax",
    crops: Annotated[int, typer.Option(metavar="N", help="Training crops that are run.")] = 512,
) -> None:
    """Quantize fp32.onnx to 8 bits.

    The ranges of the activations come from crops of the sources' training pictures.
    """
    with training_tools():
        from agepred_train import quantize as quantizing  # noqa: PLC0415
    if not fp32.is_file():
        fail(f"{fp32}: there is no such file")
    with reported(ValueError, quantizing.QuantizeError):
        config = quantizing.Quantization(method=method, crops=crops)
    collection, found = open_faces(sources, layout, ranges, faces)
    with reported(ValueError, quantizing.QuantizeError):
        written = quantizing.quantize(fp32, out or fp32.with_name("int8.onnx"), collection, found, config)
    typer.echo(f"wrote {written}")
