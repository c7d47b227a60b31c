"""What it costs to differ from a teacher: nothing for its equal, and only where the teacher sees something."""

import pytest
import torch

from agepred_train.detector.imitate import answers_loss, imitation_loss
from agepred_train.detector.network import Predictions

ALL = torch.tensor([True])
SCORES = torch.tensor([[4.0, 1.0, -9.0]])
BOXES = torch.tensor([[[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 44.0, 30.0], [5.0, 5.0, 9.0, 9.0]]])


def answers(scores=SCORES, boxes=BOXES):
    return Predictions(scores=scores, boxes=boxes, points=torch.zeros(*scores.shape, 5, 2))


def moved(cell, by):
    boxes = BOXES.clone()
    boxes[0, cell] += by
    return boxes


def test_a_perfect_pupil_loses_nothing_and_a_silent_one_everything():
    wanted = [torch.rand(2, 8, 4, 4), torch.rand(2, 8, 2, 2) * 100]
    assert imitation_loss(wanted, wanted) == 0
    assert imitation_loss([torch.zeros_like(one) for one in wanted], wanted).item() == pytest.approx(1)


def test_the_same_answers_cost_nothing():
    assert answers_loss(answers(), answers(), ALL).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("cell", [0, 1, 2])
@pytest.mark.parametrize("by", [-2.0, -0.1, 0.1, 2.0])
def test_any_other_score_costs_something_and_is_drawn_to_the_teachers(cell, by):
    scores = SCORES.clone()
    scores[0, cell] += by
    scores.requires_grad_()
    loss = answers_loss(answers(scores), answers(), ALL)
    assert loss > 0
    loss.backward()
    assert torch.sign(scores.grad[0, cell]) == torch.sign(torch.tensor(by))


def test_boxes_cost_as_much_as_the_teacher_is_sure():
    sure, less, not_at_all = (answers_loss(answers(boxes=moved(cell, 3.0)), answers(), ALL).item() for cell in range(3))
    assert not_at_all == pytest.approx(0, abs=1e-6)
    # One minus the DIoU of a square of 10 moved by 3 each way: 49 of 151 are common; its centers are 18 of 338 apart.
    likely = SCORES[0, :2].sigmoid()
    assert sure == pytest.approx(((1 - 49 / 151 + 18 / 338) * likely[0] / likely.sum()).item(), rel=1e-3)
    assert 0 < less < sure


def test_a_picture_without_faces_teaches_silence():
    silent = torch.full_like(SCORES, -12.0)
    assert answers_loss(answers(silent), answers(silent), ALL).item() == pytest.approx(0, abs=1e-4)
    assert answers_loss(answers(), answers(silent), ALL) > 1


def test_in_an_empty_picture_the_teacher_is_not_heard():
    scores = torch.cat([SCORES, SCORES]).requires_grad_()
    pupil = Predictions(scores=scores, boxes=BOXES.expand(2, -1, -1), points=torch.zeros(2, 3, 5, 2))
    teacher = Predictions(scores=-scores.detach(), boxes=pupil.boxes, points=pupil.points)
    loss = answers_loss(pupil, teacher, torch.tensor([False, True]))
    loss.backward()
    assert torch.equal(scores.grad[0], torch.zeros(3))
    assert (scores.grad[1] != 0).all()
    alone = answers_loss(answers(), answers(-SCORES), ALL)
    assert loss.item() == pytest.approx(alone.item(), rel=1e-5)
