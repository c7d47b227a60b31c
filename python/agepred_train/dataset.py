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
from agepred_train.labels import Item
from agepred_train.prepare import Faces
from agepred_train.recipes import Recipe
from agepred_train.windows import Windows

Crop = NDArray[np.uint8]


class FaceCrops(Dataset[Item]):
    """Crops and labels of the samples with a face.

    Samples without a face are left out: `without_face` counts them, `samples` are the others. An unreadable
    picture raises DataError.

    Args:
        samples: in the order of the items.
        faces: the cache that `prepare` made; it must hold every sample.
        side: of the square crop in pixels.
        augmentation: the recipe whose random variation training crops get, drawn from torch's generator
            (each loader worker has its own); None leaves the crops as they are.
        teacher_side: of the same crop cut once more for teachers, varied alike; 0 for none.
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
        teacher_side: int = 0,
        windows: Windows | None = None,
    ) -> None:
        row_of = faces.row_of()
        rows = [row_of[sample.name] for sample in samples]
        found = [faces.counts[row] > 0 for row in rows]
        self.samples = [sample for sample, has_face in zip(samples, found, strict=True) if has_face]
        self.weights = np.array([sample.weight for sample in self.samples])
        """How much each label counts, [n]; the caller may change them."""
        self._landmarks = faces.landmarks[[row for row, has_face in zip(rows, found, strict=True) if has_face]]
        self._side = side
        self._teacher_side = teacher_side
        self._augmentation = augmentation
        self.without_face = len(samples) - len(self.samples)
        self._windows = windows
        row_of_window = windows.row_of() if windows else {}
        self._window_rows = [row_of_window[sample.name] for sample in self.samples] if windows else []

    def __len__(self) -> int:
        """Return the number of samples with a face."""
        return len(self.samples)

    def __getitem__(self, index: int) -> Item:
        """Return one crop, its label, and the teachers' crop."""
        sides = (self._side, self._teacher_side) if self._teacher_side else (self._side,)
        crop, *others = self._crops(index, sides)
        sample = self.samples[index]
        return Item(
            _channels_first(crop),
            sample.age_min,
            sample.age_max,
            float(self.weights[index]),
            _channels_first(others[0]) if others else None,
        )

    def crop(self, index: int) -> Crop:
        """Return one crop as an array [S, S, 3], RGB."""
        return self._crops(index, (self._side,))[0]

    def _crops(self, index: int, sides: Sequence[int]) -> list[Crop]:
        """Return one crop at several sizes."""
        points, recipe = self._landmarks[index], self._augmentation
        if recipe is None:
            return self._cut(index, points, sides)
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        cut = self._cut(index, move_points(points, DEFAULT_POINTS, recipe, rng), sides)
        drawn = rng.bit_generator.state
        crops = []
        for crop in cut:
            rng.bit_generator.state = drawn  # the same draws for every size
            crops.append(vary_crop(crop, recipe, rng))
        return crops

    def _cut(self, index: int, points: NDArray[np.float32], sides: Sequence[int]) -> list[Crop]:
        kept = self._windows.around(self._window_rows[index], points) if self._windows else None
        picture, points = kept or (self.samples[index].read_picture(), points)
        return [align(picture, points, side=side, pixel_format="RGB") for side in sides]


def _channels_first(crop: Crop) -> Tensor:
    """Return a view: the loader's collation copies anyway."""
    return torch.from_numpy(crop).permute(2, 0, 1)
