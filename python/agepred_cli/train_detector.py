"""The commands `agepred train-detector` and `agepred train-refiner`: learn to find faces, and to place their points."""

from pathlib import Path
from typing import Annotated

import typer

from agepred_cli.failure import reported, training_tools
from agepred_cli.options import Changes, Resume, RunFolder

# Named here, since the help must do without the training tools; a test compares them with the recipes.
DETECTOR_EXAMPLES = """\b
Recipes:
  agepred_faces  the released detector
  smoke          seconds, for tests

\b
Examples:
  agepred train-detector agepred_faces ../shared/data --labels build/detector/points --teacher yunet_n.onnx
  agepred train-detector agepred_faces ../shared/data --labels build/detector/labels --set steps=2000 --set side=320
  agepred train-detector agepred_faces ../shared/data --labels build/detector/points --teacher yunet_n.onnx --resume
"""
REFINER_EXAMPLES = """\b
Recipes:
  agepred_points  the released refiner
  smoke           seconds, for tests

\b
Examples:
  agepred train-refiner agepred_points ../shared/data --points build/detector/points
  agepred train-refiner agepred_points ../shared/data --points build/points --set crop_side=80 --out build/runs/r80
  agepred train-refiner agepred_points ../shared/data --points build/detector/points --resume
"""

Recipe = Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, see below.")]
Data = Annotated[Path, typer.Argument(metavar="DATA", help="Folder of the sets, each a tar and a csv.")]
Weights = Annotated[Path | None, typer.Option(metavar="RUN", help="Start from the best network of that run.")]


def train_detector(  # noqa: PLR0917 - Typer reads the parameters by name
    recipe: Recipe,
    data: Data,
    labels: Annotated[Path, typer.Option(metavar="DIR", help="Tables that `agepred label-faces` wrote.")],
    changes: Changes = None,
    out: RunFolder = None,
    weights: Weights = None,
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="ONNX", help="YuNet's file: its weights are the start, its features are learned first."),
    ] = None,
    resume: Resume = False,
) -> None:
    """Train a face detector by a recipe.

    With a teacher an hour on two cores does what takes days without. The best epoch on `val` is kept; a stopped run
    goes on with --resume.
    """
    with training_tools():
        from agepred_train.detector.recipe import RECIPES  # noqa: PLC0415
        from agepred_train.detector.train import train_detector as train  # noqa: PLC0415
        from agepred_train.overrides import chosen_recipe  # noqa: PLC0415
    with reported(ValueError):
        chosen = chosen_recipe(RECIPES, recipe, changes or [])
        folder = out or Path("build/runs") / recipe
        run = train(chosen, data, labels, folder, weights=weights, teacher=teacher, resume=resume)
    typer.echo(f"{run.folder}: average precision {run.val_ap:.3f} on val")


def train_refiner(  # noqa: PLR0917 - Typer reads the parameters by name
    recipe: Recipe,
    data: Data,
    points: Annotated[Path, typer.Option(metavar="DIR", help="Tables of labels with the best points to be had.")],
    changes: Changes = None,
    out: RunFolder = None,
    weights: Weights = None,
    resume: Resume = False,
) -> None:
    """Train a refiner of the five points by a recipe.

    The best epoch on `val` is kept; a stopped run goes on with --resume.
    """
    with training_tools():
        from agepred_train.overrides import chosen_recipe  # noqa: PLC0415
        from agepred_train.refiner.recipe import RECIPES  # noqa: PLC0415
        from agepred_train.refiner.train import train_refiner as train  # noqa: PLC0415
    with reported(ValueError):
        chosen = chosen_recipe(RECIPES, recipe, changes or [])
        run = train(chosen, data, points, out or Path("build/runs") / recipe, weights=weights, resume=resume)
    typer.echo(f"{run.folder}: mean point error {run.val_error:.2%} of the distance between the eyes on val")
