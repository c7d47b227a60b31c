"""Mixed crops: what is laid over what, and that labels and teachers' crops are mixed alike."""

import dataclasses

import pytest
import torch

from agepred_train import recipes
from agepred_train.labels import Batch, Labels
from agepred_train.mixing import mixed
from agepred_train.task import AgeTask

COUNT = 64


def batch_of(count: int = COUNT, *, taught: bool = True) -> Batch:
    """Return crops of one gray each, from which can be told what was mixed; label n belongs to crop n."""
    grays = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1) * 2
    labels = Labels(torch.arange(count), torch.arange(count) + 3, torch.linspace(0.5, 1, count))
    crops = grays.expand(-1, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    return Batch(crops, labels, grays.expand(-1, 3, 48, 48).contiguous() if taught else None)


def test_a_crop_is_the_blend_that_its_shares_say():
    torch.manual_seed(3)
    batch = batch_of()
    mixture = mixed(batch, 0.5)
    other = mixture.others.age_min
    assert sorted(other.tolist()) == list(range(COUNT))
    expected = mixture.own * batch.labels.age_min * 2 + (1 - mixture.own) * other * 2
    for crops in (mixture.batch.crops, mixture.batch.teacher_crops):
        assert crops.dtype == torch.uint8
        assert torch.equal(crops.amin((1, 2, 3)), crops.amax((1, 2, 3)))
        assert (crops[:, 0, 0, 0] - expected).abs().max() <= 0.501
    assert torch.equal(mixture.others.age_max, other + 3)
    torch.testing.assert_close(mixture.others.weight, batch.labels.weight[other])
    assert all(torch.equal(a, b) for a, b in zip(mixture.batch.labels, batch.labels, strict=True))
    assert mixture.batch.crops.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch.crops, batch_of().crops)  # what was given is left as it was


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_about_that_share_is_mixed_by_up_to_half(share):
    torch.manual_seed(1)
    own = torch.cat([mixed(batch_of(taught=False), share).own for _ in range(40)])
    assert own.min() >= 0.5
    assert own.max() <= 1
    assert (own < 1).float().mean().item() == pytest.approx(share, abs=0.03)
    if share:
        assert own[own < 1].mean().item() == pytest.approx(0.75, abs=0.02)


HEADS = {"distribution": "soft_label", "regression": "mse", "groups": "cross_entropy"}


def task_of(head: str = "distribution", **changes) -> AgeTask:
    recipe = dataclasses.replace(recipes.smoke(), head=head, loss=HEADS[head], dropout=0.0, mix_share=1.0, **changes)
    task = AgeTask(recipe, 10, start={})
    task.log = lambda *_, **__: None
    task.network.eval()
    return task


def same_twice(draw):
    torch.manual_seed(7)
    return draw()


@pytest.mark.parametrize("head", HEADS)
def test_the_loss_of_a_mixture_counts_both_labels_by_their_shares(head):
    task = task_of(head)
    batch = batch_of(8, taught=False)
    mixture = same_twice(lambda: mixed(batch, 1.0))
    loss = same_twice(lambda: task.training_step(batch, 0))
    outputs = task.network(mixture.batch.crops)
    costs = [labels.weight * task._head.loss(outputs, labels) for labels in (batch.labels, mixture.others)]
    torch.testing.assert_close(loss, (mixture.own * costs[0] + (1 - mixture.own) * costs[1]).mean())


def test_teachers_are_asked_about_the_mixture():
    class Teachers:
        seen = None

        def distribution(self, crops, temperature):
            self.seen = crops
            return torch.full((len(crops), 117), 1 / 117)

    task = task_of()
    task._teachers = Teachers()
    batch = batch_of(8)
    mixture = same_twice(lambda: mixed(batch, 1.0))
    same_twice(lambda: task.training_step(batch, 0))
    assert torch.equal(task._teachers.seen, mixture.batch.teacher_crops)
    assert not torch.equal(task._teachers.seen, batch.teacher_crops)
