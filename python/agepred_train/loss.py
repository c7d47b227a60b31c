"""The training loss: soft-label cross-entropy and the error of the expected age.

For logits z over the ages a_0, a_1, ... and a label y:
    q_k proportional to exp(-(a_k - y)^2 / (2 sigma^2)), summing to 1;  p = softmax(z)
    loss = -sum_k q_k log p_k + weight * |sum_k p_k a_k - y|
"""

import torch
from torch import Tensor
from torch.nn import functional


def soft_labels(ages: Tensor, count: int, sigma: float) -> Tensor:
    """Return Gaussian label distributions.

    Args:
        ages: labels in years, [N].
        count: number of classes K; class k stands for the age k.
        sigma: standard deviation in years, above 0.

    Returns:
        Probabilities, float32 [N, K]. What a Gaussian would put outside the classes is spread over those
        inside by renormalizing, so that the youngest and oldest labels count as much as any.
    """
    classes = torch.arange(count, device=ages.device, dtype=torch.float32)
    distance = (classes - ages.float()[:, None]) / sigma
    return torch.softmax(-0.5 * distance.square(), dim=1)


def expected_age(logits: Tensor) -> Tensor:
    """Return the mean of the predicted distribution in years, float32 [N], from logits [N, K]."""
    probabilities = torch.softmax(logits.float(), dim=1)
    return probabilities @ torch.arange(logits.shape[1], device=logits.device, dtype=torch.float32)


def age_loss(logits: Tensor, ages: Tensor, *, sigma: float, l1_weight: float) -> Tensor:
    """Return the mean loss of a batch, a float32 scalar.

    Args:
        logits: network outputs, [N, K]; any float type, computed on in float32.
        ages: labels in years, [N].
        sigma: standard deviation of the soft label in years.
        l1_weight: weight of the expected age's absolute error, per year.
    """
    target = soft_labels(ages, logits.shape[1], sigma)
    entropy = functional.cross_entropy(logits.float(), target)
    return entropy + l1_weight * (expected_age(logits) - ages.float()).abs().mean()
