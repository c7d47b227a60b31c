"""Training configurations of the refiner."""

from dataclasses import dataclass

from agepred_train.overrides import UNBOUNDED, check_limits, check_multiples
from agepred_train.stepped import SteppedRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinerRecipe(SteppedRecipe):
    """Everything that a training run of the refiner is free to choose."""

    crop_side: int = 64
    """Side of the crop in pixels, 32 to 256, a multiple of 16."""
    eyes: float = 0.31
    """Distance between the eyes in the crop as a share of its side, 0.1 to 0.6."""
    width: int = 48
    """Channels of the finer layers, a multiple of 24; the coarser ones have a third more."""
    steps: int = 4800
    epoch_steps: int = 400
    batch_size: int = 96
    shift: float = 0.08
    """Standard deviation of the detector's common error of place, in distances between the eyes, at least 0."""
    scale: float = 0.08
    """Standard deviation of the logarithm of its error of size, at least 0."""
    rotation: float = 9.0
    """Standard deviation of its error of angle in degrees, at least 0."""
    point_noise: float = 0.08
    """Standard deviation of each point's own error, in distances between the eyes, at least 0."""
    far_share: float = 0.35
    """Share of crops whose points are far off, as a detector's that takes a turned face for an upright one, 0 to 1."""
    labeled_share: float = 0.25
    """Share of crops drawn from the set that people labeled, 0 to 1."""
    coarse_share: float = 0.4
    """Share of pictures that are shrunk before the crop, 0 to 1."""
    finest_eyes: float = 8.0
    """Smallest distance between the eyes after that, in pixels, at least 2."""

    def __post_init__(self) -> None:
        """Check every limit that the fields' descriptions state."""
        SteppedRecipe.__post_init__(self)  # a class with slots is made anew: super() without names would miss it
        check_limits(self, _LIMITS)
        check_multiples(self, {"crop_side": 16, "width": 24})


_LIMITS = (
    ("crop_side", 32, 256),
    ("eyes", 0.1, 0.6),
    ("width", 24, 240),
    ("shift", 0, 1),
    ("scale", 0, 1),
    ("rotation", 0, 90),
    ("point_noise", 0, 1),
    ("far_share", 0, 1),
    ("labeled_share", 0, 1),
    ("coarse_share", 0, 1),
    ("finest_eyes", 2, UNBOUNDED),
)


def agepred_points() -> RefinerRecipe:
    """Return the recipe of the released refiner."""
    return RefinerRecipe(name="agepred_points")


def smoke() -> RefinerRecipe:
    """Return the smallest run that touches every part, for tests: seconds, not points."""
    return RefinerRecipe(
        name="smoke",
        crop_side=32,
        width=24,
        steps=4,
        epoch_steps=2,
        batch_size=4,
        warmup_steps=1,
        ema_decay=0.5,
        max_pictures=8,
        num_workers=0,
    )


RECIPES = {"agepred_points": agepred_points, "smoke": smoke}
