"""The command `agepred ablate`: what each step of a recipe brings, from runs that differ in one thing."""

from pathlib import Path
from typing import Annotated

import typer

import agepred_edge
from agepred_cli.failure import fail, reported, training_tools
from agepred_cli.labeled_sets import CACHES, faces_cache
from agepred_cli.options import JsonFile, check_file

EXAMPLES = """\b
Examples:
  agepred ablate benchmarks/ablations.toml ../shared/data/utkface.tar ../shared/data/fairface.tar \\
    --weights ../shared/weights/mobilenet_v2_imagenet.pth
  agepred ablate plan.toml build/utkface.csv build/fairface.csv --only baseline --only no_erase
  agepred ablate plan.toml utkface.tar fairface.tar --json build/ablations.json
  agepred ablate plan.toml utkface.tar --weights mobilenet_v2.pth --weights efficientnet_lite0=lite0.pth

\b
PLAN is a TOML file: `recipe`, `set` (changes of it, for all runs), `sources` (names of the sets, which are their
files' without the ending), and [[steps]], each with `name`, `says` and what is done otherwise: `set`, `sources`,
`teachers` (steps before it) for a training of its own, or `runs` (steps whose answers are averaged), `estimator`
(mean, median), `flip`.
"""


def ablate(  # noqa: PLR0917 - Typer reads the parameters by name
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="The plan, a TOML file.")],
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="Sets that the plan names, as `agepred train` takes them.")
    ],
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="[BACKBONE=]FILE", help="ImageNet weights to start from; of MobileNetV2 unless named."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the runs.")] = Path("build/ablations"),
    only: Annotated[
        list[str] | None, typer.Option(metavar="STEP", help="Train this step now, not all that are missing.")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Train a baseline and steps that differ from it in one thing each, and compare them on `val`.

    What is trained already is not trained again; a stopped run goes on. Gains are differences of the mean error on the
    same pictures with 95 % intervals by the paired bootstrap; bold ones leave zero out.
    """
    with training_tools():
        from agepred_train.ablation.plan import read_plan  # noqa: PLC0415
        from agepred_train.ablation.run import as_markdown, carry_out  # noqa: PLC0415
        from agepred_train.archive import DataError  # noqa: PLC0415
        from agepred_train.curation.labeled_sets import read_sets  # noqa: PLC0415
        from agepred_train.prepare import prepare  # noqa: PLC0415
        from agepred_train.storage import write_json  # noqa: PLC0415
    start = _by_backbone(weights or [])
    check_file("--json", json_file, (plan, *sources, *start.values()))
    with reported(ValueError):
        wanted = read_plan(plan)
        sets = read_sets(sources, caches=CACHES)
        needed = dict.fromkeys([*wanted.sources, *(name for step in wanted.steps for name in step.sources)])
        if absent := [name for name in needed if name not in sets]:
            raise DataError(f"{plan}: is about {', '.join(absent)}, of which no SOURCE is given")
        detector = agepred_edge.FaceDetector()
        parts = {
            name: (sets[name].collection, prepare(sets[name].collection, detector, faces_cache(name, None)))
            for name in needed
        }
        result = carry_out(wanted, parts, out, weights=start, only=only or (), said=typer.echo)
        if json_file is not None:
            write_json(json_file, result)
    typer.echo(as_markdown(result))


def _by_backbone(weights: list[str]) -> dict[str, Path]:
    """Reads `FILE` and `BACKBONE=FILE`; ends the command where two are for one backbone, or one is not there."""
    files: dict[str, Path] = {}
    for text in weights:
        backbone, named, file = text.partition("=")
        if not named or Path(text).exists():  # a path may hold the sign
            backbone, file = "mobilenet_v2", text
        if backbone in files:
            fail(f"--weights {text}: {backbone} has {files[backbone]} already; write BACKBONE=FILE for another one")
        if not Path(file).is_file():
            fail(f"--weights {text}: {file} is no file")
        files[backbone] = Path(file)
    return files
