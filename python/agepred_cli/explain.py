"""The command `agepred explain`: where in a face an age comes from, and whether that means something."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import agepred_edge
from agepred_cli import annotated
from agepred_cli.draw import label_of
from agepred_cli.failure import complain, fail, reported, training_tools
from agepred_cli.heat import CropFrame, ExplainedFace, draw_heat
from agepred_cli.labeled_sets import open_measured
from agepred_cli.options import (
    FaceModel,
    Labels,
    Layout,
    MaybeMeasuredPart,
    MaybeMeasuredSets,
    MeasuredPart,
    PointsModel,
    Ranges,
)
from agepred_edge import AgeEstimator, AgepredError, FaceDetector, ModelError

if TYPE_CHECKING:
    from agepred_train.evaluation.labels import LabeledSet

EXAMPLES = """\b
Examples:
  agepred explain photo.jpg --save maps
  agepred explain photo.jpg --model build/int8.onnx --json | jq '.pictures[0].faces[0].map'
  agepred explain photo.jpg --run build/runs/first_light --save maps
  agepred explain --model build/int8.onnx --data ../shared/data/utkface.tar --split test --report build/explain
  agepred explain --run build/runs/resnet50 --data ../shared/data/utkface.tar --limit 500 --report build/explain

\b
A map is Grad-CAM of the answered age: how many years each of its cells adds (red) or takes away (blue), to first
order. Model files need the output `features`, which `agepred export` writes; --run explains the network of any
training run, of every backbone and head, and needs the training tools, as --data does.

\b
With --data: the mean map of each decade of labeled age, and the check that the maps mean something: crops give way
to another face of the same age, place by place in the map's order, a random and the reverse one, and the age is
followed (docs/explain.md). Sets, labels and splits are read as by `agepred eval`.
"""

Pixels = NDArray[np.uint8]
Explain = Callable[[Pixels], list[ExplainedFace]]


def explain(  # noqa: PLR0917 - Typer reads the parameters by name
    photos: Annotated[list[Path] | None, typer.Argument(metavar="[PHOTO]...", help="Picture files.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="FILE", help="Age model, or a file name of the packaged one.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Folder of a training run, in place of a model file.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Lay the maps over copies of the pictures there.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, and only that.")] = False,
    data: MaybeMeasuredSets = None,
    labels: Labels = None,
    layout: Layout = None,
    ranges: Ranges = None,
    split: MaybeMeasuredPart = None,
    limit: Annotated[int | None, typer.Option(min=1, help="With --data: pictures at most, spread evenly.")] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --data: write DIR/explain.html and DIR/explain.json.")
    ] = None,
    face_model: FaceModel = None,
    points_model: PointsModel = None,
) -> None:
    """Show where in a face an age comes from.

    Of photographs, or over a labeled set. A photograph that cannot be read is reported and the others go on; the
    exit status is 1 then.
    """
    if model is not None and run is not None:
        fail("--model and --run name two networks; choose one")
    if bool(photos) == bool(data):
        fail("name photographs, or a labeled set with --data: one of the two")
    of_sets = {"--labels": labels, "--layout": layout, "--ranges": ranges, "--split": split, "--limit": limit}
    alien = of_sets | {"--report": report} if photos else {"--save": save}
    for option, value in alien.items():
        if value is not None:
            fail(f"{option} says nothing to {'photographs; it belongs to --data' if photos else '--data'}")
    if report is not None and report.exists() and not report.is_dir():
        fail(f"--report {report}: there is a file of that name; name a folder")
    with reported(ValueError):
        if save is not None:
            annotated.make_folder(save)
        if data:
            labeled, part = open_measured(data, labels, layout, ranges, split)
            _explain_set(model, run, (face_model, points_model), (labeled, part, limit), report, as_json)
            return
        choose = _of_model(model, face_model, points_model) if run is None else _of_run(run, face_model, points_model)
    _explain_photos(photos or [], *choose, save, as_json)


def _of_model(
    model: str | None, face_model: Path | None, points_model: str | None
) -> tuple[Explain, CropFrame, dict[str, Any]]:
    """Explanations by a model file, as a device gives them: without the training tools."""
    agepred_edge.find_face_model(face_model)
    estimator = AgeEstimator(model, face_model=face_model, points_model=points_model)
    info = estimator.info
    if not info.map_shape[0]:
        raise ModelError(
            f"{agepred_edge.find_age_model(model)}: the model has no output `features`, so it cannot explain its "
            "answers; name one that has it with --model (`agepred export RUN` and `agepred quantize` write it), or a "
            "training run with --run"
        )
    frame = CropFrame(side=info.crop_side, points=info.crop_points, first=info.map_first, step=info.map_step)

    def explain_one(pixels: Pixels) -> list[ExplainedFace]:
        explained = []
        for face in estimator.predict(pixels, pixel_format="RGB"):
            cells = estimator.explain_crop(_crop(pixels, face.landmarks, frame)).map
            explained.append(ExplainedFace(face=face, label=label_of(face), answer=face.to_dict(), map=cells))
        return explained

    return explain_one, frame, {"version": info.version, "interval_level": round(info.interval_level, 4)}


def _of_run(run: Path, face_model: Path | None, points_model: str | None) -> tuple[Explain, CropFrame, dict[str, Any]]:
    """Explanations by a training run's network."""
    with training_tools():
        from agepred_train.explain.explainers import RunExplainer  # noqa: PLC0415
    explainer = RunExplainer(run)
    finder = FaceDetector(face_model, points_model=points_model)
    grid = explainer.grid
    frame = CropFrame(side=explainer.side, points=explainer.points, first=grid.first, step=grid.step)

    def explain_one(pixels: Pixels) -> list[ExplainedFace]:
        result = []
        for face in finder.detect(pixels, pixel_format="RGB"):
            explained = explainer.explain(_crop(pixels, face.landmarks, frame)[None])
            age = float(explained.ages[0])
            x, y, width, height = (round(side, 2) for side in face.box)
            answer = {"age": round(age, 2), "box": {"x": x, "y": y, "width": width, "height": height}}
            result.append(ExplainedFace(face=face, label=f"{age:.0f}", answer=answer, map=explained.maps[0]))
        return result

    return explain_one, frame, explainer.describe()


