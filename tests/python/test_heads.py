"""The three heads: one interface, and each agrees with what it says about itself."""

import dataclasses

import pytest
import torch

from agepred_train import recipes
from agepred_train.heads import head_of
from agepred_train.labels import GROUPS, Labels, group_of, labels_of_ages

LOSSES = {
    "distribution": ("soft_label", "mean_variance", "cross_entropy"),
    "regression": ("mse",),
    "groups": ("cross_entropy",),
}
CASES = [(head, loss) for head, losses in LOSSES.items() for loss in losses]


def make(head, loss):
    return head_of(dataclasses.replace(recipes.smoke(), head=head, loss=loss))


@pytest.mark.parametrize(("name", "loss"), CASES)
def test_gradient_descent_on_the_outputs_finds_the_label(name, loss):
    head = make(name, loss)
    labels = labels_of_ages(torch.tensor([3, 40, 70, 100]))
    outputs = torch.zeros(4, head.outputs, requires_grad=True)
    optimizer = torch.optim.Adam([outputs], lr=1.0)
    for _ in range(400):
        optimizer.zero_grad()
        head.loss(outputs, labels).sum().backward()
        optimizer.step()
    assert head.loss(outputs, labels).shape == (4,)
    assert head.group(outputs).tolist() == [0, 1, 2, 3]
    assert head.group_hits(outputs, labels).all()
    if name != "groups":
        assert (head.age(outputs) - labels.age_min).abs().max() < 1.0
    else:
        assert group_of(head.age(outputs)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("name", "loss"), CASES)
def test_a_range_is_content_with_any_age_inside(name, loss):
    head = make(name, loss)
    wide = Labels(torch.tensor([26]), torch.tensor([50]), torch.ones(1))
    answers = torch.full((3, head.outputs), -20.0)
    for row, age in enumerate((30, 45, 90)):
        answers[row, {"distribution": age, "regression": 0, "groups": 1 if age < 51 else 3}[name]] = (
            float(age) if name == "regression" else 20.0
        )
    costs = [head.loss(answers[[row]], wide).item() for row in range(3)]
    assert costs[0] == pytest.approx(0, abs=1e-4)
    assert costs[1] == pytest.approx(0, abs=1e-4)
    assert costs[2] > 10


def test_groups_of_ages_are_those_of_the_list():
    ages = torch.tensor([0.0, 25.0, 25.9, 26.0, 50.0, 51.0, 75.5, 76.0, 116.0, -2.0])
    assert group_of(ages).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 0]
    for index, (low, high) in enumerate(GROUPS):
        assert group_of(torch.arange(low, high + 1)).tolist() == [index] * (high - low + 1)


def test_group_of_a_distribution_has_the_largest_sum():
    """Many small shares of one group outweigh the largest single age of another."""
    head = make("distribution", "soft_label")
    logits = torch.full((1, head.outputs), -50.0)
    logits[0, 26:51] = 0.0
    logits[0, 80] = 2.0
    assert head.group(logits).item() == 1
    assert not head.group_hits(logits, labels_of_ages(torch.tensor([80]))).item()
