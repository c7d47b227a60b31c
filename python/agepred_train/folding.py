"""Batch normalization folded into the convolutions before it, for networks that only answer."""

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_normalization(network: nn.Module) -> None:
    """Fold every batch normalization of a network in place; it answers as before, but for rounding, and learns no more.

    Of two layers that follow one another in a module, the second must be given what the first answers: so it is in all
    backbones. The network is left in evaluation mode.

    Raises:
        ValueError: a batch normalization follows no convolution.
    """
    network.eval()
    for module in list(network.modules()):
        for (first, layer), (second, following) in pairwise(list(module.named_children())):
            if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                setattr(module, first, fuse_conv_bn_eval(layer, following))
                setattr(module, second, nn.Identity())
    if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        raise ValueError("a batch normalization follows no convolution")
