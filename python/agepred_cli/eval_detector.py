"""The command `agepred eval-detector`: measures face detectors side by side, through the C++ core."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import agepred_edge
from agepred_cli.failure import fail, reported, training_tools
from agepred_cli.options import JsonFile, check_file

if TYPE_CHECKING:
    from agepred_train.detector.evaluation import Evaluation, Request
    from agepred_train.detector.survey import Column

EXAMPLES = """\b
Examples:
  agepred eval-detector int8.onnx --data ../shared/data
  agepred eval-detector int8.onnx fp32.onnx --against yunet_n.onnx --data ../shared/data --report build/report
  agepred eval-detector int8.onnx fp32.onnx --data ../shared/data --split test --json test.json
  agepred eval-detector int8.onnx --data ../shared/data --rows landmarks,scenes --limit 20
  agepred eval-detector int8.onnx --points-model none --set party.tar party.csv
  agepred eval-detector int8.onnx --wider WIDER_val/images wider_face_split --max-side 1024

\b
A labeled set is a tar of pictures and a CSV of a row a face: file,x,y,w,h and, where they are known,
right_eye_x, right_eye_y, left_eye_..., nose_..., right_mouth_..., left_mouth_...; where it has a column
split, the pictures of --split count.

\b
A model's points are refined by the file points_NAME.onnx beside its NAME.onnx, where there is one, else by the
packaged refiner; --points-model takes the place of both, for all models.

\b
Rows of --data: landmarks, rolled, scenes, unconfirmed, calibration, backgrounds, chips, int8_vs_fp32 (two
files of these names, of one training run), steadiness. If a row that --rows names cannot be measured, the
others are, and the command ends with status 1.

