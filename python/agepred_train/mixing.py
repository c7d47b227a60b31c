"""Crops laid over one another, each with a share of the other's label: a network learns what lies between faces.

Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization"; beside teachers, Beyer et al. 2022, "Knowledge
distillation: A good teacher is patient and consistent": teachers are asked about the same mixture, and what they say of
pictures that they were not trained on is not learned by heart.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from agepred_train.labels import Batch, Labels


class Mixture(NamedTuple):
    """A batch of N crops, some of them mixed with others of it."""

    batch: Batch
    """Crops and teachers' crops mixed alike; the labels are those of the crops' own shares."""
    others: Labels
    """The labels of what was mixed in."""
    own: Tensor
    """How much of each crop is its own, float32 [N], 1/2 to 1; 1 where nothing was mixed in."""


def mixed(batch: Batch, share: float) -> Mixture:
    """Mix about this share of a batch's crops with others of it, evenly from next to nothing up to half.

    Draws from PyTorch's own generator. Bytes are rounded to bytes.
    """
    count, device = len(batch.crops), batch.crops.device
    other = torch.randperm(count, device=device)
    own = 1 - 0.5 * torch.rand(count, device=device) * (torch.rand(count, device=device) < share)
    teacher_crops = None if batch.teacher_crops is None else _blend(batch.teacher_crops, other, own)
    return Mixture(
        Batch(_blend(batch.crops, other, own), batch.labels, teacher_crops),
        Labels(*(column[other] for column in batch.labels)),
        own,
    )


def _blend(crops: Tensor, other: Tensor, own: Tensor) -> Tensor:
    """Return crops [N, 3, S, S], channels innermost, with others of them laid over them."""
    touched = (own < 1).nonzero()[:, 0]
    blended = crops.clone()
    first, second = crops[touched].float(), crops[other[touched]].float()
    blended[touched] = torch.lerp(second, first, own[touched].view(-1, 1, 1, 1)).round().to(crops.dtype)
    return blended
