"""The command `agepred key-figures`: the few figures by which two versions of a model are compared."""

import json
from pathlib import Path
from typing import Annotated

import typer

from agepred_cli.failure import fail, reported, training_tools

EXAMPLES = """\b
Examples:
  agepred key-figures build/pipeline/evaluation/utkface.json --out models/age_mobilenet_v2.json
  dvc metrics diff
"""


def key_figures(
    evaluations: Annotated[
        list[Path], typer.Argument(metavar="JSON...", help="What `agepred eval --json` wrote, one a set.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")],
) -> None:
    """Draw the key figures of evaluations together in one small file.

    By set, model and figure, so that versions can be compared line by line: `dvc metrics diff` reads it.
    """
    with training_tools():
        from agepred_train import key_figures as drawing  # noqa: PLC0415
        from agepred_train.storage import write_json  # noqa: PLC0415
    with reported(ValueError):
        documents = []
        for path in evaluations:
            try:
                documents.append(json.loads(path.read_text(encoding="utf-8")))
            except ValueError as error:
                fail(f"{path}: no JSON ({error}); name what `agepred eval --json` wrote")
        figures = drawing.key_figures(documents)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, figures)
    typer.echo(f"wrote {out}")
