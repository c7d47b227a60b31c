"""The score from which a box is called a face: no other hundredth does better, by a count of its own."""

import numpy as np
import pytest

from agepred_train.detector.annotations import Annotation
from agepred_train.detector.measure import Found
from agepred_train.detector.threshold import LEAST_HEIGHT, best_threshold

HUNDREDTHS = [number / 100 for number in range(1, 100)]


def faces(*places, side=50.0, ignored=None):
    """Square faces side by side, far from each other, known by their place."""
    boxes = np.array([[200 * place, 10, side, side] for place in places], np.float32).reshape(-1, 4)
    return Annotation.of(boxes, ignored=ignored)


def answers(scores, side=50.0):
    """An answer of a score at each place."""
    boxes = faces(*scores, side=side).boxes
    return Found.of(boxes, list(scores.values()), np.zeros((len(boxes), 5, 2)))


def harmonic_mean(found, labels, threshold):
    """F1 of places by the sets of them alone: nothing overlaps."""
    given = {place for place, score in found.items() if np.float32(score) >= np.float32(threshold)}
    return 2 * len(given & labels) / (len(given) + len(labels))


@pytest.mark.parametrize("seed", range(30))
def test_no_other_hundredth_does_better(seed):
    """Surer where there is a face, but not always; the places are spread over three pictures."""
    rng = np.random.default_rng(seed)
    labels = set(rng.choice(60, 25, replace=False).tolist())
    found = {
        place: float(np.clip(rng.normal(0.65 if place in labels else 0.4, 0.2), 0.001, 0.9999))
        for place in rng.choice(60, 45, replace=False).tolist()
    }
    shares = [range(start, start + 20) for start in (0, 20, 40)]
    chosen = best_threshold(
        [answers({place: score for place, score in found.items() if place in share}) for share in shares],
        [faces(*sorted(labels & set(share))) for share in shares],
    )
    reached = {threshold: harmonic_mean(found, labels, threshold) for threshold in HUNDREDTHS}
    assert chosen in reached
    assert reached[chosen] == pytest.approx(max(reached.values()), abs=1e-12)
    assert all(reached[higher] < reached[chosen] for higher in HUNDREDTHS if higher > chosen)


@pytest.mark.parametrize("score", [0.9999, 0.547, 0.545, 0.01, 0.58])
def test_the_answer_that_decides_is_let_through(score):
    """It was once rounded: 0.547 became 0.55, which no face reaches, and 0.9999 became 1, as no file may say."""
    chosen = best_threshold([answers({1: score})], [faces(1)])
    assert 0.01 <= chosen <= 0.99
    assert np.float32(chosen) <= np.float32(score)
    assert chosen > score - 0.011


def test_between_faces_and_mistakes():
    """Below all faces and above all mistakes; a face that is less sure than many mistakes is given up."""
    found = {1: 0.9, 2: 0.8, 3: 0.7, 4: 0.2} | dict.fromkeys(range(10, 20), 0.5)
    assert best_threshold([answers(found)], [faces(1, 2, 3, 4)]) == 0.7


def test_small_faces_neither_ask_nor_count_against():
    """Answers to small faces are the less sure half; were they counted, the threshold would go down to them."""
    tall, small = LEAST_HEIGHT, LEAST_HEIGHT - 0.5
    boxes = np.concatenate([faces(1, 2, side=tall).boxes, faces(3, 4, 5, 6, side=small).boxes])
    scores = [0.9, 0.8, 0.3, 0.3, 0.3, 0.3]
    found = Found.of(boxes, scores, np.zeros((6, 5, 2)))
    assert best_threshold([found], [Annotation.of(boxes)]) == 0.8
    # And a small answer where nothing is labeled is no mistake: else 0.8 would be worse than 0.9.
    sure = Found.of(boxes, [0.7, 0.7, 0.9, 0.9, 0.9, 0.9], np.zeros((6, 5, 2)))
    assert best_threshold([sure, answers({7: 0.95})], [Annotation.of(boxes[:2]), faces(7)]) == 0.7


def test_ignored_places_are_no_mistakes():
    found = answers({1: 0.5, 2: 0.9, 3: 0.9, 4: 0.9})
    ignored = np.array([False, True, True, True])
    assert best_threshold([found, answers({5: 0.4, 6: 0.45})], [faces(1, 2, 3, 4, ignored=ignored), faces(5, 6)]) == 0.4


@pytest.mark.parametrize("found", [{}, {3: 0.9}, {1: 0.001}])
def test_without_a_face_there_is_nothing_to_choose(found):
    """Nothing found, nothing that is a face, or none that any threshold would let through."""
    with pytest.raises(ValueError, match="no answer is a labeled face"):
        best_threshold([answers(found)], [faces(1, 2)])
