"""What a batch holds: crops, and labels that are ages or ranges of ages and count more or less."""

from typing import NamedTuple

import torch
from torch import Tensor

GROUPS = ((0, 25), (26, 50), (51, 75), (76, 116))
"""First and last age of each of the four groups."""


class Labels(NamedTuple):
    """The labels of N crops."""

    age_min: Tensor
    """Lowest age that the label allows, in years, int64 [N]."""
    age_max: Tensor
    """Highest; the lowest where the label is one age, int64 [N]."""
    weight: Tensor
    """How much the label counts, float32 [N], at least 0."""


class Batch(NamedTuple):
    """What the loaders give."""

    crops: Tensor
    """RGB values, uint8 [N, 3, S, S], channels innermost in memory."""
    labels: Labels
    teacher_crops: Tensor | None
    """The same crops cut at the teachers' size, uint8 [N, 3, T, T]; None without teachers."""


class Item(NamedTuple):
    """One of a batch's crops and its label."""

    crop: Tensor
    """uint8 [3, S, S]."""
    age_min: int
    age_max: int
    weight: float
    teacher_crop: Tensor | None


def labels_of_ages(ages: Tensor) -> Labels:
    """Return labels of exact ages, in years, int64 [N]; each counts fully."""
    return Labels(ages, ages, torch.ones(len(ages), device=ages.device))


def outside(ages: Tensor, labels: Labels) -> Tensor:
    """Return by how many years ages [N] lie outside their labels, signed: below zero where too young."""
    ages = ages.float()
    return ages - torch.clamp(ages, labels.age_min, labels.age_max)


def group_of(ages: Tensor) -> Tensor:
    """Return the index of the group of each age in years, int64 [N]; 25.5 still belongs to 0-25."""
    starts = torch.tensor([low for low, _ in GROUPS[1:]], device=ages.device, dtype=torch.float32)
    return torch.bucketize(ages.float(), starts, right=True)


def allowed_groups(labels: Labels) -> Tensor:
    """Return which groups hold an age of each label, bool [N, groups]."""
    lows = torch.tensor([low for low, _ in GROUPS], device=labels.age_min.device)
    highs = torch.tensor([high for _, high in GROUPS], device=labels.age_min.device)
    return (labels.age_min[:, None] <= highs) & (labels.age_max[:, None] >= lows)


def collate(items: list[Item]) -> Batch:
    """Return the batch of some items."""
    teacher_crops = [item.teacher_crop for item in items if item.teacher_crop is not None]
    return Batch(
        crops=_stack([item.crop for item in items]),
        labels=Labels(
            torch.tensor([item.age_min for item in items]),
            torch.tensor([item.age_max for item in items]),
            torch.tensor([item.weight for item in items], dtype=torch.float32),
        ),
        teacher_crops=_stack(teacher_crops) if teacher_crops else None,
    )


def _stack(crops: list[Tensor]) -> Tensor:
    return torch.stack([crop.permute(1, 2, 0) for crop in crops]).permute(0, 3, 1, 2)
