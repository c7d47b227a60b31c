"""Which cells answer for which faces, and the loss of their answers."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from agepred_train.detector.assign import LossWeights, Targets, _overlaps, assign, detection_loss
from agepred_train.detector.network import Cells, FaceNetwork, Predictions, Widths

SIDE = 128
CELLS = Cells.of(SIDE, SIDE)
COUNT = len(CELLS.strides)
WEIGHTS = LossWeights(score=1.0, box=2.0, points=4.0)


def targets(*pictures, ignored=(), spare=0):
    """Boxes of each picture; `ignored` names (picture, face); `spare` rows of padding hold nonsense."""
    rows = max(1, *(len(boxes) for boxes in pictures)) + spare
    boxes = torch.full((len(pictures), rows, 4), 77.0)
    doubt, present = (
        torch.ones(len(pictures), rows, dtype=torch.bool),
        torch.zeros(len(pictures), rows, dtype=torch.bool),
    )
    for number, faces in enumerate(pictures):
        for row, box in enumerate(faces):
            boxes[number, row] = torch.tensor(box)
            doubt[number, row], present[number, row] = (number, row) in ignored, True
    low, size = boxes[..., None, :2], (boxes[..., 2:] - boxes[..., :2])[..., None, :]
    shape = torch.tensor([[0.3, 0.35], [0.7, 0.35], [0.52, 0.55], [0.36, 0.75], [0.66, 0.75]])
    return Targets(boxes=boxes, points=low + size * shape, ignored=doubt, present=present)


def guesses(count, seed=0, *, size=16.0):
    """What an untrained network might say."""
    rng = torch.Generator().manual_seed(seed)
    center = CELLS.corners + torch.rand(count, COUNT, 2, generator=rng) * CELLS.strides[:, None]
    half = size * torch.rand(count, COUNT, 2, generator=rng).exp() / 2
    return Predictions(
        scores=torch.randn(count, COUNT, generator=rng) - 3,
        boxes=torch.cat([center - half, center + half], dim=-1),
        points=center[:, :, None] + torch.randn(count, COUNT, 5, 2, generator=rng),
    )


def apart(rng, count=4):
    """Faces of 6 to 100 pixels, no two of which lie near each other."""
    faces = []
    while len(faces) < count:
        size = math.exp(rng.uniform(math.log(6), math.log(40 if faces else 100)))
        low = rng.uniform(0, SIDE - size, 2)
        center = low + size / 2
        near = [np.abs(center - np.mean([face[:2], face[2:]], axis=0)).max() < 64 for face in faces]
        if any(near):
            count -= 1
            continue
        faces.append([*low, *(low + size * np.array([1, rng.uniform(0.8, 1.25)])).clip(max=SIDE)])
    return faces


@pytest.mark.parametrize("seed", range(20))
def test_every_face_that_stands_alone_gets_a_cell(seed):
    rng = np.random.default_rng(seed)
    pictures = [apart(rng), apart(rng), []]
    wanted = targets(*pictures)
    assignment = assign(guesses(3, seed), wanted, CELLS)
    for number, faces in enumerate(pictures):
        chosen = assignment.face[number][assignment.positive[number]]
        assert set(chosen.tolist()) == set(range(len(faces)))
    assert not assignment.positive[2].any()
    assert assignment.counted.all()


def test_cells_of_a_face_lie_at_its_center_and_on_strides_that_see_it():
    for size in (8.0, 20.0, 60.0, 120.0):
        low = (SIDE - size) / 2 + 1.7
        assignment = assign(guesses(1, size=size), targets([[low, low, low + size, low + size]]), CELLS)
        centers = CELLS.corners + CELLS.strides[:, None] / 2
        distance = (centers - (low + size / 2)).abs().amax(dim=1) / CELLS.strides
        positive = assignment.positive[0]
        assert 1 <= positive.sum() <= 10
        assert distance[positive].max() < 1.6
        strides = set(CELLS.strides[positive].tolist())
        assert strides <= {8.0: {8.0}, 20.0: {8.0}, 60.0: {8.0, 16.0, 32.0}, 120.0: {16.0, 32.0}}[size]


def test_a_cell_answers_for_one_face_and_says_its_overlap():
    pictures = [[[20.0, 20.0, 60.0, 60.0], [26.0, 22.0, 66.0, 64.0], [24.0, 30.0, 58.0, 70.0]]]
    predictions, wanted = guesses(1, size=40.0), targets(*pictures)
    assignment = assign(predictions, wanted, CELLS)
    assert assignment.positive.sum() >= 2
    for cell in assignment.positive[0].nonzero()[:, 0].tolist():
        box = wanted.boxes[0, assignment.face[0, cell]]
        assert assignment.overlap[0, cell].item() == pytest.approx(reference(box, predictions.boxes[0, cell]), abs=1e-5)
    assert (assignment.overlap[~assignment.positive] == 0).all()


def reference(one, other):
    """Intersection over union, coordinate by coordinate."""
    (a, b, c, d), (e, f, g, h) = one.tolist(), other.tolist()
    common = max(0.0, min(c, g) - max(a, e)) * max(0.0, min(d, h) - max(b, f))
    union = (c - a) * (d - b) + (g - e) * (h - f) - common
    return common / union if union > 0 else 0.0


def test_overlaps_are_those_of_a_plain_computation():
    rng = np.random.default_rng(3)
    low = rng.uniform(0, 50, (2, 9, 2))
    boxes = torch.tensor(np.concatenate([low, low + rng.uniform(0, 40, (2, 9, 2))], axis=2), dtype=torch.float32)
    found = _overlaps(boxes[:, :4], boxes[:, 2:])
    assert found.shape == (2, 4, 7)
    for picture in range(2):
        for face in range(4):
            for cell in range(7):
                expected = reference(boxes[picture, face], boxes[picture, cell + 2])
                assert found[picture, face, cell].item() == pytest.approx(expected, abs=1e-5)


def test_ignored_places_are_neither_asked_for_nor_punished():
    pictures = [[[8.0, 8.0, 40.0, 40.0], [70.0, 70.0, 110.0, 110.0]]]
    wanted = targets(*pictures, ignored={(0, 1)})
    predictions = guesses(1)
    assignment = assign(predictions, wanted, CELLS)
    centers = CELLS.corners + CELLS.strides[:, None] / 2
    inside = ((centers >= 70) & (centers <= 110)).all(dim=1)
    assert set(assignment.face[0][assignment.positive[0]].tolist()) == {0}
    assert not assignment.counted[0][inside].any()
    assert assignment.counted[0][~inside].all()
    louder = predictions.scores.clone()
    louder[0, inside] += 9
    loud = Predictions(scores=louder, boxes=predictions.boxes, points=predictions.points)
    for part, value in detection_loss(loud, wanted, assignment, WEIGHTS).items():
        assert value == detection_loss(predictions, wanted, assignment, WEIGHTS)[part]


def test_a_face_on_an_ignored_place_is_judged():
    wanted = targets([[30.0, 30.0, 60.0, 60.0], [0.0, 0.0, 128.0, 128.0]], ignored={(0, 1)})
    assignment = assign(guesses(1), wanted, CELLS)
    assert assignment.positive.any()
    assert torch.equal(assignment.counted, assignment.positive)


def test_padding_has_no_influence():
    pictures = [apart(np.random.default_rng(1)), [], apart(np.random.default_rng(2))]
    predictions = guesses(3)
    plain, padded = targets(*pictures), targets(*pictures, spare=5)
    one, other = assign(predictions, plain, CELLS), assign(predictions, padded, CELLS)
    for field in ("face", "overlap", "positive", "counted"):
        assert torch.equal(getattr(one, field), getattr(other, field))
    losses = [
        detection_loss(predictions, wanted, assign(predictions, wanted, CELLS), WEIGHTS) for wanted in (plain, padded)
    ]
    assert losses[0] == losses[1]


def perfect(wanted):
    """Predictions whose every cell says the nearest face exactly, and is sure where it is asked."""
    centers = (wanted.boxes[..., :2] + wanted.boxes[..., 2:]) / 2
    places = CELLS.corners + CELLS.strides[:, None] / 2
    nearest = (places[None, :, None] - centers[:, None]).norm(dim=-1).argmin(dim=2)
    rows = torch.arange(len(nearest))[:, None]
    draft = Predictions(
        scores=torch.zeros(nearest.shape), boxes=wanted.boxes[rows, nearest], points=wanted.points[rows, nearest]
    )
    positive = assign(draft, wanted, CELLS).positive
    return Predictions(scores=torch.where(positive, 20.0, -20.0), boxes=draft.boxes, points=draft.points)


def test_perfect_answers_cost_nothing():
    wanted = targets([[8.0, 8.0, 30.0, 30.0], [64.0, 64.0, 110.0, 118.0]])
    predictions = perfect(wanted)
    parts = detection_loss(predictions, wanted, assign(predictions, wanted, CELLS), WEIGHTS)
    assert set(parts) == {"score", "box", "points"}
    assert all(0 <= value.item() < 1e-5 for value in parts.values())


def test_each_fault_costs_its_own_part():
    wanted = targets([[8.0, 8.0, 30.0, 30.0], [64.0, 64.0, 110.0, 118.0]])
    right = perfect(wanted)
    assignment = assign(right, wanted, CELLS)
    faults = {
        "score": Predictions(scores=-right.scores, boxes=right.boxes, points=right.points),
        "box": Predictions(scores=right.scores, boxes=right.boxes + 3, points=right.points),
        "points": Predictions(scores=right.scores, boxes=right.boxes, points=right.points + 3),
    }
    for part, predictions in faults.items():
        costs = {name: value.item() > 1e-3 for name, value in
                 detection_loss(predictions, wanted, assignment, WEIGHTS).items()}  # fmt: skip
        assert costs == {"score": part == "score", "box": part == "box", "points": part == "points"}
    heavy = detection_loss(faults["points"], wanted, assignment, dataclasses.replace(WEIGHTS, points=8.0))["points"]
    plain = detection_loss(faults["points"], wanted, assignment, dataclasses.replace(WEIGHTS, points=4.0))["points"]
    assert heavy.item() == pytest.approx(2 * plain.item())


def test_small_faces_count_by_more_than_their_cells():
    """A cell counts by the inverse root of its face's cells; together all count as if each counted by one."""
    boxes = [[8.0, 8.0, 22.0, 22.0], [50.0, 50.0, 120.0, 120.0]]
    wanted = targets(boxes)
    right = perfect(wanted)
    assignment = assign(right, wanted, CELLS)
    cells = [int((assignment.positive[0] & (assignment.face[0] == face)).sum()) for face in (0, 1)]
    assert cells[0] < cells[1]
    shares = [count**-0.5 for count in cells]
    total = sum(count * share for count, share in zip(cells, shares, strict=True))
    for face, (count, share) in enumerate(zip(cells, shares, strict=True)):
        mine = (assignment.positive & (assignment.face == face))[..., None]
        moved = Predictions(
            scores=right.scores, boxes=torch.where(mine, right.boxes + 1e5, right.boxes), points=right.points
        )
        cost = detection_loss(moved, wanted, assignment, dataclasses.replace(WEIGHTS, box=1.0))["box"].item()
        assert cost == pytest.approx(2 * count * share / total, rel=0.02)  # the loss of a box far away is 2


