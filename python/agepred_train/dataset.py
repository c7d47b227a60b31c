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
    """

    def __init__(
        self, samples: Sequence[Sample], faces: Faces, *, side: int, augmentation: Recipe | None = None
    ) -> None:
        row_of = faces.row_of()
        rows = [row_of[sample.name] for sample in samples]
        found = [faces.counts[row] > 0 for row in rows]
        self._samples = [sample for sample, has_face in zip(samples, found, strict=True) if has_face]
        self._landmarks = faces.landmarks[[row for row, has_face in zip(rows, found, strict=True) if has_face]]
        self._side = side
        self._augmentation = augmentation
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
        picture, points = self._samples[index].read_picture(), self._landmarks[index]
        recipe = self._augmentation
        if recipe is None:
            return align(picture, points, side=self._side, pixel_format="RGB")
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        points = move_points(points, DEFAULT_POINTS, recipe, rng)
        return vary_crop(align(picture, points, side=self._side, pixel_format="RGB"), recipe, rng)
