"""Convolutions that compute what follows them in the same pass, in half precision.

In float32 and in training they are ``torch.nn`` layers followed by the activation and the addition,
to the last bit. On a CPU in bfloat16, where the elementwise passes and the casting of weights cost
as much as the convolutions, oneDNN does all of it at once; the operators are those that PyTorch's
own compiler emits. On a GPU one kernel does all that follows (``passes``).
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dunrestore.models import passes
from dunrestore.models.passes import finish, is_half_on_gpu, joined, reflected, shuffled, unshuffled

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
        self.cast: Cast | None = None

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Tensor, plus: Tensor | None = None
    ) -> Tensor:
        """(B, cin, H, W) -> (B, cout, H', W').

        Args:
            x: the input.
            plus: added to the result. In the CPU's fused way its memory may become the result's,
                so it must not be needed afterwards.
        """
        if is_fused(x):
            return self._fused(x, plus)
        if is_half_on_gpu(x):
            return finish(*self.unfinished(x), self.slope, plus)
        out = super().forward(x)
        if self.scale != 1:
            out = self.scale * out
        if self.slope is not None:
            out = F.leaky_relu(out, self.slope) if self.slope else F.relu(out)
        return out if plus is None else plus + out

    def _fused(self, x: Tensor, plus: Tensor | None) -> Tensor:
        x, padding = self._padded(x, torch.bfloat16)
        weight, bias = in_half(self, torch.bfloat16, self.scale)
        places = (padding, self.stride, self.dilation, self.groups)
        if plus is not None and self.slope is None and plus.dtype == torch.bfloat16:
            return _FUSED_SUM(plus, x, weight, bias, *places, "add", 1.0, None, [], None)
        after = ("none", [], "")
        if self.slope is not None:
            after = ("leaky_relu", [self.slope], "") if self.slope else ("relu", [], "")
        out: Tensor = _FUSED(x, weight, bias, *places, *after)
        return out if plus is None else plus + out

    def unfinished(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """On a GPU: the convolution without bias and what follows, and the bias."""
        dtype = torch.get_autocast_dtype("cuda")
        x, padding = self._padded(x, dtype)
        weight, bias = in_half(self, dtype, self.scale)
        return torch.conv2d(x, weight, None, self.stride, padding), bias

    def _padded(self, x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Any]:
        """The input, channels last, with its reflection if there is one; the zeros still to add."""
        x = x.to(dtype).contiguous(memory_format=torch.channels_last)
        if self.padding_mode == "reflect" and any(self.padding):
            return reflected(x, int(self.padding[0])), (0, 0)
        return x, self.padding


class Doubling(nn.ConvTranspose2d):
    """Doubles the resolution: a transposed 2x2 convolution of stride 2."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__(cin, cout, 2, stride=2)
        self.cast: Cast | None = None

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """(B, cin, H, W) -> (B, cout, 2H, 2W)."""
        return finish(*self.unfinished(x)) if is_half_on_gpu(x) else super().forward(x)

    def unfinished(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """As ``Conv.unfinished``."""
        dtype = torch.get_autocast_dtype("cuda")
        weight, bias = in_half(self, dtype)
        x = x.to(dtype).contiguous(memory_format=torch.channels_last)
        return torch.conv_transpose2d(x, weight, None, stride=2), bias


def both(first: Doubling, x: Tensor, second: Conv, y: Tensor) -> Tensor:
    """What two layers make of two inputs, their channels joined: (B, c + d, H, W).

    Args:
        first: gives the first channels.
        x: its input.
        second: gives the others; nothing follows its bias.
        y: its input.
    """
    if is_half_on_gpu(x):
        return joined([first.unfinished(x), second.unfinished(y)])
    return torch.cat([first(x), second(y)], dim=1)


def with_shortcut(shortcut: Conv, x: Tensor, conv: Conv, y: Tensor) -> Tensor:
    """``shortcut(x, conv(y))``, on a GPU in one pass after ``conv``: (B, c, H, W).

    Args:
        shortcut: 1x1, with a bias that nothing follows.
        x: its input.
        conv: with a bias and a leaky ReLU.
        y: its input.
    """
    if not is_half_on_gpu(x):
        return shortcut(x, conv(y))
    assert conv.slope is not None
    out, bias = conv.unfinished(y)
    weight, own_bias = in_half(shortcut, out.dtype)
    assert bias is not None
    assert own_bias is not None
    x = x.to(out.dtype).contiguous(memory_format=torch.channels_last)
    return passes.with_shortcut(out, bias, conv.slope, x, weight, own_bias)


class Shuffle(nn.PixelShuffle):
    """PyTorch's pixel-shuffle; on a GPU's way it keeps channels innermost in memory."""

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """(B, C r², H, W) -> (B, C, r H, r W)."""
        return shuffled(x, self.upscale_factor) if is_half_on_gpu(x) else super().forward(x)


class Unshuffle(nn.PixelUnshuffle):
    """The inverse of ``Shuffle``."""

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """(B, C, r H, r W) -> (B, C r², H, W)."""
        return unshuffled(x, self.downscale_factor) if is_half_on_gpu(x) else super().forward(x)


Cast = tuple[list[Any], Tensor, Tensor | None]
"""Of what it was made, a layer's weight and its bias in half precision."""


def in_half(
    layer: Conv | Doubling, dtype: torch.dtype, scale: float = 1.0
) -> tuple[Tensor, Tensor | None]:
    """A layer's weight, channels last, and bias, in ``dtype``; made again when they have changed.

    Args:
        layer: the convolution, which keeps them.
        dtype: bfloat16 or float16.
        scale: factor for both.
    """
    versions = [dtype, *made_of(layer)]
    if layer.cast is None or layer.cast[0] != versions:
        weight = (layer.weight.detach() * scale).to(dtype)
        weight = weight.contiguous(memory_format=torch.channels_last)
        bias = None if layer.bias is None else (layer.bias.detach() * scale).to(dtype)
        layer.cast = (versions, weight, bias)
    return layer.cast[1], layer.cast[2]


def made_of(*layers: nn.Module) -> list[Any]:
    """What changes when the layers' weights do."""
    weights = (p for layer in layers for p in layer.parameters() if not p.is_inference())
    return [(p.data_ptr(), p._version) for p in weights]
