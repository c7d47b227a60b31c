"""The command `agepred train`: learns an age network from prepared pictures."""

from pathlib import Path
from typing import Annotated

import typer

import agepred_edge
from agepred_cli.data import FacesCache, cache_of, open_source
from agepred_cli.failure import fail, reported, training_tools

EXAMPLES = """\b
Examples:
  agepred train first_light ../shared/data/utkface.tar --weights ../shared/weights/mobilenet_v2_imagenet.pth
  agepred train first_light build/utkface.csv --weights ../shared/weights/mobilenet_v2_imagenet.pth
  agepred train first_light UTKFace --set epochs=3 --set batch_size=32 --out build/runs/short
  agepred train first_light ../shared/data/utkface.tar --resume
  agepred train agepred_mobilenet_v2 utkface.tar fairface.tar --set source_weights=fairface=0.3
  agepred train agepred_mobilenet_v2 utkface.tar --teacher build/runs/large --out build/runs/taught
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
            help="Tables of `agepred data`, folders of pictures, or tars with their csv beside; the first one's val "
            "chooses the epoch.",
        ),
    ],
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run [default: build/runs/RECIPE].")
    ] = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="ImageNet weights to start from.")] = None,
    teachers: Annotated[
        list[Path] | None,
        typer.Option("--teacher", metavar="RUN", help="A finished run to learn from; several answer as their mean."),
    ] = None,
    faces: FacesCache = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Like --resume, but a run that began from something else gives way.")
    ] = False,
) -> None:
    """Train an age network by a recipe, on a GPU where there is one.

    The best epoch on `val` is kept; a stopped run goes on with --resume, and with --replace, which a pipeline can say
    every time.
    """
    with training_tools():
        from agepred_train import prepare, recipes  # noqa: PLC0415
        from agepred_train import train as training  # noqa: PLC0415
        from agepred_train.overrides import chosen_recipe  # noqa: PLC0415
        from agepred_train.sources import join  # noqa: PLC0415
        from agepred_train.windows import find_windows, windows_of  # noqa: PLC0415
    with reported(ValueError):
        chosen = chosen_recipe(recipes.RECIPES, recipe, changes or [])
    if faces and len(sources) > 1:
        fail(f"--faces {faces}: names the cache of one source, {len(sources)} were given; leave it out")
    names = [source.stem for source in sources]
    if len(set(names)) < len(names):
        fail(f"two sources are named {next(name for name in names if names.count(name) > 1)}; rename one of them")
    collections = [open_source(source) for source in sources]
    with reported(ValueError):
        detector = agepred_edge.FaceDetector()
        found = [
            prepare.prepare(collection, detector, cache_of(source, faces))
            for source, collection in zip(sources, collections, strict=True)
        ]
        pairs = list(zip(collections, found, strict=True))
        data = pairs[0] if len(pairs) == 1 else join(dict(zip(names, pairs, strict=True)))
        # Of one source; pictures of several are decoded.
        windows = find_windows(data[0].samples, data[1], windows_of(sources[0])) if len(sources) == 1 else None
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
