"""The training losses, each per sample: the caller weights and averages them.

For logits z over the ages a_0, a_1, ..., p = softmax(z), its mean m and its variance v, and a label y:
    soft label:     q_k proportional to exp(-(a_k - y)^2 / (2 sigma^2)), summing to 1
                    loss = -sum_k q_k log p_k + weight * |m - y|
    mean-variance:  loss = -log p_y + mean_weight * (m - y)^2 / 2 + variance_weight * v
                    (Pan et al. 2018, "Mean-Variance Loss for Deep Age Estimation from a Face")
A label that is a range of ages costs minus the logarithm of the probability inside it, its mean what it lies
outside, and its variance what it has beyond that of evenly spread ages of the range.
"""

import torch
from torch import Tensor
from torch.nn import functional

from agepred_train.labels import Labels, allowed_groups, outside


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


def age_loss(logits: Tensor, labels: Labels, *, sigma: float, l1_weight: float) -> Tensor:
    """Return the soft-label loss with its expectation term, float32 [N].

    Args:
        logits: network outputs, [N, K]; any float type, computed on in float32.
        labels: ages or ranges.
        sigma: standard deviation of the soft label in years.
        l1_weight: weight of the expected age's absolute error, per year.
    """
    target = soft_labels(labels.age_min, logits.shape[1], sigma)
    entropy = functional.cross_entropy(logits.float(), target, reduction="none")
    fit = torch.where(_exact(labels), entropy, _outside_cost(logits, _ages_inside(labels, logits.shape[1])))
    return fit + l1_weight * outside(expected_age(logits), labels).abs()


def mean_variance_loss(logits: Tensor, labels: Labels, *, mean_weight: float, variance_weight: float) -> Tensor:
    """Return the mean-variance loss of logits [N, K], float32 [N]; weights are per squared year."""
    ages = torch.arange(logits.shape[1], device=logits.device, dtype=torch.float32)
    probabilities = torch.softmax(logits.float(), dim=1)
    # Not a matrix product: mixed precision would round the mean to a quarter of a year.
    mean = (probabilities * ages).sum(dim=1)
    variance = (probabilities * (ages - mean[:, None]).square()).sum(dim=1)
    width = (labels.age_max - labels.age_min + 1).float()
    excess = functional.relu(variance - (width.square() - 1) / 12)
    return range_loss(logits, labels) + 0.5 * mean_weight * outside(mean, labels).square() + variance_weight * excess


def range_loss(logits: Tensor, labels: Labels) -> Tensor:
    """Return minus the logarithm of the probability inside each label, of logits over ages [N, K], float32 [N].

    For a label that is one age it is the cross-entropy.
    """
    return _outside_cost(logits, _ages_inside(labels, logits.shape[1]))


def group_loss(logits: Tensor, labels: Labels) -> Tensor:
    """Return minus the logarithm of the probability of the groups that a label allows, of logits [N, groups]."""
    return _outside_cost(logits, allowed_groups(labels))


def squared_loss(ages: Tensor, labels: Labels) -> Tensor:
    """Return the square of what predicted ages [N] lie outside their labels, in squared years, [N]."""
    return outside(ages, labels).square()


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return temperature^2 times KL(teacher || student) at that temperature, float32 [N].

    Hinton et al. 2015, "Distilling the Knowledge in a Neural Network": the square keeps the gradients' size.

    Args:
        logits: of the student, [N, K].
        teacher: distribution at that temperature, [N, K].
        temperature: above 0.
    """
    student = torch.log_softmax(logits.float() / temperature, dim=1)
    return temperature**2 * functional.kl_div(student, teacher, reduction="none").sum(dim=1)


def _exact(labels: Labels) -> Tensor:
    return labels.age_min == labels.age_max


def _ages_inside(labels: Labels, count: int) -> Tensor:
    ages = torch.arange(count, device=labels.age_min.device)
    return (ages >= labels.age_min[:, None]) & (ages <= labels.age_max[:, None])


def _outside_cost(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return -log of the probability of the allowed classes, stable where that is next to none."""
    logits = logits.float()
    inside = logits.masked_fill(~allowed, -torch.inf).logsumexp(dim=1)
    return logits.logsumexp(dim=1) - inside
