"""What recipes have in common that count their training in optimizer steps over endlessly many samples."""

import math
from dataclasses import dataclass
from typing import ClassVar

from agepred_train.overrides import BELOW_ONE, TINY, UNBOUNDED, Limits, check_limits


@dataclass(frozen=True, slots=True, kw_only=True)
class SteppedRecipe:
    """Schedule, optimizer and machine of a run; what it trains stands in the recipes made of it."""

    LIMITS: ClassVar[Limits] = (
        ("steps", 1, UNBOUNDED),
        ("epoch_steps", 1, UNBOUNDED),
        ("batch_size", 2, UNBOUNDED),
        ("learning_rate", TINY, UNBOUNDED),
        ("warmup_steps", 0, UNBOUNDED),
        ("weight_decay", 0, UNBOUNDED),
        ("ema_decay", 0, BELOW_ONE),
        ("max_pictures", 0, UNBOUNDED),
        ("num_workers", 0, 256),
        ("threads", 1, 1024),
        ("seed", 0, 2**32 - 1),
    )

    name: str
    """Recipe this configuration started from."""
    steps: int
    """Optimizer steps, at least 1; whole epochs are made of them."""
    epoch_steps: int
    """Steps after which the network is validated and saved, at least 1."""
    batch_size: int
    """Samples per optimizer step, at least 2 (batch normalization needs them)."""
    learning_rate: float = 3e-3
    """AdamW's peak learning rate, above 0."""
    warmup_steps: int = 200
    """Optimizer steps over which the learning rate rises linearly from 0; a cosine leads down to 0 after."""
    weight_decay: float = 0.01
    """AdamW's decoupled decay, at least 0; biases and normalization are exempt."""
    ema_decay: float = 0.998
    """Decay per step of the averaged weights, which are the ones validated and kept; 0 up to 1."""
    max_pictures: int = 0
    """Use only the first this many pictures of each set; 0 means all."""
    num_workers: int = 2
    """Processes that make samples, at least 0."""
    threads: int = 1
    """Threads of the training process itself, at least 1."""
    seed: int = 1
    """Seed of everything random, at least 0."""

    @property
    def epochs(self) -> int:
        """Rounds of `epoch_steps` that hold all steps."""
        return math.ceil(self.steps / self.epoch_steps)

    def __post_init__(self) -> None:
        """Check every limit that the fields' descriptions state."""
        check_limits(self, self.LIMITS)
