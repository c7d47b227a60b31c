"""Convolutions that learn as fast in bfloat16 on a processor as they answer.

oneDNN (through PyTorch 2.13) has fast bfloat16 kernels for a depthwise layer's answers, but not for all of its
gradients: that of the input is far slower where the stride is 2, that of the weights where the kernel is 5 x 5. Its
float32 kernels have no such gap, so these two are computed in float32 (benchmarks/training_step.py).
"""

from typing import Any

import torch
from torch import Tensor, nn

Sizes = tuple[int, ...]


class Conv2d(nn.Conv2d):
    """As torch's; only the gradients of depthwise layers in mixed precision on the processor go another way."""

    def _conv_forward(self, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        answer: Tensor
        if not self._slow_in_bfloat16(features):
            answer = super()._conv_forward(features, weight, bias)
            return answer
        features, weight = features.bfloat16(), weight.bfloat16()
        with torch.autocast("cpu", enabled=False):
            answer = _Depthwise.apply(features, weight, self.stride, self.padding)  # type: ignore[no-untyped-call]
        return answer

    def _slow_in_bfloat16(self, features: Tensor) -> bool:
        depthwise = self.groups > 1 and self.weight.shape[1] == 1 and self.groups == self.out_channels
        plain = self.bias is None and self.padding_mode == "zeros" and set(self.dilation) == {1}
        return (
            depthwise
            and plain
            and (self.stride[0] > 1 or self.kernel_size[0] > 3)
            and features.device.type == "cpu"
            and torch.is_grad_enabled()
            and torch.is_autocast_enabled("cpu")
            and torch.get_autocast_dtype("cpu") == torch.bfloat16
        )


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, stride: Sizes, padding: Sizes) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.stride, ctx.padding = stride, padding
        return nn.functional.conv2d(features, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        features, weight = ctx.saved_tensors
        wide = weight.shape[-1] > 3
        of_features = of_weight = None
        if ctx.needs_input_grad[0]:
            of_features = _gradients(ctx, gradient, features, weight, 0, exact=ctx.stride[0] > 1)
        if ctx.needs_input_grad[1]:
            of_weight = _gradients(ctx, gradient, features, weight, 1, exact=wide)
        return of_features, of_weight, None, None


def _gradients(ctx: Any, gradient: Tensor, features: Tensor, weight: Tensor, which: int, *, exact: bool) -> Tensor:
    """Return the gradient of the features (0) or of the weights (1), in their type; computed in float32 if `exact`."""
    given = (gradient, features, weight)
    if exact:
        given = (gradient.float(), features.float(), weight.float())
    wanted = [which == 0, which == 1, False]
    found = torch.ops.aten.convolution_backward(
        *given, None, ctx.stride, ctx.padding, (1, 1), False, (0, 0), len(weight), wanted
    )
    answer: Tensor = found[which].to(weight.dtype)
    return answer
