"""Teachers: finished runs whose distributions a smaller network learns beside the labels."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from agepred_train.archive import DataError
from agepred_train.fit import BEST_CHECKPOINT
from agepred_train.folding import fold_normalization
from agepred_train.heads import head_of
from agepred_train.network import load_run
from agepred_train.recipes import Recipe
from agepred_train.shrinking import shrunk
from agepred_train.storage import sha256_of_file


class Teachers:
    """One or several networks that answer as their mean; no part of the network that learns from them.

    Args:
        runs: folders of finished runs; their best epochs count.
        student: recipe of the network that learns; its head must be the teachers'.

    Raises:
        FileNotFoundError: a run has no checkpoint.
        DataError: a run is not one of `train`, has another head, or one without a distribution.
    """

    def __init__(self, runs: Sequence[Path], student: Recipe) -> None:
        loaded = [load_run(run) for run in runs]
        self._sides = [recipe.crop_side for _, recipe in loaded]
        self.side = max(self._sides)
        """Side in pixels of the crops that they are given; those trained on smaller ones see them shrunk."""
        self.sha256 = [sha256_of_file(run / BEST_CHECKPOINT) for run in runs]
        """Of their checkpoints."""
        for run, (_, recipe) in zip(runs, loaded, strict=True):
            if recipe.head != student.head or not head_of(recipe).gives_distribution:
                raise DataError(
                    f"{run}: answers with the head {recipe.head}, the student with {student.head}; "
                    "teach a distribution by distributions, or groups by groups"
                )
        self._networks: list[nn.Module] = [network for network, _ in loaded]
        for network in self._networks:
            fold_normalization(network)
            network.requires_grad_(False)
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs

    def to(self, device: torch.device) -> None:
        """Move them."""
        for network in self._networks:
            network.to(device)

    @torch.no_grad()
    def distribution(self, crops: Tensor, temperature: float) -> Tensor:
        """Return the mean of the teachers' distributions at a temperature, float32 [N, K], of crops [N, 3, T, T]."""
        answers = [
            torch.softmax(network(shrunk(crops, side)).float() / temperature, dim=1)
            for network, side in zip(self._networks, self._sides, strict=True)
        ]
        return torch.stack(answers).mean(dim=0)
