"""The score from which a box is called a face, chosen on validation scenes."""

from collections.abc import Sequence

import numpy as np

from agepred_train.detector.annotations import Annotation
from agepred_train.detector.measure import Found, precision_recall

LEAST_HEIGHT = 32.0
"""Labeled faces lower than this are neither asked for nor counted against an answer, in pixels of the picture."""


def best_threshold(found: Sequence[Found], labels: Sequence[Annotation]) -> float:
    """Return the score at which precision and recall are best together (their harmonic mean, F1).

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
    if not len(harmonic) or not harmonic.max() > 0:
        raise ValueError("no answer is a labeled face: there is no threshold to choose")
    return float(np.round(curve.scores[int(harmonic.argmax())], 2))
