"""Training configurations: a recipe is a function that returns a whole one."""

from dataclasses import dataclass

from agepred_train.overrides import BELOW_ONE, TINY, UNBOUNDED, check_limits, check_multiples


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that a training run is free to choose."""

    name: str
    """Recipe this configuration started from."""
    crop_side: int = 112
    """Side of the square crop in pixels, 32 to 512."""
    width: float = 1.0
    """Multiplier of the network's channels, 0.1 to 2; the ImageNet weights fit 1.0 only."""
    dropout: float = 0.2
    """Share of pooled features dropped before the linear layer, 0 up to 1."""
    epochs: int = 12
    """Passes over the training samples, at least 1."""
    batch_size: int = 64
    """Crops per optimizer step, at least 2 (batch normalization needs them)."""
    learning_rate: float = 1e-3
    """AdamW's peak learning rate, above 0."""
    warmup_steps: int = 200
    """Optimizer steps over which the learning rate rises linearly from 0; a cosine leads down to 0 after."""
    weight_decay: float = 0.02
    """AdamW's decoupled decay, at least 0; biases and normalization are exempt."""
    label_sigma: float = 2.0
    """Standard deviation of the soft label around the age, in years, above 0."""
    l1_weight: float = 0.2
    """Weight of |expected age - label| per year beside the cross-entropy, at least 0."""
    ema_decay: float = 0.998
    """Decay per step of the averaged weights, which are the ones validated and kept; 0 up to 1."""
    rotation: float = 6.0
    """Standard deviation of the crop's random rotation in degrees, at least 0."""
    scale: float = 0.06
    """Standard deviation of the crop's random scale as a share of it, 0 to 0.5."""
    shift: float = 0.03
    """Standard deviation of the crop's random shift as a share of its side, 0 to 0.5."""
    point_noise: float = 0.012
    """Standard deviation of each point's own error as a share of the crop's side, 0 to 0.5."""
    color_jitter: float = 0.3
    """Half-width of the random factors of brightness, contrast and saturation, 0 up to 1."""
    gray_share: float = 0.08
    """Share of training crops turned gray, 0 to 1."""
    degrade_share: float = 0.2
    """Share of training crops blurred or saved as a poor JPEG, 0 to 1."""
    erase_share: float = 0.3
    """Share of training crops with a rectangle painted over, 0 to 1."""
    min_face_side: float = 40.0
    """Training pictures whose largest face has a shorter box side are dropped, in pixels, at least 0."""
    max_train_samples: int = 0
    """Use only the first this many cleaned training samples (and as many for validation); 0 means all."""
    num_workers: int = 2
    """Processes that decode and cut crops, at least 0."""
    threads: int = 2
    """Threads of the training process itself, at least 1."""
    seed: int = 1
    """Seed of everything random, at least 0."""

    def __post_init__(self) -> None:
        """Check every limit that the fields' descriptions state."""
        check_limits(self, _LIMITS)
        check_multiples(self, {"crop_side": 16})


_LIMITS = (
    ("crop_side", 32, 512),
    ("width", 0.1, 2),
    ("dropout", 0, BELOW_ONE),
    ("epochs", 1, UNBOUNDED),
    ("batch_size", 2, UNBOUNDED),
    ("learning_rate", TINY, UNBOUNDED),
    ("warmup_steps", 0, UNBOUNDED),
    ("weight_decay", 0, UNBOUNDED),
    ("label_sigma", TINY, UNBOUNDED),
    ("l1_weight", 0, UNBOUNDED),
    ("ema_decay", 0, BELOW_ONE),
    ("rotation", 0, 180),
    ("scale", 0, 0.5),
    ("shift", 0, 0.5),
    ("point_noise", 0, 0.5),
    ("color_jitter", 0, BELOW_ONE),
    ("gray_share", 0, 1),
    ("degrade_share", 0, 1),
    ("erase_share", 0, 1),
    ("min_face_side", 0, UNBOUNDED),
    ("max_train_samples", 0, UNBOUNDED),
    ("num_workers", 0, 256),
    ("threads", 1, 1024),
    ("seed", 0, 2**32 - 1),
)


def first_light() -> Recipe:
    """Return the recipe of the first released model: UTKFace, 112 pixels."""
    return Recipe(name="first_light")


def smoke() -> Recipe:
    """Return the smallest run that touches every part, for tests: seconds, not accuracy."""
    return Recipe(
        name="smoke",
        crop_side=64,
        width=0.25,
        epochs=2,
        batch_size=8,
        warmup_steps=2,
        ema_decay=0.5,
        max_train_samples=24,
        num_workers=0,
        threads=1,
    )


RECIPES = {"first_light": first_light, "smoke": smoke}
