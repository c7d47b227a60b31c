"""Crops at a smaller size than the one they were cut at."""

from torch import Tensor
from torch.nn import functional


def shrunk(crops: Tensor, side: int) -> Tensor:
    """Return crops [N, 3, S, S] at a smaller side, antialiased.

    Bytes stay bytes on the processor and become floats from 0 to 255 elsewhere.
    """
    if crops.shape[-1] == side:
        return crops
    # PyTorch's kernel for bytes is the processor's alone; the network takes floats as well.
    pixels = crops if crops.device.type == "cpu" else crops.float()
    return functional.interpolate(pixels, (side, side), mode="bilinear", antialias=True)
