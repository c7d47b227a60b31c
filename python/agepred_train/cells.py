"""Where the cells of a network's last map lie in the crop."""

from dataclasses import dataclass

from torch import nn

from agepred_train.efficientnet_lite import EfficientNetLite

_HALVINGS = 5
"""Every backbone halves the crop five times, each time rounding up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellGrid:
    """The centers of what the cells see, in pixels of the crop; the first pixel's center is 0.5."""

    count: int
    """Cells in a row, and in a column."""
    first: float
    """Center of the first one, both ways."""
    step: float
    """Pixels to the next one's center."""


def cell_grid(network: nn.Module, side: int) -> CellGrid:
    """Return where the cells of `network.features` lie in a square crop.

    A layer that halves with the same padding on all sides centers cell i on cell 2 i of the layer before it.
    TensorFlow's padding, which EfficientNet-Lite has, centers it on cell 2 i + 1 where the number of cells is even.

    Args:
        network: of `make_network`.
        side: of the crop in pixels.
    """
    lopsided = isinstance(network.features, EfficientNetLite)
    count, first, step = side, 0.5, 1
    for _ in range(_HALVINGS):
        if lopsided and count % 2 == 0:
            first += step
        count, step = -(-count // 2), 2 * step
    return CellGrid(count=count, first=first, step=float(step))
