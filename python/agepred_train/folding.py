"""Batch normalization folded into the convolutions before it, for networks that only answer."""

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_normalization(network: nn.Module) -> None:
    """Fold the batch normalization of a network's dense convolutions in place; it answers faster, and learns no more.

    That of depthwise ones stays: folded, some have biases that are large beside what they are added to, and bfloat16
    would round these to half a year of the answer. In float32 the answers are as before, but for rounding.

    Of two layers that follow one another in a module, the second must be given what the first answers: so it is in all
    backbones. The network is left in evaluation mode.
    """
    network.eval()
    for module in list(network.modules()):
        for (first, layer), (second, following) in pairwise(list(module.named_children())):
            if isinstance(layer, nn.Conv2d) and layer.groups == 1 and isinstance(following, nn.BatchNorm2d):
                setattr(module, first, fuse_conv_bn_eval(layer, following))
                setattr(module, second, nn.Identity())
