"""The training losses against their definitions in NumPy."""

import numpy as np
import pytest
import torch

from agepred_train.labels import Labels, labels_of_ages
from agepred_train.loss import (
    age_loss,
    distillation_loss,
    expected_age,
    group_loss,
    mean_variance_loss,
    range_loss,
    soft_labels,
    squared_loss,
)

CLASSES = 117


def reference(logits, ages, sigma, weight):
    """The soft-label formula in the module's docstring, sample by sample in float64."""
    classes = np.arange(logits.shape[1])
    losses = []
    for scores, age in zip(logits.astype(np.float64), ages, strict=True):
        label = np.exp(-((classes - age) ** 2) / (2 * sigma**2))
        label /= label.sum()
        predicted = np.exp(scores) / np.exp(scores).sum()
        entropy = -(label * np.log(predicted)).sum()
        losses.append(entropy + weight * abs((predicted * classes).sum() - age))
    return losses


def softmax(scores):
    powers = np.exp(scores.astype(np.float64) - scores.max())
    return powers / powers.sum()


@pytest.fixture
def logits():
    return np.random.default_rng(3).normal(0, 3, (16, CLASSES)).astype(np.float32)


@pytest.fixture
def ranges():
    """Sixteen labels: half of them ranges, the last one of the oldest, 70 and over."""
    rng = np.random.default_rng(4)
    low = rng.integers(0, 90, 16)
    high = low + np.where(np.arange(16) % 2, rng.integers(1, 20, 16), 0)
    low[-1], high[-1] = 70, 116
    return Labels(torch.from_numpy(low), torch.from_numpy(high), torch.ones(16))


def each(labels):
    return zip(labels.age_min.tolist(), labels.age_max.tolist(), strict=True)


@pytest.mark.parametrize("sigma", [0.7, 2.0, 6.0])
@pytest.mark.parametrize("weight", [0.0, 0.2])
def test_loss_is_its_definition(sigma, weight, logits):
    ages = np.random.default_rng(3).integers(0, CLASSES, 16)
    labels = labels_of_ages(torch.from_numpy(ages))
    loss = age_loss(torch.from_numpy(logits), labels, sigma=sigma, l1_weight=weight)
    np.testing.assert_allclose(loss.numpy(), reference(logits, ages, sigma, weight), rtol=1e-5)


def test_range_costs_the_mass_inside_and_what_the_mean_lies_outside(logits, ranges):
    losses = age_loss(torch.from_numpy(logits), ranges, sigma=2.0, l1_weight=0.2).numpy()
    masses = range_loss(torch.from_numpy(logits), ranges).numpy()
    for row, (low, high) in enumerate(each(ranges)):
        p = softmax(logits[row])
        mean = (p * np.arange(CLASSES)).sum()
        mass = -np.log(p[low : high + 1].sum())
        assert masses[row] == pytest.approx(mass, rel=1e-4)
        if low == high:
            assert losses[row] == pytest.approx(reference(logits[[row]], [low], 2.0, 0.2)[0], rel=1e-4)
        else:
            assert losses[row] == pytest.approx(mass + 0.2 * max(low - mean, 0, mean - high), rel=1e-4)


def test_mean_variance_loss_is_its_definition(logits, ranges):
    losses = mean_variance_loss(torch.from_numpy(logits), ranges, mean_weight=0.2, variance_weight=0.05).numpy()
    ages = np.arange(CLASSES)
    for row, (low, high) in enumerate(each(ranges)):
        p = softmax(logits[row])
        mean = (p * ages).sum()
        variance = (p * (ages - mean) ** 2).sum()
        beyond = max(low - mean, 0, mean - high)
        excess = max(variance - np.arange(low, high + 1).var(), 0)
        expected = -np.log(p[low : high + 1].sum()) + 0.1 * beyond**2 + 0.05 * excess
        assert losses[row] == pytest.approx(expected, rel=1e-4)


def test_squared_loss_is_what_lies_outside():
    labels = Labels(torch.tensor([20, 30, 70, 40]), torch.tensor([29, 30, 116, 49]), torch.ones(4))
    losses = squared_loss(torch.tensor([22.5, 33.0, 66.0, 51.0]), labels)
    assert losses.tolist() == [0.0, 9.0, 16.0, 4.0]


