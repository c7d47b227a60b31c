"""Options that several commands have: each is written once, so that it means and says the same everywhere."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from agepred_cli.failure import fail

Layout = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Layout of the pictures (`agepred data --help`) [default: recognized]."),
]
Ranges = Annotated[list[str] | None, typer.Option(metavar="CLASS=LOW-HIGH", help="Ages that a named class stands for.")]
_DATA = typer.Option("--data", metavar="SOURCE", help="What `agepred train` takes; once, or for several sets repeated.")
MeasuredSets = Annotated[list[Path], _DATA]
MaybeMeasuredSets = Annotated[list[Path] | None, _DATA]
Labels = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="Labels of a tar or a folder [default: the tar's name with .csv]."),
]
MeasuredPart = Literal["train", "val", "test", "all"]
MeasuredSplit = Annotated[
    MeasuredPart,
    typer.Option(help="Which pictures; all for a set that nothing was trained on. Choose by val; test is for the end."),
]
MaybeMeasuredPart = Annotated[
    MeasuredPart | None,
    typer.Option(
        help="Which pictures [default: val; all where a set names no splits]. Choose by val; test is for the end."
    ),
]
FaceModel = Annotated[Path | None, typer.Option(metavar="FILE", help="Face detector (or: AGEPRED_FACE_MODEL).")]
PointsModel = Annotated[
    str | None, typer.Option(metavar="FILE", help='Refiner of the five points; "none" leaves the detector\'s.')
]
Changes = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe.")]
RunFolder = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder of the run [default: build/runs/RECIPE].")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")]
FacesCache = Annotated[
    Path | None,
    typer.Option("--faces", metavar="FILE", help="Cache of detected faces [default: build/<SOURCE>-faces.npz]."),
]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write every figure there.")]


def check_file(option: str, path: Path | None, taken: tuple[Path, ...] = ()) -> None:
    """Ends the command, before its work, where a result could not be stored or would replace what must stay.

    Args:
        option: that names the file.
        path: the file; None where the option is not used.
        taken: files that the command reads, or writes something else into.
    """
    if path is None:
        return
    if path.is_dir() or not path.absolute().parent.is_dir():
        fail(f"{option} {path}: name a file in a folder that exists")
    if path.resolve() in {other.resolve() for other in taken}:
        fail(f"{option} {path}: this command reads or writes that file itself; name another one")
