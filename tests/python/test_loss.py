"""The training loss against its definition in NumPy."""

import numpy as np
import pytest
import torch

from agepred_train.loss import age_loss, expected_age, soft_labels

CLASSES = 117


def reference(logits, ages, sigma, weight):
    """The formula in the module's docstring, sample by sample in float64."""
    classes = np.arange(logits.shape[1])
    losses = []
    for scores, age in zip(logits.astype(np.float64), ages, strict=True):
        label = np.exp(-((classes - age) ** 2) / (2 * sigma**2))
        label /= label.sum()
        predicted = np.exp(scores) / np.exp(scores).sum()
        entropy = -(label * np.log(predicted)).sum()
        losses.append(entropy + weight * abs((predicted * classes).sum() - age))
    return np.mean(losses)


@pytest.mark.parametrize("sigma", [0.7, 2.0, 6.0])
@pytest.mark.parametrize("weight", [0.0, 0.2])
def test_loss_is_its_definition(sigma, weight):
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 3, (16, CLASSES)).astype(np.float32)
    ages = rng.integers(0, CLASSES, 16)
    loss = age_loss(torch.from_numpy(logits), torch.from_numpy(ages), sigma=sigma, l1_weight=weight)
    assert loss.item() == pytest.approx(reference(logits, ages, sigma, weight), rel=1e-5)


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
    age_loss(logits, torch.tensor([100, 0]), sigma=2.0, l1_weight=0.2).backward()
    assert torch.isfinite(logits.grad).all()


def test_better_answer_costs_less():
    ages = torch.tensor([40])
    costs = [
        age_loss(10 * soft_labels(torch.tensor([guess]), CLASSES, 3.0), ages, sigma=2.0, l1_weight=0.2)
        for guess in (40, 45, 60, 100)
    ]
    assert costs == sorted(costs)
