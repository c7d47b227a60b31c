"""What several processes that train together, and a run that goes on, must agree on: random numbers and weights."""

from typing import Any

import lightning
import torch
import torch.distributed
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from agepred_train.sampling import rank


class RandomState(Callback):
    """Keeps each process's random state in the checkpoint, so that a resumed run draws what an unbroken one would.

    Processes but the first begin with a seed of their own: else all would drop and vary alike.
    """

    def __init__(self) -> None:
        self._restored: list[dict[str, Tensor]] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all processes, gathered from them."""
        return {"states": _gathered(_random_state())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until the fit begins."""
        self._restored = state_dict["states"]

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Go on with the state of this process; Lightning makes the loaders' iterators, which draw, only later."""
        if rank() < len(self._restored):
            _restore(self._restored[rank()])
        elif rank():
            torch.manual_seed(torch.initial_seed() + rank())


class SameWeights(Callback):
    """Ends a training whose processes have come to differ, as they do where a gradient is not shared."""

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Compare the processes' weights."""
        refuse_different(pl_module)


def refuse_different(network: nn.Module) -> None:
    """Raise RuntimeError unless all processes have the same weights; statistics of normalization may differ."""
    with torch.no_grad():
        sums = [float(weight.double().sum()) for weight in network.parameters()]
    for other, theirs in enumerate(_gathered(sums)):
        if theirs != sums:
            raise RuntimeError(f"process {rank()} and process {other} train different weights")


def _gathered(value: Any) -> list[Any]:
    """Return every process's value, in their order."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [value]
    values = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def _random_state() -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _restore(state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
