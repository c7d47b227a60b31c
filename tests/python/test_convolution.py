"""Depthwise convolutions in mixed precision: torch's answers and gradients, computed another way."""

import pytest
import torch
from torch import Tensor, nn

from agepred_train.convolution import Conv2d

# Kernel, stride, padding, side: those of MobileNetV2 and EfficientNet-Lite, even and odd sides, padded before or here.
_SHAPES = [(3, 2, 1, 14), (3, 2, 1, 7), (3, 2, 0, 15), (5, 1, 2, 7), (5, 2, 2, 8), (5, 2, 0, 11), (3, 1, 1, 9)]


def _pair(kernel: int, stride: int, padding: int, channels: int = 6) -> tuple[nn.Conv2d, nn.Conv2d]:
    torch.manual_seed(kernel)
    ours = Conv2d(channels, channels, kernel, stride, padding, groups=channels, bias=False)
    torchs = nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels, bias=False)
    torchs.load_state_dict(ours.state_dict())
    return ours, torchs


def _gradients(layer: nn.Conv2d, pixels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    pixels = pixels.clone().requires_grad_()
    answers = layer(pixels)
    (answers.float() * weights).sum().backward()
    assert pixels.grad is not None
    assert layer.weight.grad is not None
    return answers.detach(), pixels.grad, layer.weight.grad


@pytest.mark.parametrize(("kernel", "stride", "padding", "side"), _SHAPES)
def test_gradients_in_mixed_precision_are_those_of_float32(kernel: int, stride: int, padding: int, side: int) -> None:
    ours, torchs = _pair(kernel, stride, padding)
    # Numbers that bfloat16 holds exactly, so that only what is computed differs.
    pixels = torch.randn(3, 6, side, side).bfloat16().float().contiguous(memory_format=torch.channels_last)
    for layer in (ours, torchs):
        layer.weight.data = layer.weight.data.bfloat16().float()
    shape = torchs(pixels).shape
    weights = torch.randn(shape).bfloat16().float()
    with torch.autocast("cpu", torch.bfloat16):
        answers, of_pixels, of_weights = _gradients(ours, pixels, weights)
    expected, expected_of_pixels, expected_of_weights = _gradients(torchs, pixels, weights)
    assert answers.dtype == torch.bfloat16
    torch.testing.assert_close(answers.float(), expected, rtol=2**-7, atol=2**-6)
    torch.testing.assert_close(of_pixels, expected_of_pixels, rtol=2**-7, atol=2**-6)
    torch.testing.assert_close(of_weights, expected_of_weights, rtol=2**-6, atol=2**-4)


@pytest.mark.parametrize(("kernel", "stride", "padding", "side"), _SHAPES)
def test_float32_is_left_to_torch(kernel: int, stride: int, padding: int, side: int) -> None:
    ours, torchs = _pair(kernel, stride, padding)
    pixels = torch.randn(2, 6, side, side)
    weights = torch.randn(torchs(pixels).shape)
    for mine, theirs in zip(_gradients(ours, pixels, weights), _gradients(torchs, pixels, weights), strict=True):
        assert torch.equal(mine, theirs)


def test_answers_without_gradients_are_torchs() -> None:
    ours, torchs = _pair(3, 2, 1)
    pixels = torch.randn(2, 6, 14, 14)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours(pixels), torchs(pixels))


def test_what_needs_no_gradient_gets_none() -> None:
    layer, _ = _pair(5, 2, 2)
    layer.weight.requires_grad_(False)
    pixels = torch.randn(2, 6, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        layer(pixels).float().sum().backward()
    assert layer.weight.grad is None
    assert pixels.grad is not None


def test_layers_that_are_not_depthwise_are_torchs() -> None:
    torch.manual_seed(0)
    ours = Conv2d(4, 8, 3, 2, 1, bias=False)
    torchs = nn.Conv2d(4, 8, 3, 2, 1, bias=False)
    torchs.load_state_dict(ours.state_dict())
    pixels = torch.randn(2, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        weights = torch.randn(torchs(pixels).shape)
        for mine, theirs in zip(_gradients(ours, pixels, weights), _gradients(torchs, pixels, weights), strict=True):
            assert torch.equal(mine, theirs)
