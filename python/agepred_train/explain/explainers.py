"""What can explain ages: a model file through the C++ core, and a training run's network by autograd."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from agepred_edge import DEFAULT_POINTS, AgeEstimator, ModelError
from agepred_train.cells import CellGrid, cell_grid
from agepred_train.explain.gradcam import grad_cam
from agepred_train.fit import BEST_CHECKPOINT
from agepred_train.heads import head_of
from agepred_train.network import load_run
from agepred_train.storage import sha256_of_file

Crops = NDArray[np.uint8]
Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explained:
    """The answers for some crops."""

    ages: Column
    """Years, [n]."""
    maps: NDArray[np.float32]
    """How many years each cell adds or takes away, [n, h, w]."""


class Explainer(Protocol):
    """What the modules here ask for; crops are uint8 [n, side, side, 3], RGB."""

    side: int
    points: NDArray[np.float32]
    """5 x 2: where the crop wants the five landmarks, in fractions of its side."""
    grid: CellGrid

    def ages(self, crops: Crops) -> Column:
        """Return ages in years, [n]."""

    def explain(self, crops: Crops) -> Explained:
        """Return ages and maps."""

    def describe(self) -> dict[str, Any]:
        """Return what this is, JSON-ready."""


class FileExplainer:
    """A model file with the output `features`, as a device explains it."""

    def __init__(self, model: Path) -> None:
        """Raises ModelError for a file that cannot explain, and what AgeEstimator raises."""
        # Crops are cut elsewhere, so no face model is needed.
        self._estimator = AgeEstimator(model)
        self._path = model
        info = self._estimator.info
        if not info.map_shape[0]:
            raise ModelError(
                f"{model}: the model has no output `features`, so it cannot explain its answers; write one that has it "
                "with `agepred export RUN` (and `agepred quantize`), or name the run itself with --run"
            )
        self.side, self.points = info.crop_side, info.crop_points
        self.grid = CellGrid(count=info.map_shape[0], first=info.map_first, step=info.map_step)

    def ages(self, crops: Crops) -> Column:
        """Return ages in years, [n]."""
        return np.array([self._estimator.predict_crop(crop).age for crop in crops], np.float64)

    def explain(self, crops: Crops) -> Explained:
        """Return ages and maps."""
        answers = [self._estimator.explain_crop(crop) for crop in crops]
        return Explained(
            ages=np.array([answer.age for answer in answers], np.float64),
            maps=np.stack([answer.map for answer in answers]),
        )

    def describe(self) -> dict[str, Any]:
        """Return name, version and hash."""
        version = self._estimator.info.version
        return {"kind": "file", "name": self._path.name, "version": version, "sha256": sha256_of_file(self._path)}


class RunExplainer:
    """The best network of a training run, of any backbone and head."""

    def __init__(self, run: Path) -> None:
        """Raises FileNotFoundError where the run has no checkpoint, DataError where it is none of `train`."""
        self._network, self._recipe = load_run(run)
        self._head = head_of(self._recipe)
        self._run = run
        self.side, self.points = self._recipe.crop_side, DEFAULT_POINTS
        self.grid = cell_grid(self._network, self.side)

    def ages(self, crops: Crops) -> Column:
        """Return ages in years, [n]."""
        with torch.inference_mode():
            return self._head.age(self._network(_channels_first(crops))).double().numpy()

    def explain(self, crops: Crops) -> Explained:
        """Return ages and maps."""
        ages, maps = grad_cam(self._network, self._head, _channels_first(crops))
        return Explained(ages=ages.double().numpy(), maps=maps.numpy())

    def describe(self) -> dict[str, Any]:
        """Return the run's name, network and checkpoint."""
        return {
            "kind": "run",
            "name": self._run.absolute().name,
            "backbone": self._recipe.backbone,
            "head": self._recipe.head,
            "sha256": sha256_of_file(self._run / BEST_CHECKPOINT),
        }


def _channels_first(crops: Crops) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2)))
