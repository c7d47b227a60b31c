"""What releases of a detector are tested with: two runs of seconds, and steps that are as short."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agepred_train.detector import recipe as detector_recipes
from agepred_train.detector import release as releasing
from agepred_train.detector.measure import Found
from agepred_train.detector.release import DetectorRuns
from agepred_train.detector.train import train_detector
from agepred_train.refiner import recipe as refiner_recipes
from agepred_train.refiner.train import train_refiner

SCORE = 0.37
"""Of every face in `short_steps`."""


def make_runs(sets: tuple[Path, Path], folder: Path) -> DetectorRuns:
    """A finished run of each kind."""
    return DetectorRuns(
        detector=train_detector(detector_recipes.smoke(), *sets, folder / "detector").folder,
        refiner=train_refiner(refiner_recipes.smoke(), *sets, folder / "refiner").folder,
    )


@contextmanager
def short_steps(data: Path) -> Iterator[None]:
    """Few and small calibration scenes, and a network that finds each face of `val` with one score."""
    labels = [faces for _, faces in releasing.ValidationScenes(data, halved=True)]
    labels += [releasing.NO_FACES] * len(releasing.backgrounds(data / "backgrounds.tar"))
    turn = iter(range(10**9))

    def perfect(network: object, pixels: object) -> Found:
        faces = labels[next(turn) % len(labels)]
        return Found.of(faces.boxes, [SCORE] * len(faces.boxes), [[[0.0, 0.0]] * 5] * len(faces.boxes))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(releasing, "detect", perfect)
        for name, value in (("_CALIBRATION_SCENES", {64: 12, 96: 4}), ("_CROPS", 32)):
            patch.setattr(releasing, name, value)
        yield


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
