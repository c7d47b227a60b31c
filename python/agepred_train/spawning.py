"""How processes that train together are started: so that this package is the first thing that each imports.

A spawned process imports what its first message names. Of Lightning's own launcher that is Lightning, and with it
torchvision, which beside a torch that its binary does not fit has to be prepared for (torchvision_operators.py).
A launcher of this package brings this package's import, which does so, before Lightning's.
"""

from typing import Final

from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers.multiprocessing import _MultiProcessingLauncher

_METHOD: Final = "spawn"


class SpawnedProcesses(DDPStrategy):
    """Data-parallel training by spawned processes, as Lightning's `ddp_spawn`."""

    def __init__(self) -> None:
        super().__init__(start_method=_METHOD)

    def _configure_launcher(self) -> None:
        self._launcher = _OwnLauncher(self, start_method=_METHOD)


class _OwnLauncher(_MultiProcessingLauncher):
    """Lightning's, by a name that leads to this module."""
