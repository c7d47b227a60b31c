"""The command `agepred data`: reads labeled pictures, finds their faces, reports what training will use."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import agepred_edge
from agepred_cli.failure import fail, reported, training_tools

if TYPE_CHECKING:
    from agepred_train.data import Collection

EXAMPLES = """\b
Examples:
  agepred data ../shared/data/utkface.tar
  agepred data UTKFace --faces build/faces.npz
"""

_SHOWN_SKIPPED = 20  # files by name; the odd names of a whole wrong folder would hide the report

Source = Annotated[
    Path,
    typer.Argument(metavar="SOURCE", help="UTKFace: a folder of pictures, or a tar with its csv beside."),
]
FacesCache = Annotated[
    Path | None,
    typer.Option("--faces", metavar="FILE", help="Cache of detected faces [default: build/<SOURCE>-faces.npz]."),
]


def data(source: Source, faces: FacesCache = None) -> None:
    """Find the faces of labeled pictures and report on them.

    Tells what training will use and what it drops, and why. The faces are kept in a cache, so that
    training finds them; a stopped run goes on where it was.
    """
    with training_tools():
        from agepred_train import prepare  # noqa: PLC0415
        from agepred_train.recipes import first_light  # noqa: PLC0415
    collection = open_source(source)
    with reported(ValueError):
        found = prepare.prepare(collection, agepred_edge.FaceDetector(), cache_of(source, faces))
        _, cleaning = prepare.clean(collection, found, first_light().min_face_side)
    for split in ("train", "val", "test"):
        typer.echo(f"{split}: {sum(sample.split == split for sample in collection.samples)} pictures")
    side = f"{cleaning.min_face_side:.0f} pixels"
    typer.echo(
        f"training keeps {cleaning.kept}; it drops {cleaning.no_face} without a face, "
        f"{cleaning.several_faces} with several, {cleaning.small_face} with one below {side}, "
        f"{cleaning.corrupt} that cannot be read"
    )
    for line in collection.skipped[:_SHOWN_SKIPPED]:
        typer.echo(f"skipped {line}")
    if len(collection.skipped) > _SHOWN_SKIPPED:
        typer.echo(f"skipped {len(collection.skipped) - _SHOWN_SKIPPED} more")


def open_source(source: Path) -> "Collection":
    """Reads the labels of a folder or of a tar with its table; ends the command where it cannot."""
    with training_tools():
        from agepred_train.data import read_utkface, read_utkface_folder  # noqa: PLC0415
    with reported(ValueError):
        if source.is_dir():
            return read_utkface_folder(source)
        table = source.with_suffix(".csv")
        if not source.is_file():
            fail(f"{source}: there is no such file or folder")
        if not table.is_file():
            fail(f"{source}: its table of labels and splits is expected beside it as {table}")
        return read_utkface(source, table)


def cache_of(source: Path, named: Path | None) -> Path:
    """Where the detected faces of a source are kept."""
    return named or Path("build") / f"{source.stem}-faces.npz"
