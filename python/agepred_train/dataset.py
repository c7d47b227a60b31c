"""The crops that the network sees, cut by the C++ core."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from agepred_edge import DEFAULT_POINTS, align
from agepred_train.augment import move_points, vary_crop
from agepred_train.data import Sample
from agepred_train.prepare import Faces
from agepred_train.recipes import Recipe
from agepred_train.windows import Windows


class FaceCrops(Dataset[tuple[Tensor, int]]):
    """Crops and ages of the samples with a face.

    Each item is a uint8 tensor [3, S, S] of RGB values and the age in years. Samples without a face are
    left out: `without_face` counts them. An unreadable picture raises DataError.

    Args:
        samples: in the order of the items.
        faces: the cache that `prepare` made; it must hold every sample.
        side: of the square crop in pixels.
        augmentation: the recipe whose random variation training crops get, drawn from torch's generator
            (each loader worker has its own); None leaves the crops as they are.
        windows: pixels that `agepred data --cache` kept, so that pictures need not be decoded; every sample must be
            among them.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        faces: Faces,
        *,
        side: int,
        augmentation: Recipe | None = None,
        windows: Windows | None = None,
    ) -> None:
        row_of = faces.row_of()
        rows = [row_of[sample.name] for sample in samples]
        found = [faces.counts[row] > 0 for row in rows]
        self._samples = [sample for sample, has_face in zip(samples, found, strict=True) if has_face]
        self._landmarks = faces.landmarks[[row for row, has_face in zip(rows, found, strict=True) if has_face]]
        self._side = side
        self._augmentation = augmentation
        self._windows = windows
        row_of_window = windows.row_of() if windows else {}
        self._window_rows = [row_of_window[sample.name] for sample in self._samples] if windows else []
        self.without_face = len(samples) - len(self._samples)

    def __len__(self) -> int:
        """Return the number of samples with a face."""
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return one crop and its age."""
        # The channel axis goes first as a view: the loader's collation copies anyway.
        return torch.from_numpy(self.crop(index)).permute(2, 0, 1), self._samples[index].age

    def crop(self, index: int) -> NDArray[np.uint8]:
        """Return one crop as an array [S, S, 3], RGB."""
        points, recipe = self._landmarks[index], self._augmentation
        if recipe is None:
            return self._cut(index, points)
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        return vary_crop(self._cut(index, move_points(points, DEFAULT_POINTS, recipe, rng)), recipe, rng)

    def _cut(self, index: int, points: NDArray[np.float32]) -> NDArray[np.uint8]:
        kept = self._windows.around(self._window_rows[index], points) if self._windows else None
        picture, points = kept or (self._samples[index].read_picture(), points)
        return align(picture, points, side=self._side, pixel_format="RGB")
