"""Training configurations of the detector."""

import math
from dataclasses import dataclass

from agepred_train.overrides import UNBOUNDED, check_limits, check_multiples
from agepred_train.stepped import SteppedRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRecipe(SteppedRecipe):
    """Everything that a training run of the detector is free to choose."""

    side: int = 256
    """Width and height of the training scenes in pixels, a multiple of 32."""
    stem: int = 16
    """Channels of the first convolutions, a multiple of 8; a teacher has 16."""
    body: int = 64
    """Channels of everything from an eighth of the resolution on, a multiple of 8; a teacher has 64."""
    imitation_steps: int = 500
    """With a teacher: first steps, in which only the first layers learn, and only its features; at least 0."""
    features_weight: float = 2.0
    """With a teacher: weight of its features, at least 0."""
    answers_weight: float = 1.0
    """With a teacher: weight of its scores and boxes once all layers learn, at least 0."""
    steps: int = 8500
    epoch_steps: int = 500
    batch_size: int = 16
    learning_rate: float = 6e-4
    warmup_steps: int = 100
    score_weight: float = 2.5
    """Weight of the scores' loss, at least 0."""
    box_weight: float = 2.0
    """Weight of the boxes' loss beside the score's, at least 0."""
    points_weight: float = 3.0
    """Weight of the points' loss, at least 0."""
    pasted: float = 0.06
    """Share of scenes into which faces are pasted, 0 to 1."""
    mosaic: float = 0.005
    """Share of scenes that are grids of faces, 0 to 1."""
    empty: float = 0.1
    """Share of scenes without a face, 0 to 1."""
    smallest: float = 7.0
    """Shortest side of the faces that crops of scenes are made for, in pixels, at least 6."""
    largest: float = 250.0
    """Longest, in pixels, above `smallest`."""
    turned: float = 0.25
    """Share of scenes that are turned, by up to 45 degrees, 0 to 1."""
    hidden: float = 0.05
    """Share of scenes where patches hide parts of faces, 0 to 1."""
    degraded: float = 0.3
    """How often scenes are relit, blurred, made coarse or noisy, or saved as JPEG: a multiple of the usual, 0 to 1."""

    def __post_init__(self) -> None:
        """Check every limit that the fields' descriptions state."""
        SteppedRecipe.__post_init__(self)  # a class with slots is made anew: super() without names would miss it
        check_limits(self, _LIMITS)
        check_multiples(self, {"side": 32, "stem": 8, "body": 8})
        if not self.smallest < self.largest < math.inf:
            raise ValueError(f"largest is {self.largest}, it must be finite and above smallest, {self.smallest}")
        if (kinds := self.pasted + self.mosaic + self.empty) > 1:
            raise ValueError(f"pasted, mosaic and empty are shares of all scenes and add up to {kinds:.3g}; at most 1")


_LIMITS = (
    ("side", 32, 1024),
    ("stem", 8, 256),
    ("body", 8, 256),
    ("imitation_steps", 0, UNBOUNDED),
    ("features_weight", 0, UNBOUNDED),
    ("answers_weight", 0, UNBOUNDED),
    ("score_weight", 0, UNBOUNDED),
    ("box_weight", 0, UNBOUNDED),
    ("points_weight", 0, UNBOUNDED),
    ("pasted", 0, 1),
    ("mosaic", 0, 1),
    ("empty", 0, 1),
    ("smallest", 6, UNBOUNDED),
    ("largest", 6, UNBOUNDED),
    ("turned", 0, 1),
    ("hidden", 0, 1),
    ("degraded", 0, 1),
)


def agepred_faces() -> DetectorRecipe:
    """Return the recipe of the released detector."""
    return DetectorRecipe(name="agepred_faces")


def smoke() -> DetectorRecipe:
    """Return the smallest run that touches every part, for tests: seconds, not faces."""
    return DetectorRecipe(
        name="smoke",
        side=64,
        stem=8,
        body=16,
        imitation_steps=2,
        steps=4,
        epoch_steps=2,
        batch_size=4,
        warmup_steps=1,
        ema_decay=0.5,
        largest=48.0,
        max_pictures=8,
        num_workers=0,
        threads=1,
    )


RECIPES = {"agepred_faces": agepred_faces, "smoke": smoke}
