"""Which stages learn when, and that the others do not move at all."""

import dataclasses

import pytest
import torch

from agepred_train import recipes
from agepred_train.freezing import freeze, open_stages
from agepred_train.network import make_network, stages


def opened(frozen, unfreezing, count=19, epochs=8):
    recipe = dataclasses.replace(recipes.first_light(), frozen_epochs=frozen, unfreeze_epochs=unfreezing)
    return [open_stages(recipe, count, epoch) for epoch in range(epochs)]


def test_all_learn_where_nothing_is_frozen():
    assert opened(0, 0) == [19] * 8


def test_backbone_joins_at_once_or_step_by_step():
    assert opened(3, 0) == [0, 0, 0, 19, 19, 19, 19, 19]
    assert opened(2, 4) == [0, 0, 5, 10, 15, 19, 19, 19]
    assert opened(0, 4, count=2) == [1, 1, 2, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "efficientnet_lite0"])
def test_frozen_stages_keep_weights_and_statistics(backbone):
    recipe = dataclasses.replace(recipes.smoke(), backbone=backbone)
    network = make_network(recipe).train()
    parts = stages(network)
    # Every weight of the backbone belongs to exactly one stage.
    ids = [id(weight) for part in parts for weight in part.parameters()]
    assert sorted(ids) == sorted(id(weight) for weight in network.features.parameters())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    freeze(parts, 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, weight_decay=0.1)
    network(torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)).square().sum().backward()
    optimizer.step()
    after = network.state_dict()
    learning = {id(value) for part in parts[-2:] for value in part.state_dict(keep_vars=True).values()}
    for name, value in network.state_dict(keep_vars=True).items():
        moves = id(value) in learning or name.startswith("classifier.")
        assert torch.equal(before[name], after[name]) != moves, name
    freeze(parts, len(parts))
    assert all(module.training for module in network.modules())
    assert all(weight.requires_grad for weight in network.parameters())
