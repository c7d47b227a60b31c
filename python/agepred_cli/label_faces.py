"""The command `agepred label-faces`: a teacher's boxes and points for the pictures that a detector learns from."""

import os
from pathlib import Path
from typing import Annotated

import typer

from agepred_cli.failure import reported, training_tools

EXAMPLES = """\b
Examples:
  agepred label-faces ../shared/data --teacher ../shared/weights/yunet_n.onnx
  agepred label-faces ../shared/data --teacher yunet_n.onnx --out build/labels --processes 8
"""


def label_faces(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of the sets, each a tar and a csv.")],
    teacher: Annotated[Path, typer.Option(metavar="FACE_MODEL", help="Face model that is asked.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the tables.")] = Path("build/detector/labels"),
    processes: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Pictures at once [default: the processors].")
    ] = None,
) -> None:
    """Label the faces of scenes, landmarks, utkface and fairface.

    The teacher is asked at several sizes, mirrored and not. It completes the labels that there are. Finished
    tables are kept, so that a stopped run goes on with the next set.
    """
    with training_tools():
        from agepred_train.detector.label import label_sets  # noqa: PLC0415
    with reported(ValueError):
        for table in label_sets(data, teacher, out, processes=processes or os.cpu_count() or 1):
            typer.echo(f"labels in {table}")
