"""Convolutions that compute what follows them in the same pass, on a processor in bfloat16.

In float32, on other devices and in training they are ``torch.nn`` layers followed by the
activation and the addition, to the last bit. On a CPU in bfloat16, where the elementwise passes and
the casting of weights cost as much as the convolutions, oneDNN does all of it at once; the
operators are those that PyTorch's own compiler emits.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Named by PyTorch's compiler, not documented for others: where one is missing nothing is fused.
_FUSED: Any = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
_FUSED_SUM: Any = getattr(torch.ops.mkldnn, "_convolution_pointwise_", None)
_SUPPORTED: Any = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)


def is_fused(x: Tensor) -> bool:
    """Whether layers take the fused way for ``x``: inference by a CPU under bfloat16 autocast."""
    return (
        x.device.type == "cpu"
        and not torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and _FUSED is not None
        and _FUSED_SUM is not None
        and _has_units()
    )


@cache
def _has_units() -> bool:
    # Without AVX-512 the operators refuse bfloat16, which plain layers emulate.
    available = torch.backends.mkldnn.is_available()
    return available and _SUPPORTED is not None and bool(_SUPPORTED())


class Conv(nn.Conv2d):
    """A convolution, then perhaps a factor, a leaky ReLU and the addition of another tensor.

    Args:
        cin: input channels.
        cout: output channels.
        size: side of the kernel.
        stride: step between output pixels.
        padding: pixels added on every side.
        bias: whether there is one.
        reflect: pad by reflection instead of zeros.
        slope: negative slope of the leaky ReLU, 0 for a ReLU, None for neither.
        scale: factor for the result, before the leaky ReLU.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        reflect: bool = False,
        slope: float | None = None,
        scale: float = 1.0,
    ) -> None:
        mode = "reflect" if reflect else "zeros"
        super().__init__(cin, cout, size, stride, padding, bias=bias, padding_mode=mode)
        self.slope, self.scale = slope, scale
        self._packed: tuple[list[tuple[int, int]], Tensor, Tensor | None] | None = None

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Tensor, plus: Tensor | None = None
    ) -> Tensor:
        """(B, cin, H, W) -> (B, cout, H', W').

        Args:
            x: the input.
            plus: added to the result. In the fused way its memory may become the result's, so it
                must not be needed afterwards.
        """
        if is_fused(x):
            return self._fused(x, plus)
        out = super().forward(x)
        if self.scale != 1:
            out = self.scale * out
        if self.slope is not None:
            out = F.leaky_relu(out, self.slope) if self.slope else F.relu(out)
        return out if plus is None else plus + out

    def _fused(self, x: Tensor, plus: Tensor | None) -> Tensor:
        x = x.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        padding = self.padding
        if self.padding_mode == "reflect" and any(self.padding):
            x, padding = reflected(x, int(self.padding[0])), (0, 0)
        weight, bias = self._weights()
        places = (padding, self.stride, self.dilation, self.groups)
        if plus is not None and self.slope is None and plus.dtype == torch.bfloat16:
            return _FUSED_SUM(plus, x, weight, bias, *places, "add", 1.0, None, [], None)
        after = ("none", [], "")
        if self.slope is not None:
            after = ("leaky_relu", [self.slope], "") if self.slope else ("relu", [], "")
        out: Tensor = _FUSED(x, weight, bias, *places, *after)
        return out if plus is None else plus + out

    def _weights(self) -> tuple[Tensor, Tensor | None]:
        """Weights and bias in bfloat16, made again only when they have changed."""
        state = [(p.data_ptr(), p._version) for p in self.parameters() if not p.is_inference()]
        if self._packed is None or self._packed[0] != state:
            weight = (self.weight.detach() * self.scale).to(torch.bfloat16)
            weight = weight.contiguous(memory_format=torch.channels_last)
            bias = self.bias
            added = None if bias is None else (bias.detach() * self.scale).to(torch.bfloat16)
            self._packed = (state, weight, added)
        return self._packed[1], self._packed[2]


def reflected(x: Tensor, pad: int) -> Tensor:
    """Pad by reflection: (B, C, H, W) -> (B, C, H + 2 pad, W + 2 pad), channels last.

    PyTorch's own goes by way of float32 and of another order in memory.
    """
    height, width = x.shape[-2:]
    out = x.new_empty((*x.shape[:2], height + 2 * pad, width + 2 * pad)).contiguous(
        memory_format=torch.channels_last
    )
    out[..., pad:-pad, pad:-pad] = x
    for i in range(pad):
        out[..., pad:-pad, i] = x[..., pad - i]
        out[..., pad:-pad, -1 - i] = x[..., width - 1 - pad + i]
    for i in range(pad):
        out[..., i, :] = out[..., 2 * pad - i, :]
        out[..., -1 - i, :] = out[..., i - 1 - 2 * pad, :]
    return out
