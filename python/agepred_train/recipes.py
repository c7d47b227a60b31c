"""Training configurations: a recipe is a function that returns a whole one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from agepred_train.overrides import BELOW_ONE, TINY, UNBOUNDED, check_choices, check_limits, check_multiples
from agepred_train.prepare import MIN_FACE_SIDE
from agepred_train.sources import weights_by_source


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that a training run is free to choose."""

    name: str
    """Recipe this configuration started from."""
    crop_side: int = 112
    """Side of the square crop in pixels, 32 to 512."""
    start_side: int = 0
    """Side to which crops are shrunk in the first epoch, 32 to `crop_side`; 0 shrinks none."""
    growth_epochs: int = 0
    """Epochs over which crops grow from `start_side` to `crop_side`, in steps of 16 pixels, at least 0."""
    backbone: str = "mobilenet_v2"
    """mobilenet_v2, resnet50, efficientnet_b0 (these two of torchvision), efficientnet_lite0 or efficientnet_lite2."""
    width: float = 1.0
    """Multiplier of MobileNetV2's channels, 0.1 to 2; the ImageNet weights fit 1.0 only."""
    normalization: str = "signed"
    """What pixels become, as the weights expect: signed, (x - 128) / 128, or imagenet, by its mean and deviation."""
    head: str = "distribution"
    """What is answered: distribution (a logit per age), regression (one neuron) or groups (four logits)."""
    hidden: str = ""
    """Sizes of hidden layers between pooling and the last layer, such as 512,256; empty for none."""
    dropout: float = 0.2
    """Share of features dropped after each hidden layer, or before the linear layer where none is hidden; 0 up to 1."""
    epochs: int = 12
    """Passes over the training samples, at least 1."""
    batch_size: int = 64
    """Crops per optimizer step, at least 2 (batch normalization needs them)."""
    optimizer: str = "adamw"
    """adamw (decoupled decay) or adam (decay added to the gradient)."""
    schedule: str = "cosine"
    """cosine (after a warm-up, per step), one_cycle (per step), plateau (per epoch) or constant."""
    learning_rate: float = 1e-3
    """The optimizer's peak learning rate, above 0."""
    warmup_steps: int = 200
    """Steps over which the cosine's learning rate rises linearly from 0; it leads down to 0 after."""
    weight_decay: float = 0.02
    """The optimizer's decay, at least 0; biases and normalization are exempt."""
    precision: str = "bf16-mixed"
    """bf16-mixed, 16-mixed (for a GPU without bfloat16) or 32-true."""
    frozen_epochs: int = 0
    """Epochs in which the head alone learns, at least 0."""
    unfreeze_epochs: int = 0
    """Epochs after those over which the backbone joins in, its last stages first; 0 lets all learn at once."""
    loss: str = "soft_label"
    """soft_label or mean_variance for a distribution, cross_entropy for it or for groups, mse for regression."""
    label_sigma: float = 2.0
    """Standard deviation of the soft label around the age, in years, above 0."""
    l1_weight: float = 0.2
    """Weight of |expected age - label| per year beside the soft label's cross-entropy, at least 0."""
    mean_weight: float = 0.2
    """Mean-variance loss: weight of half the mean's squared error, at least 0; 0.2 is its authors'."""
    variance_weight: float = 0.05
    """Mean-variance loss: weight of the variance, at least 0; 0.05 is its authors'."""
    balance: str = "none"
    """How rare ages (or groups) are made up for: none, sampler (drawn more often) or loss (counted more)."""
    balance_power: float = 1.0
    """How far that goes, 0 to 1: weights are 1 / occurrences to this power."""
    source_weights: str = ""
    """How much the labels of some of several data sets count, such as fairface=0.5; 1 for the others. Sets are those
    named to `agepred train`, or to the `agepred data` that wrote its table."""
    distill_weight: float = 1.0
    """Weight of the teachers' distribution beside the label's loss, at least 0; counts where teachers are named."""
    temperature: float = 2.0
    """At which the teachers' and the network's distributions are compared, above 0."""
    select: str = "val_mae"
    """Figure that chooses the epoch: val_mae, val_loss or val_accuracy (of the four groups)."""
    ema_decay: float = 0.998
    """Decay per step of the averaged weights, which are the ones validated and kept; 0 up to 1."""
    flip_share: float = 0.5
    """Share of training crops mirrored, 0 to 1."""
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
    backdrop_share: float = 0.0
    """Share of training crops whose background, outside of an ellipse, becomes one gray, 0 to 1."""
    blur_share: float = 0.0
    """Share of training crops blurred, up to a deviation of 0.0125 of the side, 0 to 1."""
    sharpen_share: float = 0.0
    """Share of training crops sharpened by an unsharp mask, up to an amount of 2, 0 to 1."""
    rescale_share: float = 0.0
    """Share of training crops shrunk up to four times and enlarged again, 0 to 1."""
    jpeg_share: float = 0.0
    """Share of training crops saved as a JPEG of quality 20 to 90, 0 to 1."""
    exposure_share: float = 0.0
    """Share of training crops exposed by -2 to +1 stops in linear light, 0 to 1."""
    erase_share: float = 0.3
    """Share of training crops with a rectangle painted over, 0 to 1."""
    mix_share: float = 0.0
    """Share of training crops with another one of their batch laid over them, up to half of it, 0 to 1."""
    min_face_side: float = MIN_FACE_SIDE
    """Training pictures whose largest face has a shorter box side are dropped, in pixels, at least 0; those of a
    table of `agepred data` are judged there, by its --min-face."""
    max_train_samples: int = 0
    """Use only the first this many cleaned training samples (and as many for validation); 0 means all."""
    num_workers: int = 2
    """Processes that decode and cut crops, at least 0."""
    threads: int = 2
    """Threads of the training process itself, at least 1."""
    devices: int = 1
    """Processes that train together, each with batches of its own: one a GPU, or several on the processor."""
    seed: int = 1
    """Seed of everything random, at least 0."""

    def __post_init__(self) -> None:
        """Check every limit that the fields' descriptions state, and that they fit together."""
        check_limits(self, _LIMITS)
        check_multiples(self, {"crop_side": 16, "start_side": 16})
        check_choices(self, _CHOICES)
        try:
            fitting = all(size > 0 for size in self.hidden_sizes)
        except (ValueError, AttributeError):
            fitting = False
        if not fitting:
            raise ValueError(f"recipe {self.name}: hidden is {self.hidden!r}, it must be sizes such as 512,256")
        try:
            weights_by_source(self.source_weights)
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(f"recipe {self.name}: source_weights is {self.source_weights!r}: {error}") from error
        if bool(self.start_side) != bool(self.growth_epochs) or self.growth_epochs >= self.epochs:
            raise ValueError(
                f"recipe {self.name}: growth_epochs is {self.growth_epochs} and start_side {self.start_side} in "
                f"{self.epochs} epochs: set both or neither, and leave an epoch for crops of the whole size"
            )
        if self.start_side and not 32 <= self.start_side <= self.crop_side:
            raise ValueError(
                f"recipe {self.name}: start_side is {self.start_side}, it must lie within 32 to crop_side, "
                f"{self.crop_side}, or be 0"
            )
        if self.loss not in _LOSSES[self.head]:
            raise ValueError(
                f"recipe {self.name}: loss is {self.loss}, the head {self.head} takes {', '.join(_LOSSES[self.head])}"
            )
        if self.devices > 1 and self.frozen_epochs + self.unfreeze_epochs > 0 and self.frozen_epochs < self.epochs:
            # Gradients are shared between processes for those weights that learn in the first epoch.
            raise ValueError(
                f"recipe {self.name}: devices is {self.devices}, and a backbone cannot be unfrozen with several; "
                "keep it frozen for all epochs, or not at all"
            )

    def side_in(self, epoch: int) -> int:
        """Return the side of the training crops in an epoch, counted from 0: each size has the same share of epochs."""
        if epoch >= self.growth_epochs or not self.start_side:
            return self.crop_side
        sizes = range(self.start_side, self.crop_side, 16)
        return sizes[epoch * len(sizes) // self.growth_epochs] if sizes else self.crop_side

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """The sizes that `hidden` names."""
        return tuple(int(size) for size in filter(None, self.hidden.split(",")))

    @property
    def exportable(self) -> bool:
        """Whether the network is the one that model files hold."""
        return (self.backbone, self.head, self.hidden, self.normalization) == (
            "mobilenet_v2",
            "distribution",
            "",
            "signed",
        )


_LOSSES = {
    "distribution": ("soft_label", "mean_variance", "cross_entropy"),
    "regression": ("mse",),
    "groups": ("cross_entropy",),
}

_CHOICES = {
    "backbone": ("mobilenet_v2", "resnet50", "efficientnet_b0", "efficientnet_lite0", "efficientnet_lite2"),
    "normalization": ("signed", "imagenet"),
    "head": tuple(_LOSSES),
    "loss": ("soft_label", "mean_variance", "cross_entropy", "mse"),
    "optimizer": ("adamw", "adam"),
    "schedule": ("cosine", "one_cycle", "plateau", "constant"),
    "precision": ("bf16-mixed", "16-mixed", "32-true"),
    "balance": ("none", "sampler", "loss"),
    "select": ("val_mae", "val_loss", "val_accuracy"),
}

_LIMITS = (
    ("crop_side", 32, 512),
    ("start_side", 0, 512),
    ("growth_epochs", 0, UNBOUNDED),
    ("width", 0.1, 2),
    ("dropout", 0, BELOW_ONE),
    ("epochs", 1, UNBOUNDED),
    ("batch_size", 2, UNBOUNDED),
    ("learning_rate", TINY, UNBOUNDED),
    ("warmup_steps", 0, UNBOUNDED),
    ("weight_decay", 0, UNBOUNDED),
    ("label_sigma", TINY, UNBOUNDED),
    ("l1_weight", 0, UNBOUNDED),
    ("frozen_epochs", 0, UNBOUNDED),
    ("unfreeze_epochs", 0, UNBOUNDED),
    ("mean_weight", 0, UNBOUNDED),
    ("variance_weight", 0, UNBOUNDED),
    ("balance_power", 0, 1),
    ("distill_weight", 0, UNBOUNDED),
    ("temperature", TINY, UNBOUNDED),
    ("ema_decay", 0, BELOW_ONE),
    ("flip_share", 0, 1),
    ("rotation", 0, 180),
    ("scale", 0, 0.5),
    ("shift", 0, 0.5),
    ("point_noise", 0, 0.5),
    ("color_jitter", 0, BELOW_ONE),
    ("gray_share", 0, 1),
    ("degrade_share", 0, 1),
    ("backdrop_share", 0, 1),
    ("blur_share", 0, 1),
    ("sharpen_share", 0, 1),
    ("rescale_share", 0, 1),
    ("jpeg_share", 0, 1),
    ("exposure_share", 0, 1),
    ("erase_share", 0, 1),
    ("mix_share", 0, 1),
    ("min_face_side", 0, UNBOUNDED),
    ("max_train_samples", 0, UNBOUNDED),
    ("num_workers", 0, 256),
    ("threads", 1, 1024),
    ("devices", 1, 1024),
    ("seed", 0, 2**32 - 1),
)


def first_light() -> Recipe:
    """Return the recipe of the first released model: UTKFace, 112 pixels."""
    return Recipe(name="first_light")


def agepred_mobilenet_v2() -> Recipe:
    """Return the recipe of the released model's first run: several data sets, growing crops, poor pictures."""
    return Recipe(
        name="agepred_mobilenet_v2",
        crop_side=128,
        start_side=96,
        growth_epochs=7,
        epochs=15,
        blur_share=0.1,
        sharpen_share=0.2,
        rescale_share=0.15,
        jpeg_share=0.15,
        exposure_share=0.15,
    )


def agepred_teacher() -> Recipe:
    """Return the recipe of the network that teaches the released one: a larger one, on the same pictures."""
    return replace(
        agepred_mobilenet_v2(), name="agepred_teacher", backbone="efficientnet_lite2", crop_side=144, epochs=12
    )


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


def _reference(name: str, backbone: str) -> Recipe:
    """Return what the reference projects have in common: 224 pixels, batches of 32, ten epochs, crops as they are."""
    return Recipe(
        name=name,
        backbone=backbone,
        normalization="imagenet" if backbone in ("resnet50", "efficientnet_b0") else "signed",
        crop_side=224,
        epochs=10,
        batch_size=32,
        optimizer="adam",
        schedule="constant",
        learning_rate=1e-3,
        weight_decay=0.0,
        ema_decay=0.0,
        flip_share=0.0,
        rotation=0.0,
        scale=0.0,
        shift=0.0,
        point_noise=0.0,
        color_jitter=0.0,
        gray_share=0.0,
        degrade_share=0.0,
        erase_share=0.0,
    )


def _reference_groups(backbone: str) -> Recipe:
    """Return the recipe of the reference project that answers with one of four groups.

    The backbone is frozen. Pixels are normalized as the weights expect: torchvision's of MobileNetV2 want
    `normalization=imagenet`, those of TensorFlow that the others were trained with want `signed`.
    """
    return replace(
        _reference(f"reference_groups_{backbone}", backbone),
        head="groups",
        loss="cross_entropy",
        hidden="512,256",
        dropout=0.3,
        frozen_epochs=10,
        select="val_accuracy",
    )


def reference_regression_mobilenet_v2() -> Recipe:
    """Return the recipe of the reference project that answers with one number."""
    return replace(
        _reference("reference_regression_mobilenet_v2", "mobilenet_v2"),
        head="regression",
        loss="mse",
        balance="sampler",
        schedule="plateau",
        select="val_loss",
    )


_REFERENCE_BACKBONES = ("mobilenet_v2", "resnet50", "efficientnet_b0", "efficientnet_lite0")

RECIPES: dict[str, Callable[[], Recipe]] = {
    "first_light": first_light,
    "agepred_mobilenet_v2": agepred_mobilenet_v2,
    "agepred_teacher": agepred_teacher,
    **{f"reference_groups_{backbone}": partial(_reference_groups, backbone) for backbone in _REFERENCE_BACKBONES},
    "reference_regression_mobilenet_v2": reference_regression_mobilenet_v2,
    "smoke": smoke,
}
