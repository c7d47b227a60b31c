"""What a network's outputs mean: a distribution over ages, one age, or a distribution over four groups."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from agepred_train.data import AGES
from agepred_train.labels import GROUPS, Labels, allowed_groups, group_of
from agepred_train.loss import age_loss, expected_age, group_loss, mean_variance_loss, range_loss, squared_loss
from agepred_train.recipes import Recipe


class Head(ABC):
    """Reads outputs [N, `outputs`]; made by `head_of`."""

    outputs: int
    """How many numbers the network gives for a crop."""
    gives_distribution: bool
    """Whether they are logits."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    @abstractmethod
    def age(self, outputs: Tensor) -> Tensor:
        """Return ages in years, float32 [N]."""

    @abstractmethod
    def group(self, outputs: Tensor) -> Tensor:
        """Return the index of the most probable group, int64 [N]."""

    @abstractmethod
    def loss(self, outputs: Tensor, labels: Labels) -> Tensor:
        """Return the recipe's loss, float32 [N]; the labels' weights are not in it."""

    def group_hits(self, outputs: Tensor, labels: Labels) -> Tensor:
        """Return where the group is one that the label allows, bool [N]."""
        return allowed_groups(labels).gather(1, self.group(outputs)[:, None])[:, 0]


class DistributionHead(Head):
    """A logit per age from 0 on."""

    outputs = len(AGES)
    gives_distribution = True

    def age(self, outputs: Tensor) -> Tensor:
        """Return the means."""
        return expected_age(outputs)

    def group(self, outputs: Tensor) -> Tensor:
        """Return the group with the largest summed probability."""
        group = group_of(torch.arange(outputs.shape[1], device=outputs.device))
        sums = torch.zeros(len(outputs), len(GROUPS), device=outputs.device)
        return sums.index_add_(1, group, torch.softmax(outputs.float(), dim=1)).argmax(dim=1)

    def loss(self, outputs: Tensor, labels: Labels) -> Tensor:
        """Return the soft-label loss, the mean-variance loss, or plain cross-entropy."""
        recipe = self._recipe
        if recipe.loss == "soft_label":
            return age_loss(outputs, labels, sigma=recipe.label_sigma, l1_weight=recipe.l1_weight)
        if recipe.loss == "mean_variance":
            weights = {"mean_weight": recipe.mean_weight, "variance_weight": recipe.variance_weight}
            return mean_variance_loss(outputs, labels, **weights)
        return range_loss(outputs, labels)


class RegressionHead(Head):
    """One neuron: the age in years."""

    outputs = 1
    gives_distribution = False

    def age(self, outputs: Tensor) -> Tensor:
        """Return the outputs themselves."""
        return outputs[:, 0].float()

    def group(self, outputs: Tensor) -> Tensor:
        """Return the group of the age."""
        return group_of(self.age(outputs))

    def loss(self, outputs: Tensor, labels: Labels) -> Tensor:
        """Return the squared error."""
        return squared_loss(self.age(outputs), labels)


class GroupHead(Head):
    """A logit per group."""

    outputs = len(GROUPS)
    gives_distribution = True

    def age(self, outputs: Tensor) -> Tensor:
        """Return the mean of the groups' middles, all that four groups say about an age."""
        middles = torch.tensor([(low + high) / 2 for low, high in GROUPS], device=outputs.device)
        return (torch.softmax(outputs.float(), dim=1) * middles).sum(dim=1)

    def group(self, outputs: Tensor) -> Tensor:
        """Return the largest."""
        return outputs.argmax(dim=1)

    def loss(self, outputs: Tensor, labels: Labels) -> Tensor:
        """Return the cross-entropy."""
        return group_loss(outputs, labels)


_HEADS: dict[str, type[Head]] = {
    "distribution": DistributionHead,
    "regression": RegressionHead,
    "groups": GroupHead,
}


def head_of(recipe: Recipe) -> Head:
    """Return the head that a recipe names."""
    return _HEADS[recipe.head](recipe)
