"""The command `agepred train`: learns an age network from prepared pictures."""

from pathlib import Path
from typing import Annotated

import typer

import agepred_edge
from agepred_cli.data import FacesCache, Source, cache_of, open_source
from agepred_cli.failure import reported, training_tools

EXAMPLES = """\b
Examples:
  agepred train first_light ../shared/data/utkface.tar --weights ../shared/weights/mobilenet_v2_imagenet.pth
  agepred train first_light build/utkface.csv --weights ../shared/weights/mobilenet_v2_imagenet.pth
  agepred train first_light UTKFace --set epochs=3 --set batch_size=32 --out build/runs/short
  agepred train first_light ../shared/data/utkface.tar --resume
"""


def train(  # noqa: PLR0917 - Typer reads the parameters by name
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, such as first_light.")],
    source: Source,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run [default: build/runs/RECIPE].")
    ] = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="ImageNet weights to start from.")] = None,
    faces: FacesCache = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")] = False,
) -> None:
    """Train an age network by a recipe.

    The best epoch on `val` is kept; a stopped run goes on with --resume.
    """
    with training_tools():
        from agepred_train import prepare, recipes  # noqa: PLC0415
        from agepred_train import train as training  # noqa: PLC0415
        from agepred_train.overrides import chosen_recipe  # noqa: PLC0415
        from agepred_train.windows import find_windows, windows_of  # noqa: PLC0415
    with reported(ValueError):
        chosen = chosen_recipe(recipes.RECIPES, recipe, changes or [])
    collection = open_source(source)
    with reported(ValueError):
        found = prepare.prepare(collection, agepred_edge.FaceDetector(), cache_of(source, faces))
        run = training.train(
            chosen,
            collection,
            found,
            out or Path("build/runs") / recipe,
            weights=weights,
            windows=find_windows(collection.samples, found, windows_of(source)),
            resume=resume,
        )
    typer.echo(f"{run.folder}: mean absolute error {run.val_mae:.2f} years on val")
