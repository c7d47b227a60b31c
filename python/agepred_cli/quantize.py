"""The command `agepred quantize`: fp32.onnx to int8.onnx."""

from pathlib import Path
from typing import Annotated, Literal

import typer

import agepred_edge
from agepred_cli.data import FacesCache, Source, cache_of, open_source
from agepred_cli.failure import fail, reported, training_tools

EXAMPLES = """\b
Examples:
  agepred quantize build/runs/first_light/fp32.onnx ../shared/data/utkface.tar
  agepred quantize fp32.onnx UTKFace --method percentile --out int8-percentile.onnx
"""


def quantize(  # noqa: PLR0917 - Typer reads the parameters by name
    fp32: Annotated[Path, typer.Argument(metavar="FP32", help="File that `agepred export` wrote.")],
    source: Source,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write [default: int8.onnx beside FP32].")
    ] = None,
    faces: FacesCache = None,
    method: Annotated[
        Literal["minmax", "percentile", "entropy"], typer.Option(help="How ranges are found.")
    ] = "minmax",
    crops: Annotated[int, typer.Option(metavar="N", help="Training crops that are run.")] = 512,
) -> None:
    """Quantize fp32.onnx to 8 bits.

    The ranges of the activations come from crops of the source's training pictures.
    """
    with training_tools():
        from agepred_train import prepare  # noqa: PLC0415
        from agepred_train import quantize as quantizing  # noqa: PLC0415
    if not fp32.is_file():
        fail(f"{fp32}: there is no such file")
    with reported(ValueError, quantizing.QuantizeError):
        config = quantizing.Quantization(method=method, crops=crops)
    collection = open_source(source)
    with reported(ValueError, quantizing.QuantizeError):
        found = prepare.prepare(collection, agepred_edge.FaceDetector(), cache_of(source, faces))
        written = quantizing.quantize(fp32, out or fp32.with_name("int8.onnx"), collection, found, config)
    typer.echo(f"wrote {written}")
