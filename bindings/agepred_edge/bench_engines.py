"""The engines that agepred-bench lets run in turn: libagepred, and PyTorch where it is installed."""

import importlib.util
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import agepred_edge

Crop = NDArray[np.uint8]

PYTORCH_LAYOUTS = ("contiguous", "channels_last")


class BenchError(Exception):
    """What prevents a measurement; the message is for the person who runs the command."""


class Engine(Protocol):
    """A loaded network."""

    @property
    def run(self) -> Callable[[Crop], object]:
        """What is timed: one crop of S x S x 3 bytes, RGB, to what the engine makes of it."""

    def probabilities(self, crop: Crop) -> NDArray[np.float64]:
        """What the engine says of a crop, one probability an age."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineSpec:
    """Which engine on which file: all that a fresh process needs to load it."""

    name: str
    """As the table calls it."""
    model: str
    """Path of the ONNX file."""
    threads: int
    """Of one call."""
    layout: str | None = None
    """One of PYTORCH_LAYOUTS; None for libagepred."""

    def load(self) -> Engine:
        """Loads the network. Raises what agepred_edge and torch_peer raise for files they refuse."""
        if self.layout is None:
            return LibagepredEngine(self)
        return TorchEngine(self)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; EngineSpec(**spec.to_dict()) gives the same again."""
        return asdict(self)


class LibagepredEngine:
    """A model file in libagepred, called as its users call it: crop in, age with its spread out."""

    def __init__(self, spec: EngineSpec) -> None:
        estimator = agepred_edge.AgeEstimator(spec.model, threads=spec.threads)
        self.info = estimator.info
        self.run = estimator.predict_crop

    def probabilities(self, crop: Crop) -> NDArray[np.float64]:
        """As libagepred gives them."""
        return self.run(crop).probabilities.astype(np.float64)


class TorchEngine:
    """The same network in PyTorch, eager, without autograd. Its time ends with the logits."""

    def __init__(self, spec: EngineSpec) -> None:
        # Imported here, since agepred-bench must work without both.
        import torch  # noqa: PLC0415

        from agepred_edge import torch_peer  # noqa: PLC0415

        torch.set_num_threads(spec.threads)
        channels_last = spec.layout == "channels_last"
        module = torch_peer.load_peer(Path(spec.model), channels_last=channels_last)
        self._temperature = torch_peer.read_temperature(Path(spec.model))

        def run(crop: Crop) -> torch.Tensor:
            # A crop with its channels in the middle of memory is channels_last already.
            image = torch.from_numpy(crop).permute(2, 0, 1).unsqueeze(0)
            with torch.inference_mode():
                logits: torch.Tensor = module(image if channels_last else image.contiguous())
            return logits

        self.run = run

    def probabilities(self, crop: Crop) -> NDArray[np.float64]:
        """Softmax of the logits over the temperature that the file names."""
        logits = self.run(crop)[0].numpy().astype(np.float64) / self._temperature
        weights = np.exp(logits - logits.max())
        return np.asarray(weights / weights.sum())


def pytorch_is_here() -> bool:
    """Whether both modules that the PyTorch engine needs are installed; imports neither."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "onnx"))


def noise_crops(count: int, side: int, seed: int) -> list[Crop]:
    """Seeded crops of random pixels, from coarse blotches to single pixels, so that no two are alike."""
    random = np.random.default_rng(seed)
    crops = []
    for index in range(count):
        grain = 2 ** (index % 5)
        cells = -(-side // grain)
        coarse = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        full = coarse.repeat(grain, axis=0).repeat(grain, axis=1)
        crops.append(np.ascontiguousarray(full[:side, :side]))
    return crops


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How far the answers of two engines lie apart on the same crops."""

    of: str
    """Name of the engine that is compared."""
    against: str
    """Name of the engine that it is compared with."""
    crops: int
    mean_age_difference: float
    """Years, of the distributions' means."""
    max_age_difference: float
    """Years."""
    max_probability_difference: float
    """Of one age on one crop."""


def compare(crops: list[Crop], first_age: int, of: tuple[str, Engine], against: tuple[str, Engine]) -> Agreement:
    """Compares two named engines; first_age is the age of the first probability."""
    ages, differences = [], []
    for crop in crops:
        one, other = of[1].probabilities(crop), against[1].probabilities(crop)
        years = first_age + np.arange(one.size)
        ages.append(abs(float(one @ years - other @ years)))
        differences.append(float(np.abs(one - other).max()))
    return Agreement(
        of=of[0],
        against=against[0],
        crops=len(crops),
        mean_age_difference=float(np.mean(ages)),
        max_age_difference=max(ages),
        max_probability_difference=max(differences),
    )
