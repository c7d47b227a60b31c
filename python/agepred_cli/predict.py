"""The command `agepred predict`: photographs in, ages out."""

import json
from pathlib import Path
from typing import Annotated

import typer

import agepred_edge
from agepred_cli import annotated
from agepred_cli.draw import draw_faces
from agepred_cli.failure import complain, reported
from agepred_cli.options import FaceModel, PointsModel
from agepred_cli.outcomes import Outcome, document, print_table
from agepred_edge import AgeEstimator, AgepredError

# The mark \b keeps the lines as they stand.
EXAMPLES = """\b
Examples:
  agepred predict photo.jpg
  agepred predict *.jpg --save annotated
  agepred predict photo.jpg --json | jq '.pictures[0].faces[0].age'
"""


def predict(  # noqa: PLR0917 - Typer reads the parameters by name
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Picture files.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, and only that.")] = False,
    save: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw the results on copies of the pictures there.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="FILE", help="Age model, or a file name of the packaged one.")
    ] = None,
    face_model: FaceModel = None,
    points_model: PointsModel = None,
    smallest_face: Annotated[
        float | None,
        typer.Option(metavar="PIXELS", min=1, max=65535, help="Height of the smallest face wanted; larger is faster."),
    ] = None,
    threads: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Threads of each model's run.")] = 1,
    min_score: Annotated[
        float | None,
        typer.Option(metavar="SCORE", min=0.01, max=1.0, help="Leave out faces that are less sure than this."),
    ] = None,
) -> None:
    """Tell how old the faces in photographs are.

    A picture that cannot be read is reported and the others go on; the exit status is 1 then.
    """
    with reported():
        if save is not None:
            annotated.make_folder(save)
        agepred_edge.find_face_model(face_model)
        estimator = AgeEstimator(
            model,
            face_model=face_model,
            points_model=points_model,
            threads=threads,
            min_score=min_score,
            smallest_face=smallest_face,
        )
    outcomes: list[Outcome] = []
    taken = {annotated.identity(photo) for photo in photos}
    for photo in photos:
        target = annotated.free_name(save, photo, taken) if save is not None else None
        outcome = predict_one(estimator, photo, target)
        if outcome.error is not None:
            complain(outcome.error)
        if outcome.saved is not None:
            taken.add(annotated.identity(outcome.saved))
        outcomes.append(outcome)
    if as_json:
        typer.echo(json.dumps(document(estimator.info, outcomes), indent=2))
    else:
        print_table(estimator.info, outcomes)
    if any(outcome.error is not None for outcome in outcomes):
        raise typer.Exit(1)


def predict_one(estimator: AgeEstimator, photo: Path, target: Path | None) -> Outcome:
    """The faces of one picture, drawn into the file target where one is named.

    What goes wrong with this picture is told in the outcome, not raised.
    """
    try:
        pixels = agepred_edge.read_picture(photo)
        faces = estimator.predict(pixels, pixel_format="RGB")
    except (AgepredError, OSError, ValueError, RuntimeError, MemoryError) as error:
        return Outcome(photo=photo, error=str(error) or f"picture {photo}: {type(error).__name__}")
    if target is not None:
        try:
            annotated.save(draw_faces(pixels, faces), target)
        except (OSError, ValueError, MemoryError) as error:
            return Outcome(photo=photo, faces=faces, error=annotated.unwritten(target, error))
    return Outcome(photo=photo, faces=faces, saved=target)
