"""The command `agepred train`: learns an age network from prepared pictures."""

from pathlib import Path
from typing import Annotated

import typer

from agepred_cli.failure import reported, training_tools
from agepred_cli.labeled_sets import open_faces
from agepred_cli.options import Changes, FacesCache, Layout, Ranges, Resume, RunFolder

EXAMPLES = """\b
Examples:
  agepred train first_light ../shared/data/utkface.tar --weights ../shared/weights/mobilenet_v2_imagenet.pth
  agepred train first_light build/utkface.csv --weights ../shared/weights/mobilenet_v2_imagenet.pth
  agepred train first_light UTKFace --set epochs=3 --set batch_size=32 --out build/runs/short
  agepred train first_light ../shared/data/utkface.tar --resume
  agepred train agepred_mobilenet_v2 utkface.tar fairface.tar --set source_weights=fairface=0.3
  agepred train agepred_mobilenet_v2 utkface.tar --teacher build/runs/large --out build/runs/taught
  agepred train agepred_mobilenet_v2 mine.csv --weights build/runs/taught --set learning_rate=3e-4
  agepred train reference_groups_efficientnet_lite0 utkface.tar --weights efficientnet-lite0-57934424.pth
  agepred train first_light utkface.tar --set devices=2 --set batch_size=32
\b
Recipes:
  first_light, agepred_mobilenet_v2, smoke, reference_regression_mobilenet_v2,
  reference_groups_ with mobilenet_v2, resnet50, efficientnet_b0 or efficientnet_lite0
"""


def train(  # noqa: PLR0917 - Typer reads the parameters by name
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, such as first_light.")],
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Sets of labeled pictures, or tables of `agepred data`, whose help lists the layouts; the first one's "
            "val chooses the epoch.",
        ),
    ],
    changes: Changes = None,
    out: RunFolder = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE|RUN", help="ImageNet weights, or a finished run, to start from.")
    ] = None,
    teachers: Annotated[
        list[Path] | None,
        typer.Option("--teacher", metavar="RUN", help="A finished run to learn from; several answer as their mean."),
    ] = None,
    layout: Layout = None,
    ranges: Ranges = None,
    faces: FacesCache = None,
    resume: Resume = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Like --resume, but a run that began from something else gives way.")
    ] = False,
) -> None:
    """Train an age network by a recipe, on a GPU where there is one.

    The best epoch on `val` is kept; a stopped run goes on with --resume, and with --replace, which a pipeline can say
    every time.
    """
    with training_tools():
        from agepred_train import recipes  # noqa: PLC0415
        from agepred_train import train as training  # noqa: PLC0415
        from agepred_train.overrides import chosen_recipe  # noqa: PLC0415
        from agepred_train.windows import find_windows, windows_of  # noqa: PLC0415
    with reported(ValueError):
        chosen = chosen_recipe(recipes.RECIPES, recipe, changes or [])
    data = open_faces(sources, layout, ranges, faces)
    with reported(ValueError):
        # Beside a table of `agepred data`; pictures of several sources are decoded.
        kept = len(sources) == 1 and sources[0].suffix == ".csv"
        windows = find_windows(data[0].samples, data[1], windows_of(sources[0])) if kept else None
        run = training.train(
            chosen,
            *data,
            out or Path("build/runs") / recipe,
            weights=weights,
            teachers=teachers or (),
            windows=windows,
            resume=resume,
            replace=replace,
        )
    for name, figure in run.figures.items():
        if name != "val_mae":
            typer.echo(f"{name} {figure:.4f}")
    typer.echo(f"{run.folder}: mean absolute error {run.val_mae:.2f} years on val")