def _crop(pixels: Pixels, landmarks: NDArray[np.float32], frame: CropFrame) -> Pixels:
    return agepred_edge.align(pixels, landmarks, side=frame.side, points=frame.points, pixel_format="RGB")


def _explain_photos(  # noqa: PLR0917 - what one run of the command knows
    photos: list[Path], explain_one: Explain, frame: CropFrame, named: dict[str, Any], save: Path | None, as_json: bool
) -> None:
    taken = {annotated.identity(photo) for photo in photos}
    outcomes: list[dict[str, Any]] = []
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("photo", overflow="fold")
    for heading in ("face", "age", "cells from, years", "to"):
        table.add_column(heading, justify="right", no_wrap=True)
    for photo in photos:
        target = annotated.free_name(save, photo, taken, ending="why") if save is not None else None
        faces, outcome = _explain_photo(photo, explain_one, frame, target)
        outcomes.append(outcome)
        if "error" in outcome:
            complain(outcome["error"])
        if "saved" in outcome and target is not None:
            taken.add(annotated.identity(target))
        for number, face in enumerate(faces, start=1):
            ends = (f"{face.map.min():+.2f}", f"{face.map.max():+.2f}")
            table.add_row(escape(_shown(photo.name)), str(number), face.label, *ends)
        if outcome.get("faces") == []:
            table.add_row(escape(_shown(photo.name)), "-", "no face")
    if as_json:
        document = {"agepred": agepred_edge.__version__, "model": named, "frame": frame.to_dict()}
        typer.echo(json.dumps(document | {"pictures": outcomes}, indent=2))
    else:
        _print(table, [outcome["saved"] for outcome in outcomes if "saved" in outcome])
    if any("error" in outcome for outcome in outcomes):
        raise typer.Exit(1)


def _explain_photo(
    photo: Path, explain_one: Explain, frame: CropFrame, target: Path | None
) -> tuple[list[ExplainedFace], dict[str, Any]]:
    """The faces of one picture, and what became of it, JSON-ready; what goes wrong is told there, not raised."""
    outcome: dict[str, Any] = {"picture": str(photo)}
    faces: list[ExplainedFace] = []
    try:
        pixels = agepred_edge.read_picture(photo)
        faces = explain_one(pixels)
        outcome["faces"] = [face.to_dict() for face in faces]
    except (AgepredError, OSError, ValueError, RuntimeError, MemoryError) as error:
        outcome["error"] = str(error) or f"picture {photo}: {type(error).__name__}"
        return [], outcome
    if target is not None:
        try:
            annotated.save(draw_heat(pixels, faces, frame), target)
            outcome["saved"] = str(target)
        except (OSError, ValueError, MemoryError) as error:
            outcome["error"] = annotated.unwritten(target, error)
    return faces, outcome


def _explain_set(  # noqa: PLR0917 - what one run of the command knows
    model: str | None,
    run: Path | None,
    detection: tuple[Path | None, str | None],
    chosen: tuple["LabeledSet", MeasuredPart, int | None],
    report: Path | None,
    as_json: bool,
) -> None:
    with training_tools():
        from agepred_train.explain.explainers import FileExplainer, RunExplainer  # noqa: PLC0415
        from agepred_train.explain.report import summary, write_report  # noqa: PLC0415
        from agepred_train.explain.survey import survey  # noqa: PLC0415

    if report is not None:
        report.mkdir(parents=True, exist_ok=True)  # before the work whose result it shall hold
    explainer = RunExplainer(run) if run is not None else FileExplainer(agepred_edge.find_age_model(model))
    finder = FaceDetector(detection[0], points_model=detection[1])
    found = survey(explainer, finder, *chosen)
    document = found.to_dict()
    written = write_report(report, found, document) if report is not None else []
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for title, text in summary(document):
        table.add_row(escape(title), escape(text))
    _print(table, [str(path) for path in written])


def _shown(name: str) -> str:
    """A name as text that any terminal takes: names on disk need not be valid UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _print(table: Table, written: list[str]) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = 200  # a file or a pipe needs no folding
    if table.row_count:
        console.print(table)
    for path in written:
        console.print(f"saved {_shown(path)}", markup=False, highlight=False, soft_wrap=True)