\b
--wider reads wider_face_val_bbx_gt.txt and, for the authors' easy, medium and hard subsets,
wider_{easy,medium,hard}_val.mat of their eval_tools beside it. Without these files the subsets are an
approximation: faces of at least 50, 30 and 10 pixels height. Such figures compare with no published one.
"""

_INCOMPLETE = 1  # exit status where a row that was named could not be measured
_RIVAL_SCORE = 0.6  # at which YuNet is compared
_WIDTH_OF_FILES = 160  # columns, where the table goes to a file or a pipe


def eval_detector(  # noqa: PLR0917  # typer calls it by name
    models: Annotated[list[Path], typer.Argument(metavar="FACE_MODEL...", help="Face models, one column each.")],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the packed sets.")] = None,
    labeled: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--set", metavar="TAR CSV", help="Any one labeled set, in place of --data."),
    ] = None,
    wider: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="IMAGES TRUTH", help="WIDER FACE's folders, in place of --data."),
    ] = None,
    points_model: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|none",
            help="Refiner of the points, for all [default: points_NAME.onnx beside NAME.onnx, else the packaged one].",
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A rival: another face model, without a refiner, at 0.6.")
    ] = None,
    age_model: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="For the steadiness of ages: one for all, or one a column, in order."),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(metavar="X", help="Working threshold [default: each model's own].")
    ] = None,
    split: Annotated[
        Literal["val", "test"] | None, typer.Option(help="Choose by val; test is for the end [default: val].")
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Confirms unlabeled faces [default: DATA/../weights/yunet_n.onnx]."),
    ] = None,
    rows: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Measure these only [default: all that can be].")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Pictures of each set at most, spread evenly.")] = None,
    max_side: Annotated[
        int | None,
        typer.Option(min=32, max=4096, help="Longer side at which --set and --wider are shown [default: 640]."),
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="DIR", help="Write DIR/report.html.")] = None,
    out: JsonFile = None,
) -> None:
    """Measure face detectors side by side.

    Average precision, recall by size, answers that nothing confirms, errors of the five points, steadiness
    of ages, calibration. Each model is asked through the same library that users call.
    """
    with training_tools():
        from agepred_train.detector.evaluation import Request  # noqa: PLC0415
        from agepred_train.detector.report import write_report  # noqa: PLC0415
        from agepred_train.storage import write_json  # noqa: PLC0415
    if sum(source is not None for source in (data, labeled, wider)) != 1:
        fail("name what to measure on: one of --data, --set and --wider")
    if rows is not None and data is None:
        fail("--rows chooses among the rows of --data; --set and --wider have one kind each")
    if age_model and data is None:
        fail("--age-model is for the steadiness of ages, a row of --data; it does nothing with --set and --wider")
    if teacher is not None and data is None:
        fail("--teacher is for the row unconfirmed of --data; it does nothing with --set and --wider")
    if max_side is not None and data is not None:
        fail("--max-side is for --set and --wider; the rows of --data have longer sides of their own")
    if split is not None and wider is not None:
        fail("--split does nothing with --wider: all of its pictures count")
    check_file("--json", out)
    with reported(ValueError):
        request = Request(
            columns=_columns(models, against, points_model, min_score, age_model or []),
            split=split or "val",
            limit=limit,
            teacher=_teacher(teacher, data),
            max_side=max_side or 640,
        )
        if report is not None:
            report.mkdir(parents=True, exist_ok=True)
        evaluation = _evaluate(request, data, labeled, wider, rows, chosen=split is not None)
        document = evaluation.to_dict()
        _print(document)
        if out is not None:
            write_json(out, document)
            typer.echo(f"wrote {out}")
        if report is not None:
            write_report(report / "report.html", evaluation)
            typer.echo(f"wrote {report / 'report.html'}")
    if rows is not None and evaluation.left_out:
        reasons = (f"row {row} was not measured: {reason}" for row, reason in evaluation.left_out.items())
        fail("; ".join(reasons), _INCOMPLETE)


def _evaluate(
    request: "Request",
    data: Path | None,
    labeled: tuple[Path, Path] | None,
    wider: tuple[Path, Path] | None,
    rows: str | None,
    *,
    chosen: bool,
) -> "Evaluation":
    """`chosen`: the split was named."""
    from agepred_train.detector import annotations, evaluate  # noqa: PLC0415
    from agepred_train.detector.wider import open_wider  # noqa: PLC0415

    if labeled is not None:
        pictures = annotations.read_packed(*labeled)
        if chosen and not evaluate.has_splits(pictures):
            fail(f"--split does nothing with {labeled[1]}, which has no column split: all of its pictures count")
        return evaluate.evaluate_set(request, pictures)
    if wider is not None:
        return evaluate.evaluate_wider(request, open_wider(*wider))
    if data is None or not data.is_dir():
        fail(f"--data {data}: there is no such folder")
    named = None if rows is None else [name.strip() for name in rows.split(",")]
    return evaluate.evaluate_rows(request, data, named)


def _columns(
    models: list[Path], against: Path | None, points_model: str | None, min_score: float | None, age_models: list[Path]
) -> tuple["Column", ...]:
    """One a model, named by its file, and by its folder where that does not tell them apart."""
    from agepred_train.detector.survey import Column  # noqa: PLC0415

    files = [agepred_edge.find_face_model(path) for path in [*models, *([against] if against else [])]]
    age_models = [agepred_edge.find_age_model(path) for path in age_models]
    if age_models and len(age_models) not in (1, len(files)):
        fail(
            f"--age-model: {len(age_models)} are named for {len(files)} face models; name one, or one for each in order"
        )
    ages: list[Path | None] = [*age_models] * (len(files) if len(age_models) == 1 else 1) or [None] * len(files)
    points: Path | str | None = points_model if points_model in (None, "none") else _existing(points_model)
    refiners = [points if points is not None else _sibling(path) for path in files[: len(models)]]
    stems = [path.stem for path in files]
    names = stems if len(set(stems)) == len(stems) else [f"{path.absolute().parent.name}/{path.stem}" for path in files]
    return tuple(
        Column(
            name=name,
            model=path,
            points_model=refiners[number] if number < len(models) else "none",
            min_score=min_score if number < len(models) else _RIVAL_SCORE,
            age_model=age,
        )
        for number, (name, path, age) in enumerate(zip(names, files, ages, strict=True))
    )


def _sibling(model: Path) -> Path | None:
    """The refiner that was exported with a face model; None for the packaged one."""
    beside = model.with_name(f"points_{model.stem}.onnx")
    return beside if beside.is_file() else None


def _existing(name: str | None) -> Path:
    path = Path(name or "")
    if not path.is_file():
        fail(f"--points-model {name}: there is no such file")
    return path


def _teacher(named: Path | None, data: Path | None) -> Path | None:
    if named is not None and not named.is_file():
        fail(f"--teacher {named}: there is no such file")
    usual = None if data is None else data.absolute().parent / "weights" / "yunet_n.onnx"
    return usual if named is None and usual is not None and usual.is_file() else named


def _print(document: dict[str, Any]) -> None:
    """The first figures of each row; the JSON has the rest."""
    from agepred_train.detector.figures import heading, headlines  # noqa: PLC0415

    columns = list(document["columns"])
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(heading(document))
    for column in columns:
        table.add_column(escape(column), justify="right", no_wrap=True)
    for title, texts in headlines(document["rows"], columns):
        table.add_row(escape(title), *map(escape, texts))
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    console.print(table)
    for row, reason in document["left_out"].items():
        typer.echo(f"left out: {row} ({reason})")
    for column, seconds in document["detection_seconds"].items():
        typer.echo(f"detections of {column} took {seconds:.1f} s")