def test_unknown_points_cost_nothing_and_give_no_gradient_of_nan():
    wanted = targets([[8.0, 8.0, 30.0, 30.0], [64.0, 64.0, 110.0, 118.0]])
    wanted.points[0, 1] = math.nan
    right = perfect(targets([[8.0, 8.0, 30.0, 30.0], [64.0, 64.0, 110.0, 118.0]]))
    points = (right.points + 2).requires_grad_()
    predictions = Predictions(scores=right.scores, boxes=right.boxes, points=points)
    assignment = assign(predictions, wanted, CELLS)
    loss = detection_loss(predictions, wanted, assignment, WEIGHTS)["points"]
    loss.backward()
    assert math.isfinite(loss.item())
    assert points.grad.isfinite().all()
    touched = points.grad.abs().flatten(2).sum(dim=2)[0] > 0
    assert set(assignment.face[0][touched].tolist()) == {0}


def test_a_batch_without_faces_has_a_loss():
    wanted = targets([], [])
    predictions = guesses(2)
    parts = detection_loss(predictions, wanted, assign(predictions, wanted, CELLS), WEIGHTS)
    assert parts["score"] > 0
    assert parts["box"] == parts["points"] == 0


def test_loss_falls_when_the_network_learns_one_picture():
    torch.manual_seed(0)
    network = FaceNetwork(Widths(stem=8, body=16))
    pixels = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    wanted = targets([[8.0, 8.0, 30.0, 30.0], [64.0, 64.0, 110.0, 118.0]], [[40.0, 20.0, 100.0, 96.0]])
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    losses = []
    for _ in range(40):
        predictions = Predictions.of(network(pixels), CELLS)
        loss = sum(detection_loss(predictions, wanted, assign(predictions, wanted, CELLS), WEIGHTS).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
