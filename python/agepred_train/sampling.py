"""Which samples a training epoch takes, in what order, on which process; and how rare ages are made up for."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.distributed
from numpy.typing import NDArray
from torch.utils.data import Sampler

from agepred_train.data import AGES, Sample
from agepred_train.labels import GROUPS


def balancing_weights(samples: Sequence[Sample], *, by_group: bool, power: float) -> NDArray[np.float64]:
    """Return a weight per sample that makes up for how often its age, or its group, occurs: mean 1, [n].

    A range counts for its ages evenly. The weight is the mean over the label's ages, or groups, of
    1 / occurrences to the power: 0 changes nothing, 1 makes all equally heavy.
    """
    shares = np.stack([_share_of_ages(sample) for sample in samples])
    if by_group:
        shares = np.stack([shares[:, low : high + 1].sum(axis=1) for low, high in GROUPS], axis=1)
    counts = shares.sum(axis=0)
    value = np.power(counts, -power, where=counts > 0, out=np.zeros_like(counts))
    weights: NDArray[np.float64] = shares @ value
    weights /= weights.mean()
    return weights


class EpochSampler(Sampler[int]):
    """The indices of an epoch: all of them shuffled, or as many drawn by weight; with several processes, a share.

    Epoch number i is the same whenever it is asked for (Lightning names it), and all processes draw the same, of
    which each takes every so many.

    Args:
        count: of the samples.
        weights: how often each is drawn, in relation to the others, with replacement; None takes each once.
        processes: that share an epoch; what does not fill a round is left out.
        seed: of the draws.
    """

    def __init__(self, count: int, *, weights: NDArray[np.float64] | None, processes: int, seed: int) -> None:
        self._count = count
        self._weights = None if weights is None else torch.from_numpy(weights)
        self._processes = processes
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next pass is of."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the number of this process's indices."""
        return self._count // self._processes

    def __iter__(self) -> Iterator[int]:
        """Yield this process's indices."""
        # Far apart, so that no epoch of a seed is the epoch of another.
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        if self._weights is None:
            order = torch.randperm(self._count, generator=generator)
        else:
            order = torch.multinomial(self._weights, self._count, replacement=True, generator=generator)
        yield from order[: len(self) * self._processes][rank() :: self._processes].tolist()


class ShareSampler(Sampler[int]):
    """Every so many of the indices in order: what one of several processes validates, none twice."""

    def __init__(self, count: int, processes: int) -> None:
        self._count = count
        self._processes = processes

    def __len__(self) -> int:
        """Return the number of this process's indices."""
        return len(range(rank(), self._count, self._processes))

    def __iter__(self) -> Iterator[int]:
        """Yield this process's indices."""
        yield from range(rank(), self._count, self._processes)


def rank() -> int:
    """Return the number of this process among those that train together; 0 for one alone."""
    ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_rank() if ready else 0


def _share_of_ages(sample: Sample) -> NDArray[np.float64]:
    share = np.zeros(len(AGES))
    share[sample.age_min : sample.age_max + 1] = 1.0 / (sample.age_max - sample.age_min + 1)
    return share