def test_group_loss_allows_every_group_that_the_label_touches():
    scores = np.random.default_rng(6).normal(0, 2, (3, 4)).astype(np.float32)
    labels = Labels(torch.tensor([25, 20, 26]), torch.tensor([25, 29, 76]), torch.ones(3))
    expected = [
        -np.log(softmax(row)[list(groups)].sum()) for row, groups in zip(scores, [(0,), (0, 1), (1, 2, 3)], strict=True)
    ]
    np.testing.assert_allclose(group_loss(torch.from_numpy(scores), labels).numpy(), expected, rtol=1e-5)


def test_distillation_is_the_divergence_from_the_teacher(logits):
    student, other, temperature = logits, logits[::-1], 3.0
    teacher = np.stack([softmax(row / temperature) for row in other])
    losses = distillation_loss(torch.from_numpy(student), torch.from_numpy(teacher.astype(np.float32)), temperature)
    for row, loss in enumerate(losses.tolist()):
        p = softmax(student[row] / temperature)
        assert loss == pytest.approx(9.0 * (teacher[row] * np.log(teacher[row] / p)).sum(), rel=1e-4)
    same = torch.softmax(torch.from_numpy(student) / temperature, dim=1)
    assert distillation_loss(torch.from_numpy(student), same, temperature).abs().max() < 1e-5


LOSSES = {
    "soft_label": lambda logits, labels: age_loss(logits, labels, sigma=2.0, l1_weight=0.2),
    "mean_variance": lambda logits, labels: mean_variance_loss(logits, labels, mean_weight=0.2, variance_weight=0.05),
    "range": range_loss,
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_differences(name, ranges):
    """Of a few classes, in float32: by steps large enough for its rounding."""
    few = Labels(ranges.age_min % 10, ranges.age_min % 10 + torch.arange(16) % 3, ranges.weight)
    logits = torch.from_numpy(np.random.default_rng(8).normal(0, 1, (16, 13)).astype(np.float32)).requires_grad_()
    LOSSES[name](logits, few).sum().backward()
    step = 1e-2
    for column in range(13):
        moved = torch.zeros_like(logits)
        moved[:, column] = step
        with torch.no_grad():
            slope = (LOSSES[name](logits + moved, few) - LOSSES[name](logits - moved, few)) / (2 * step)
        np.testing.assert_allclose(logits.grad[:, column].numpy(), slope.numpy(), atol=4e-2)


@pytest.mark.parametrize("name", LOSSES)
def test_certainty_that_is_wrong_gives_finite_gradients(name, ranges):
    logits = torch.full((16, CLASSES), -300.0)
    logits[:, 60] = 300.0
    logits.requires_grad_()
    LOSSES[name](logits, ranges).sum().backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("age", [0, 1, 40, 116])
def test_soft_labels_are_distributions_with_the_label_on_top(age):
    labels = soft_labels(torch.tensor([age]), CLASSES, 2.0)[0]
    assert labels.sum().item() == pytest.approx(1.0, abs=1e-6)
    assert labels.argmax().item() == age


def test_soft_labels_spread_as_far_as_sigma_says():
    labels = soft_labels(torch.tensor([50]), CLASSES, 3.0)[0].double().numpy()
    distance = np.arange(CLASSES) - 50
    assert np.sqrt((labels * distance**2).sum()) == pytest.approx(3.0, rel=1e-3)


def test_expected_age_of_a_certain_answer():
    logits = torch.full((3, CLASSES), -1e4)
    logits[torch.arange(3), torch.tensor([0, 33, 116])] = 1e4
    torch.testing.assert_close(expected_age(logits), torch.tensor([0.0, 33.0, 116.0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_huge_logits_give_finite_gradients(dtype):
    logits = torch.zeros(2, CLASSES, dtype=dtype)
    logits[0, 3], logits[1, 90] = 300.0, -300.0
    logits.requires_grad_()
    age_loss(logits, labels_of_ages(torch.tensor([100, 0])), sigma=2.0, l1_weight=0.2).mean().backward()
    assert torch.isfinite(logits.grad).all()


def test_better_answer_costs_less():
    label = labels_of_ages(torch.tensor([40]))
    costs = [
        age_loss(10 * soft_labels(torch.tensor([guess]), CLASSES, 3.0), label, sigma=2.0, l1_weight=0.2)
        for guess in (40, 45, 60, 100)
    ]
    assert costs == sorted(costs)
