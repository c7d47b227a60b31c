"""Figures of a detector, against cases worked out by hand and against a slow count of another kind."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agepred_train.detector import measure
from agepred_train.detector.annotations import Annotation
from agepred_train.detector.measure import Found

FIVE = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]], np.float32)


def found(boxes, scores, points=None):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Found.of(boxes, scores, np.zeros((len(boxes), 5, 2)) if points is None else points)


def labels(*boxes, ignored=None):
    return Annotation.of(np.array(boxes, np.float32).reshape(-1, 4), ignored=ignored)


NOTHING = found([], [])
LEAST = np.array([0, 0, 10, 10])  # added to sides drawn from 0 on
FACE, OTHER = [10, 10, 40, 40], [100, 10, 40, 40]


def random_case(seed):
    """Some pictures with faces, some of them ignored, and answers around them and elsewhere."""
    rng = np.random.default_rng(seed)
    answers, faces = [], []
    for _ in range(rng.integers(1, 5)):
        boxes = rng.uniform(0, 100, (rng.integers(0, 5), 4)) + LEAST
        near = boxes[rng.integers(0, max(1, len(boxes)), rng.integers(0, 6))] if len(boxes) else boxes
        near = near + rng.normal(0, 8, near.shape)
        far = rng.uniform(0, 100, (rng.integers(0, 3), 4)) + LEAST
        shown = np.concatenate([near, far])
        shown[:, 2:] = np.abs(shown[:, 2:]) + 1
        answers.append(found(shown, rng.permutation(1000)[: len(shown)] / 1000))
        faces.append(labels(*boxes, ignored=rng.random(len(boxes)) < 0.2))
    return answers, faces


def overlap_of(a, b):
    across = max(0.0, min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]))
    down = max(0.0, min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]))
    common = across * down
    return common / (a[2] * a[3] + b[2] * b[3] - common), common / (a[2] * a[3])


def slow_average_precision(answers, faces):
    """The mean, over the labeled faces, of the best precision at any threshold that finds at least so many."""
    rows = []
    for one, part in zip(answers, faces, strict=True):
        free = [i for i in range(len(part.boxes)) if not part.ignored[i]]
        for box, score in zip(one.boxes.astype(float), one.scores, strict=True):
            asked = [i for i in range(len(part.boxes)) if not part.ignored[i]]
            best = max(asked, key=lambda i: overlap_of(box, part.boxes[i])[0], default=None)
            if best is not None and overlap_of(box, part.boxes[best])[0] >= 0.5 and best in free:
                free.remove(best)
                rows.append((score, True))
            elif not any(max(overlap_of(box, part.boxes[i])) >= 0.5 for i in range(len(part.boxes)) if part.ignored[i]):
                rows.append((score, False))
    total = sum(int((~part.ignored).sum()) for part in faces)
    rows.sort(key=lambda row: -row[0])
    states = [
        (sum(hit for _, hit in rows[: n + 1]), sum(hit for _, hit in rows[: n + 1]) / (n + 1)) for n in range(len(rows))
    ]
    return sum(max((p for hits, p in states if hits >= k), default=0.0) for k in range(1, total + 1)) / max(1, total)


@given(st.integers(0, 10**6))
def test_average_precision_equals_a_slow_count(seed):
    answers, faces = random_case(seed)
    expected = slow_average_precision(answers, faces)
    assert measure.precision_recall(answers, faces).average_precision == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 10**6))
def test_perfect_answers_have_a_precision_of_one_and_none_has_zero(seed):
    _, faces = random_case(seed)
    faces = [labels(*(np.arange(len(part.boxes))[:, None] * [200, 0, 0, 0] + part.boxes)) for part in faces]
    perfect = [found(part.boxes, np.linspace(0.9, 0.5, len(part.boxes))) for part in faces]
    count = sum(len(part.boxes) for part in faces)
    assert measure.precision_recall(perfect, faces).average_precision == pytest.approx(1.0 if count else 0.0)
    assert measure.precision_recall([NOTHING] * len(faces), faces).average_precision == 0.0
    if count:
        assert measure.recall_by_height(perfect, faces)["all"]["recall"] == 1.0


@given(st.integers(0, 10**6), st.floats(-500, 500), st.floats(-500, 500))
def test_boxes_may_lie_anywhere(seed, right, down):
    answers, faces = random_case(seed)
    move = np.array([round(right), round(down), 0, 0], np.float32)
    moved = measure.precision_recall(
        [Found(boxes=one.boxes + move, scores=one.scores, points=one.points) for one in answers],
        [Annotation.of(part.boxes + move, ignored=part.ignored) for part in faces],
    )
    assert moved.average_precision == pytest.approx(
        measure.precision_recall(answers, faces).average_precision, abs=1e-3
    )


def test_average_precision_by_hand():
    # Hit, false, hit: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1.
    answers = [found([FACE, [300, 300, 40, 40], OTHER], [0.9, 0.8, 0.7])]
    curve = measure.precision_recall(answers, [labels(FACE, OTHER)])
    assert curve.precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3])
    assert curve.recall.tolist() == pytest.approx([1 / 2, 1 / 2, 1])
    assert curve.average_precision == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)


def test_order_of_answers_comes_from_their_scores():
    one = found([FACE, OTHER], [0.2, 0.9])
    assert one.scores.tolist() == pytest.approx([0.9, 0.2])
    assert one.boxes[0].tolist() == OTHER


def test_second_answer_on_a_face_is_false():
    matched = measure.match(found([FACE, [12, 10, 40, 40]], [0.9, 0.8]), labels(FACE))
    assert matched.hit.tolist() == [True, False]
    assert matched.counted.all()


def test_ignored_places_count_neither_way():
    one = found([FACE, OTHER], [0.9, 0.8])
    faces = labels(FACE, OTHER, ignored=np.array([True, False]))
    matched = measure.match(one, faces)
    assert matched.hit.tolist() == [False, True]
    assert matched.counted.tolist() == [False, True]
    assert measure.precision_recall([one], [faces]).average_precision == 1.0


def test_answer_inside_an_ignored_crowd_is_spared():
    crowd = labels([0, 0, 400, 400], ignored=np.array([True]))
    assert not measure.match(found([FACE], [0.9]), crowd).counted.any()


def test_recall_by_height_has_bounds_in_the_upper_part():
    boxes = [[0, 0, 20, 31.9], [100, 0, 30, 32], [200, 0, 30, 64], [400, 0, 100, 128]]
    recall = measure.recall_by_height([found(boxes[1:2] + boxes[3:], [0.9, 0.8])], [labels(*boxes)])
    assert {name: (part["found"], part["faces"]) for name, part in recall.items()} == {
        "<32": (0, 1),
        "32-63": (1, 1),
        "64-127": (0, 1),
        ">=128": (1, 1),
        ">=32": (2, 3),
        "all": (2, 4),
    }


def test_confirmed_by_overlap_or_as_a_tight_box_inside():
    known = np.array([[0, 0, 100, 100]], np.float32)
    one = found([[0, 0, 100, 40], [30, 30, 42, 42], [30, 30, 20, 20], [90, 90, 100, 100]], [0.9, 0.8, 0.7, 0.6])
    assert measure.confirmed(one, known).tolist() == [True, True, False, False]
    assert not measure.confirmed(one, known[:0]).any()


def test_calibration_by_hand():
    answers = [found([FACE, [300, 300, 40, 40], OTHER], [1.0, 0.91, 0.35])]
    figures = measure.calibration(answers, [labels(FACE, OTHER)])
    last, third = figures["bins"][9], figures["bins"][3]
    assert (last["answers"], last["hits"], last["mean_score"]) == (2, 0.5, pytest.approx(0.955))
    assert (third["answers"], third["hits"]) == (1, 1.0)
    assert figures["bins"][0] == {"from": 0.0, "to": 0.1, "answers": 0, "mean_score": None, "hits": None}
    assert figures["expected_error"] == pytest.approx((2 * 0.455 + 0.65) / 3)
    assert measure.calibration([NOTHING], [labels(FACE)])["expected_error"] is None


def test_scores_that_tell_the_share_of_hits_are_calibrated():
    rng = np.random.default_rng(0)
    answers, faces = [], []
    for score in rng.uniform(0, 1, 4000):
        answers.append(found([FACE], [score]))
        faces.append(labels(FACE) if rng.random() < score else labels())
    assert measure.calibration(answers, faces)["expected_error"] < 0.03


def point_case(move=(0, 0), box=(20, 20, 60, 70)):
    faces = Annotation.of(np.array([[20, 20, 60, 70]], np.float32), FIVE[None])
    return [found([box], [0.9], [FIVE + np.array(move)])], [faces]


def test_point_errors_are_shares_of_the_distance_between_the_eyes():
    (error,) = measure.point_errors(*point_case(move=(4, 3)))
    assert error.errors.tolist() == pytest.approx([5 / 40] * 5)
    assert (error.roll, error.height, error.detection, error.face) == (0, 70, 0, 0)
    figures = measure.point_figures([error])
    assert figures["mean"] == figures["median"] == figures["p95"] == pytest.approx(0.125)
    assert figures["by_point"]["nose"]["mean"] == pytest.approx(0.125)
    assert figures["by_height"]["64-127"]["faces"] == 1
    assert figures["by_roll"]["<10"]["faces"] == 1
    assert figures["histogram"]["all"][12] == 1


@given(st.floats(0.1, 20), st.floats(-180, 180))
def test_point_errors_do_not_depend_on_size_and_direction(scale, degrees):
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = FIVE @ turn
    faces = Annotation.of(np.array([[*turned.min(axis=0), *np.ptp(turned, axis=0)]]), turned[None])
    answer = found(faces.boxes, [0.9], [(FIVE + np.array([4, 3])) @ turn])
    (error,) = measure.point_errors([answer], [faces])
    assert error.errors == pytest.approx(np.full(5, 0.125), abs=1e-3)
    assert error.roll == pytest.approx(abs(degrees), abs=0.1)


def test_face_without_an_answer_bears_on_no_error_and_is_counted():
    answers, faces = point_case(box=(200, 20, 60, 70))
    right = point_case(move=(4, 3))
    figures = measure.point_figures(measure.point_errors(answers + right[0], faces + right[1]))
    assert (figures["faces"], figures["missed"], figures["found"]) == (2, 1, 0.5)
    assert figures["mean"] == pytest.approx(0.125)
    nothing = measure.point_figures(measure.point_errors([NOTHING], faces))
    assert (nothing["mean"], nothing["p95"], nothing["found"]) == (None, None, 0)
    assert measure.point_figures([])["found"] is None


def test_largest_box_around_the_points_answers():
    _, faces = point_case()
    answers = found(
        [[45, 55, 10, 10], [20, 20, 60, 70], [150, 0, 200, 200]], [0.9, 0.5, 0.8], [FIVE + 9, FIVE, FIVE + 50]
    )
    (error,) = measure.point_errors([answers], faces)
    assert error.errors.max() == 0


def test_faces_with_unknown_points_are_not_asked_for():
    assert measure.point_errors([NOTHING], [labels(FACE)]) == []


def test_histogram_keeps_what_is_beyond_its_end():
    counts = measure.histogram(np.array([0.0, 0.005, 0.29, 0.3, 7.0]))
    assert (counts[0], counts[29], sum(counts)) == (2, 3, 5)
