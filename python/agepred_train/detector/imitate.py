"""What it costs a network to differ from its teacher: in its features, and in its answers."""

import torch
from torch import Tensor
from torch.nn import functional

from agepred_train.detector.assign import distance_loss
from agepred_train.detector.network import Predictions

# Boxes of less likely faces teach nothing.
_LIKELY = 0.02


def imitation_loss(features: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Return the mean square error of maps of features, each in shares of the wanted map's own mean square."""
    errors = [
        functional.mse_loss(own, target) / target.square().mean().clamp(min=1e-6)
        for own, target in zip(features, wanted, strict=True)
    ]
    return torch.stack(errors).mean()


def answers_loss(predictions: Predictions, wanted: Predictions, heard: Tensor) -> Tensor:
    """Return how far a batch's scores and boxes are from the teacher's, for each face that the teacher sees.

    Scores: the Kullback-Leibler divergence of face or no face, of all cells. Boxes: one minus their DIoU, as much as
    the teacher is sure of the face.

    Args:
        predictions: of N pictures and A cells.
        wanted: the teacher's of the same.
        heard: pictures that count, bool [N]. In one that is known to be empty the teacher can only be wrong.
    """
    sure = wanted.scores.sigmoid() * heard[:, None]
    entropy = functional.binary_cross_entropy_with_logits(wanted.scores, sure, reduction="none")
    score = functional.binary_cross_entropy_with_logits(predictions.scores, sure, reduction="none") - entropy
    score = score * heard[:, None]
    likely = sure >= _LIKELY
    box = distance_loss(predictions.boxes[likely], wanted.boxes[likely]) * sure[likely]
    return (score.sum() + box.sum()) / sure.sum().clamp(min=1.0)
