"""The score from which a box is called a face, chosen on validation scenes."""

from collections.abc import Sequence

import numpy as np

from agepred_train.detector.annotations import Annotation
from agepred_train.detector.measure import Found, precision_recall

LEAST_HEIGHT = 32.0
"""Labeled faces lower than this are neither asked for nor counted against an answer, in pixels of the picture."""

_SCORES = np.round(np.arange(0.99, 0.0, -0.01), 2)
"""What may be chosen, from the highest: neither 0 nor 1 is a score that a model file may state."""


def best_threshold(found: Sequence[Found], labels: Sequence[Annotation]) -> float:
    """Return the score at which precision and recall are best together (their harmonic mean, F1), in hundredths.

    Of scores that do as well as each other it is the highest.

    Args:
        found: a detector's answers per picture, down to very low scores.
        labels: the labeled faces of the same pictures.

    Raises:
        ValueError: nothing was found that is a labeled face.
    """
    asked = [
        Annotation.of(faces.boxes, faces.points, faces.ignored | (faces.boxes[:, 3] < LEAST_HEIGHT)) for faces in labels
    ]
    tall = [
        Found(boxes=one.boxes[high], scores=one.scores[high], points=one.points[high])
        for one in found
        for high in [one.boxes[:, 3] >= LEAST_HEIGHT]
    ]
    curve = precision_recall(tall, asked)
    both = curve.precision + curve.recall
    harmonic = np.divide(2 * curve.precision * curve.recall, both, out=np.zeros_like(both), where=both > 0)
    # How many answers each score lets through; a file's score is a float of 32 bits, as the answers' are.
    kept = np.searchsorted(-curve.scores, -_SCORES.astype(np.float32).astype(np.float64), side="right")
    reached = np.concatenate([[0.0], harmonic])[kept]
    if not reached.max() > 0:
        raise ValueError("no answer is a labeled face: there is no threshold to choose")
    return float(_SCORES[int(reached.argmax())])
