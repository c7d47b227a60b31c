"""The command `agepred answer`: what a finished run says of pictures, whether or not a model file can hold it."""

from pathlib import Path
from typing import Annotated

import typer

from agepred_cli.failure import fail, reported, training_tools
from agepred_cli.labeled_sets import open_faces
from agepred_cli.options import FacesCache, Layout, MeasuredSplit, Ranges, check_file

EXAMPLES = """\b
Examples:
  agepred answer build/runs/reference_groups_mobilenet_v2 ../shared/data/utkface.tar --split test --out groups.csv
  agepred eval int8.onnx --data ../shared/data/utkface.tar --split test --predictions reference=groups.csv
"""


def answer(  # noqa: PLR0917 - Typer reads the parameters by name
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run of `agepred train`.")],
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="What `agepred train` takes.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The CSV to write.")],
    split: MeasuredSplit = "val",
    layout: Layout = None,
    ranges: Ranges = None,
    faces: FacesCache = None,
) -> None:
    """Write the answers of a run, any backbone and any head, as `agepred eval --predictions` reads them.

    PyTorch answers, on the crops that the C++ core cuts. A run that `agepred export` takes is better measured by
    `agepred eval` itself, as on a device.
    """
    with training_tools():
        from agepred_train.answers import write_answers  # noqa: PLC0415
    check_file("--out", out, tuple(sources))
    if not run.is_dir():
        fail(f"{run}: there is no such folder")
    collection, found = open_faces(sources, layout, ranges, faces)
    samples = list(collection.samples) if split == "all" else collection.part(split)
    if not samples:
        fail(f"no picture is of the split {split}; name another one, or --split all")
    with reported(ValueError):
        write_answers(run, samples, found, out)
    typer.echo(f"wrote {out}: {len(samples)} pictures")
