"""Grad-CAM by autograd, for every backbone and head.

Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", equations 1
and 2, of the age that the head answers, on the backbone's last map. The map is given before the paper's ReLU: its sign
says whether a place makes the face look older or younger.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from agepred_train.heads import Head
from agepred_train.network import Network


def grad_cam(network: Network, head: Head, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Explain the ages of crops.

    Args:
        network: in evaluation mode.
        head: of the same recipe.
        pixels: crops [N, 3, S, S], RGB, 0..255, uint8 or float.

    Returns:
        Ages in years [N], and maps [N, h, w]: with g the gradient of the age by the features F [N, C, h, w], the sum
        over channels of mean(g) F. With a head that is pooling and one linear layer, the cells of a map add up to the
        first-order part of the age that comes from the features, in years.
    """
    with _tapped(network.features) as taps:
        ages = head.age(network(pixels))
    (features,) = taps
    (gradient,) = torch.autograd.grad(ages.sum(), features)
    maps = (gradient.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1)
    return ages.detach(), maps.detach()


@contextmanager
def _tapped(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a module answers; gradients end there, so that none are kept for the layers before."""
    taps: list[Tensor] = []

    def tap(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        taps.append(output.detach().requires_grad_())
        return taps[-1]

    handle = module.register_forward_hook(tap)
    learning = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in learning:
        weight.requires_grad_(False)
    try:
        with torch.enable_grad():
            yield taps
    finally:
        handle.remove()
        for weight in learning:
            weight.requires_grad_(True)
