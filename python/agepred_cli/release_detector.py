"""The commands `agepred export-detector` and `agepred release-detector`."""

from pathlib import Path
from typing import Annotated

import typer

from agepred_cli.failure import reported, training_tools

EXPORT_EXAMPLES = """\b
Examples:
  agepred export-detector build/runs/detector build/runs/refiner ../shared/data --points build/detector/points
  agepred eval-detector build/detector/0.1.0/int8.onnx --data ../shared/data

Writes int8.onnx, fp32.onnx, points_int8.onnx and points_fp32.onnx. The score from which a box is a face is
chosen on the scenes of `val`.
"""

RELEASE_EXAMPLES = """\b
Examples:
  agepred eval-detector build/detector/0.1.0/int8.onnx build/detector/0.1.0/fp32.onnx \\
    --data ../shared/data --split test --json build/detector/test.json
  agepred release-detector build/runs/detector build/runs/refiner --files build/detector/0.1.0 \\
    --evaluation build/detector/test.json

The evaluation is that of the 8-bit files at least: all rows, on the data that the runs were trained with.
"""

Detector = Annotated[Path, typer.Argument(metavar="DETECTOR_RUN", help="Folder of `agepred train-detector`.")]
Refiner = Annotated[Path, typer.Argument(metavar="REFINER_RUN", help="Folder of `agepred train-refiner`.")]


def export_detector(  # noqa: PLR0917 - Typer reads the parameters by name
    detector: Detector,
    refiner: Refiner,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of the archives.")],
    points: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the tables of labels.")] = Path(
        "build/detector/points"
    ),
    version: Annotated[str, typer.Option(metavar="VERSION", help="Of the release.")] = "0.1.0",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the files; default: build/detector/VERSION.")
    ] = None,
) -> None:
    """Write the model files of a detector and its refiner, in floats and in 8 bits."""
    with training_tools():
        from agepred_train.detector.release import DetectorRuns, build_files  # noqa: PLC0415
    folder = out or Path("build/detector") / version
    with reported(ValueError, RuntimeError):
        runs = DetectorRuns(detector=detector, refiner=refiner)
        min_score = build_files(runs, data, points, folder, version=version)
        typer.echo(f"wrote {folder}; a face is one from a score of {min_score:.2f} on")


def release_detector(  # noqa: PLR0917 - Typer reads the parameters by name
    detector: Detector,
    refiner: Refiner,
    files: Annotated[Path, typer.Option(metavar="DIR", help="Folder that export-detector wrote.")],
    evaluation: Annotated[Path, typer.Option(metavar="FILE", help="JSON of eval-detector on the test split.")],
    models: Annotated[Path, typer.Option(metavar="DIR", help="Where released models lie.")] = Path("models"),
    commands: Annotated[
        list[str] | None,
        typer.Option("--command", metavar="LINE", help="A command that led here, for the card; in order."),
    ] = None,
) -> None:
    """Put a released detector's folder together: four model files, metrics.json and card.md.

    Parts that do not belong together are refused.
    """
    with training_tools():
        from agepred_train.detector import release as releasing  # noqa: PLC0415
    runs = releasing.DetectorRuns(detector=detector, refiner=refiner)
    with reported(ValueError):
        target = releasing.release_detector(runs, files, evaluation, models, commands=commands or [])
        typer.echo(f"wrote {target}")
