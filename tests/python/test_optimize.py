"""Optimizers and schedules that recipes choose."""

import dataclasses

import pytest
import torch

from agepred_train import recipes
from agepred_train.network import make_network
from agepred_train.optimize import configure


def configured(total_steps=100, **changes):
    recipe = dataclasses.replace(recipes.smoke(), learning_rate=0.1, **changes)
    return configure(make_network(recipe), recipe, total_steps)


def rates(schedule, total_steps=100):
    chosen = configured(total_steps, schedule=schedule, warmup_steps=10)
    optimizer, scheduler = chosen["optimizer"], chosen["lr_scheduler"]["scheduler"]
    values = []
    for _ in range(total_steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


def test_cosine_warms_up_and_ends_near_zero():
    values = rates("cosine")
    assert values.index(max(values)) in (9, 10)
    assert max(values) == pytest.approx(0.1)
    assert values[-1] < 1e-3


def test_one_cycle_rises_for_a_third_and_ends_near_zero():
    values = rates("one_cycle")
    assert values[0] == pytest.approx(0.1 / 25)
    assert 28 <= values.index(max(values)) <= 31
    assert max(values) == pytest.approx(0.1, rel=1e-3)
    assert values[-1] < 1e-5


def test_constant_stays():
    assert rates("constant") == pytest.approx([0.1] * 100)


@pytest.mark.parametrize(("select", "better"), [("val_mae", -1.0), ("val_accuracy", 0.01)])
def test_plateau_lowers_the_rate_once_the_figure_stays(select, better):
    chosen = configured(schedule="plateau", select=select)
    scheduler, optimizer = chosen["lr_scheduler"]["scheduler"], chosen["optimizer"]
    for epoch in range(5):
        scheduler.step(0.5 + better * epoch)
    assert optimizer.param_groups[0]["lr"] == 0.1
    for _ in range(3):
        scheduler.step(0.5)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 / 3)


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_optimizer_is_the_named_one_and_decays_matrices_only(name, kind):
    optimizer = configured(optimizer=name, weight_decay=0.3)["optimizer"]
    assert type(optimizer) is kind
    for group in optimizer.param_groups:
        assert {weight.ndim > 1 for weight in group["params"]} == {group["weight_decay"] == 0.3}
