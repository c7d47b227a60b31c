"""The command `agepred data`: makes a table of what training uses from labeled pictures, and reports on them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from agepred_cli.failure import fail, reported, training_tools
from agepred_cli.labeled_sets import CACHES, faces_cache
from agepred_cli.options import FacesCache, Layout, Ranges

EXAMPLES = """\b
Examples:
  agepred data ../shared/data/utkface.tar --report build/report
  agepred data UTKFace --split 70/15/15 --out build/utkface.csv
  agepred data ../shared/data/utkface.tar ../shared/data/fairface.tar --conflicts drop --cache
  agepred data faces --ranges YOUNG=0-29 --ranges MIDDLE=30-59 --ranges OLD=60-116
  agepred data my_pictures.csv --split folds:5 --cleaner haar
  agepred train first_light build/utkface.csv

\b
SOURCE is one of
  packed     a tar, its csv of labels beside it (UTKFace, FairFace, or your own)
  utkface    a folder of pictures named age_gender_race_time.jpg, Kaggle's nested copies too
  fairface   a folder with fairface_label_train.csv, fairface_label_val.csv, train/ and val/
  faces-age  Kaggle's Faces Age Detection: a table of ID and Class; needs --ranges
  face-age   Kaggle's face_age: a folder of pictures for each age
  table      a csv of paths (file) and ages (age, or age_min and age_max)
  manifest   what this command wrote
and is recognized by what lies there.
"""

_SHOWN_SKIPPED = 20  # files by name; the odd names of a whole wrong folder would hide the report


def data(  # noqa: PLR0917 - Typer reads the parameters by name
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Sets of labeled pictures, see below.")],
    layout: Layout = None,
    ranges: Ranges = None,
    split: Annotated[
        str,
        typer.Option(
            metavar="PLAN",
            help="own: as the sets say, 70/15/15 where they do not; TRAIN/VAL/TEST in percent; folds:K; "
            "or train, val, test for all.",
        ),
    ] = "own",
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the splits; with another one `agepred eval` must be given the table.")
    ] = 1,
    cleaner: Annotated[
        str,
        typer.Option(metavar="detector|haar", help="Whose faces decide what is dropped; haar needs OpenCV 4."),
    ] = "detector",
    min_face: Annotated[
        float, typer.Option(min=0, metavar="PIXELS", help="Smaller faces are dropped from training.")
    ] = 40.0,
    conflicts: Annotated[
        str,
        typer.Option(metavar="drop|keep|weight:W", help="Near-duplicates with different ages: weight 0 to 1."),
    ] = "weight:0.5",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="The table to write [default: build/<SOURCES>.csv].")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="DIR", help="Write report.html and report.json there.")] = None,
    cache: Annotated[
        bool, typer.Option("--cache", help="Keep the pixels around each face, so that training decodes nothing.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Use N pictures of each set, drawn evenly.")
    ] = None,
    faces: FacesCache = None,
) -> None:
    """Prepare labeled pictures for training.

    Reads and verifies the sets, finds faces and near-duplicates, drops what training should not see, divides the
    rest, and writes a table that `agepred train` reads. A stopped run goes on where it was.
    """
    with training_tools():
        from agepred_train.curation import curate, labels, splits  # noqa: PLC0415
        from agepred_train.curation.report import write_reports  # noqa: PLC0415
        from agepred_train.curation.sources import read_source  # noqa: PLC0415
        from agepred_train.curation.summary import summarize  # noqa: PLC0415
    manifest = out or CACHES / f"{_name(sources, limit)}.csv"
    if manifest.suffix != ".csv":
        fail(f"--out {manifest}: the table is a csv; give it a name that ends so")
    for source in sources:
        if manifest.resolve() in (source.resolve(), source.with_suffix(".csv").resolve()):
            fail(f"--out {manifest}: it would replace the labels of {source}; name another file")
    with reported(ValueError):
        settings = curate.Settings(
            plan=splits.parse_plan(split),
            seed=seed,
            cleaner=cleaner,
            min_face_side=min_face,
            conflict_weight=_conflict_weight(conflicts),
        )
        classes = labels.parse_ranges(ranges or [])
        read = [read_source(source, layout=layout, ranges=classes) for source in sources]
        if report:
            report.mkdir(parents=True, exist_ok=True)
        curated = curate.curate(read, manifest, settings, faces_cache=faces_cache(manifest.stem, faces), limit=limit)
        if settings.plan.kind == "folds":
            for fold in curated.manifests:
                curated.faces.save(faces_cache(fold.stem, None))
        if cache:
            curate.keep_crops(curated)
        summary = summarize(curated)
        if report:
            write_reports(report, curated, summary)
    _tell(summary, curated.manifests)


def _name(sources: list[Path], limit: int | None) -> str:
    """Returns the name of what is made of sources; a sample of them must not take the place of the whole."""
    from agepred_train.curation.sources import set_name  # noqa: PLC0415

    joined = "+".join(map(set_name, sources))
    return joined if limit is None else f"{joined}-{limit}"


def _conflict_weight(text: str) -> float:
    named = {"drop": 0.0, "keep": 1.0}
    if text in named:
        return named[text]
    try:
        return float(text.removeprefix("weight:"))
    except ValueError:
        fail(f"--conflicts {text}: write drop, keep, or weight:W with W from 0 to 1")


def _tell(summary: dict[str, Any], manifests: tuple[Path, ...]) -> None:
    """Prints what users look for first; the report holds the rest."""
    for name, figures in summary["sets"].items():
        outside = figures["outside"]["mean"]
        share = "" if outside is None else f"; {100 * outside:.1f} % of the crops' area lies outside of them"
        typer.echo(f"{name}: {figures['layout']}, {figures['pictures']} pictures{share}")
        for warning in figures["warnings"]:
            typer.echo(f"{name}: {warning}")
        unusable = figures["unusable"]
        for line in unusable[:_SHOWN_SKIPPED]:
            typer.echo(f"skipped {line}")
        if len(unusable) > _SHOWN_SKIPPED:
            typer.echo(f"skipped {len(unusable) - _SHOWN_SKIPPED} more")
    for split in ("train", "val", "test"):
        typer.echo(f"{split}: {summary['splits'][split]['pictures']} pictures")
    found = summary["duplicates"]
    typer.echo(f"near-duplicates: {found['groups']} groups, in {len(found['conflicts'])} of them the ages disagree")
    reasons = [
        f"{count['of_training'] or count['pictures']} {reason.replace('_', ' ')}"
        for reason, count in summary["dropped"].items()
        if count["of_training"] or (count["pictures"] and reason in ("copy_elsewhere", "dropped_by_set"))
    ]
    typer.echo(f"training keeps {summary['training']}; it drops {', '.join(reasons) or 'none'}")
    for manifest in manifests:
        typer.echo(f"written: {manifest}")
