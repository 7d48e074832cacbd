"""What surrounds a convolution on a GPU, in one pass over its numbers.

cuDNN leaves the bias to a kernel of its own, and PyTorch has the activation, the addition and the
reflected border in others; with channels innermost in memory some of them are slow. On an H100 all
that took as much time as the convolutions. Triton, which comes with PyTorch for CUDA on Linux,
compiles kernels for it where it finds a C compiler; elsewhere PyTorch's own operations do it.
"""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dunrestore.errors import one_line
from dunrestore.models.allocation import is_out_of_memory

log = logging.getLogger(__name__)

_BLOCK = 2048
"""Numbers that a program of a kernel computes."""
_ROWS = 128
"""Pixels that a program of ``kernels.shortcut`` computes."""
_CHANNELS = (16, 32, 64, 128)
"""Of the result, with which it is used: all of a pixel's are computed by one program."""
_DEEP = 64
"""Channels of the input that it multiplies at a time."""
_LARGEST_WINDOW = 24
"""The kernel sums up every window anew; larger ones are left to PyTorch's running sums."""


def is_half_on_gpu(x: Tensor) -> bool:
    """Whether layers take a GPU's way for ``x``: inference under autocast to half precision."""
    return x.is_cuda and not torch.is_grad_enabled() and torch.is_autocast_enabled("cuda")


def finish(
    out: Tensor, bias: Tensor | None, slope: float | None = None, plus: Tensor | None = None
) -> Tensor:
    """Add a bias, apply a leaky ReLU and add a tensor, in place where that is possible.

    Args:
        out: (B, C, H, W), what a convolution without bias gave, on a CUDA device.
        bias: (C,), or None.
        slope: of the leaky ReLU on the negative side, None for no activation.
        plus: (B, C, H, W), or None.
    """
    if bias is None and slope is None and plus is None:
        return out
    kernels = _kernels(out.device)
    if kernels is not None and _innermost(out) and (plus is None or _innermost(plus)):
        with _current(out.device):
            launch_finish(kernels.finish, out, bias, slope, plus)
        return out
    if bias is not None:
        out += bias.view(-1, 1, 1)
    if slope is not None:
        out = F.leaky_relu(out, slope)
    return out if plus is None else plus + out


def with_shortcut(
    out: Tensor, bias: Tensor, slope: float, x: Tensor, weight: Tensor, own_bias: Tensor
) -> Tensor:
    """``finish(out, bias, slope)`` and a 1x1 convolution of another tensor, in place if possible.

    Otherwise the convolution's result would be written, read again and added.

    Args:
        out: (B, C, H, W), what a convolution without bias gave, on a CUDA device.
        bias: (C,).
        slope: of the leaky ReLU on the negative side.
        x: (B, D, H, W), channels last, of the same type.
        weight: (C, D, 1, 1), of the same type.
        own_bias: (C,), of the 1x1 convolution.
    """
    kernels = _kernels(out.device)
    cout, cin = weight.shape[:2]
    fits = cout in _CHANNELS and cin % min(_DEEP, cin) == 0 and min(_DEEP, cin) in _CHANNELS
    if kernels is None or not fits or not (_innermost(out) and _innermost(x)):
        return finish(torch.conv2d(x, weight), own_bias, None, finish(out, bias, slope))
    with _current(out.device):
        launch_shortcut(kernels.shortcut, out, bias, slope, x, weight, own_bias)
    return out


def joined(parts: Sequence[tuple[Tensor, Tensor | None]]) -> Tensor:
    """Add biases and join the results' channels, without a copy where that is possible.

    Args:
        parts: what convolutions without bias gave, (B, C, H, W), and their biases (C,), or None.
    """
    first, _ = parts[0]
    kernels = _kernels(first.device)
    if kernels is None or not all(_innermost(part) for part, _ in parts):
        return torch.cat([finish(part, bias) for part, bias in parts], dim=1)
    channels = sum(part.shape[1] for part, _ in parts)
    size = (first.shape[0], channels, *first.shape[2:])
    out = torch.empty(
        size, dtype=first.dtype, device=first.device, memory_format=torch.channels_last
    )
    begin = 0
    with _current(first.device):
        for part, bias in parts:
            launch_finish(kernels.finish, part, bias, None, None, out[:, begin:])
            begin += part.shape[1]
    return out


def reflected(x: Tensor, pad: int) -> Tensor:
    """Pad by reflection: (B, C, H, W) -> (B, C, H + 2 pad, W + 2 pad), channels last.

    PyTorch's own goes by way of float32 on the CPU, and of another order in memory.

    Args:
        x: channels last.
        pad: less than H and W.
    """
    height, width = x.shape[-2:]
    size = (*x.shape[:2], height + 2 * pad, width + 2 * pad)
    out = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    kernels = _kernels(x.device) if is_half_on_gpu(x) else None
    if kernels is not None:
        with _current(x.device):
            launch_reflect(kernels.reflect, x, out, pad)
        return out
    out[..., pad:-pad, pad:-pad] = x
    for i in range(pad):
        out[..., pad:-pad, i] = x[..., pad - i]
        out[..., pad:-pad, -1 - i] = x[..., width - 1 - pad + i]
    for i in range(pad):
        out[..., i, :] = out[..., 2 * pad - i, :]
        out[..., -1 - i, :] = out[..., i - 1 - 2 * pad, :]
    return out


def shuffled(x: Tensor, factor: int) -> Tensor:
    """Pixel-shuffle, (B, C r², H, W) -> (B, C, r H, r W), channels last, in one copy.

    PyTorch's own takes two on a GPU. On the CPU it is the faster one.
    """
    batch, _, height, width = x.shape
    x = x.permute(0, 2, 3, 1).reshape(batch, height, width, -1, factor, factor)
    x = x.permute(0, 1, 4, 2, 5, 3).reshape(batch, height * factor, width * factor, -1)
    return x.permute(0, 3, 1, 2)


def unshuffled(x: Tensor, factor: int) -> Tensor:
    """The inverse of ``shuffled``: (B, C, r H, r W) -> (B, C r², H, W)."""
    batch, _, height, width = x.shape
    x = x.permute(0, 2, 3, 1).reshape(batch, height // factor, factor, width // factor, factor, -1)
    x = x.permute(0, 1, 3, 5, 2, 4).reshape(batch, height // factor, width // factor, -1)
    return x.permute(0, 3, 1, 2)


def half_normalised(
    out: Tensor, weight: Tensor, bias: Tensor, window: int, eps: float, slope: float
) -> bool:
    """Normalise half of the channels by local statistics, then a leaky ReLU of all; in place.

    Args:
        out: (B, C, H, W).
        weight: (C / 2,) float32.
        bias: (C / 2,) float32.
        window: side of the window of the statistics in pixels.
        eps: added to the variance.
        slope: of the leaky ReLU on the negative side.

    Returns:
        Whether it was done: not without kernels, nor for large windows.
    """
    kernels = _kernels(out.device) if window <= _LARGEST_WINDOW else None
    if kernels is None or not _innermost(out):
        return False
    with _current(out.device):
        launch_normalise(kernels, out, weight, bias, window, eps, slope)
    return True


def launch_finish(
    kernel: Any,
    x: Tensor,
    bias: Tensor | None,
    slope: float | None,
    plus: Tensor | None,
    out: Tensor | None = None,
) -> None:
    """Run ``kernels.finish`` on what ``finish`` takes, channels innermost in memory.

    Args:
        kernel: ``kernels.finish``.
        x: see ``finish``.
        bias: see ``finish``.
        slope: see ``finish``.
        plus: see ``finish``.
        out: begins with the channels that the result is written into; None for ``x`` itself.
    """
    count, channels = x.numel(), x.shape[1]
    kernel[(-(-count // _BLOCK),)](
        x,
        x if out is None else out,
        x if bias is None else bias,
        x if plus is None else plus,
        count,
        slope or 0.0,
        channels=channels,
        all_channels=channels if out is None else out.stride(3),
        has_bias=bias is not None,
        has_slope=slope is not None,
        has_plus=plus is not None,
        block=_BLOCK,
    )


def launch_shortcut(
    kernel: Any,
    out: Tensor,
    bias: Tensor,
    slope: float,
    x: Tensor,
    weight: Tensor,
    own_bias: Tensor,
) -> None:
    """Run ``kernels.shortcut`` on what ``with_shortcut`` takes, channels innermost in memory."""
    cout, cin = weight.shape[:2]
    pixels = out.numel() // cout
    kernel[(-(-pixels // _ROWS),)](
        out, x, weight, bias, own_bias, pixels, slope,
        cin=cin, cout=cout, rows=_ROWS, deep=min(_DEEP, cin),
        widened=not x.is_cuda,  # the interpreter cannot multiply bfloat16
    )  # fmt: skip


def launch_reflect(kernel: Any, x: Tensor, out: Tensor, pad: int) -> None:
    """Run ``kernels.reflect`` from ``x`` to ``out``, channels innermost in memory."""
    batch, channels, height, width = out.shape
    kernel[(batch * height, -(-width * channels // _BLOCK))](
        x, out, *x.shape[-2:], pad=pad, channels=channels, block=_BLOCK
    )


def launch_normalise(
    kernels: Any,
    out: Tensor,
    weight: Tensor,
    bias: Tensor,
    window: int,
    eps: float,
    slope: float,
) -> None:
    """Run ``kernels.window_sums`` and ``kernels.normalise``, channels innermost in memory."""
    batch, channels, height, width = out.shape
    counted = channels // 2
    sums, squares = out.new_empty((2, batch, height, width, counted), dtype=torch.float32)
    # What is summed up is near zero if a pixel of the channel is taken off: float32 suffices.
    middle = out[:, :counted, height // 2, width // 2].to(torch.float32, copy=True).contiguous()
    kernels.window_sums[(batch * height, -(-width * counted // _BLOCK))](
        out, middle, sums, squares, height, width,
        side=min(window, width), channels=channels, counted=counted, block=_BLOCK,
    )  # fmt: skip
    kernels.normalise[(batch * height, -(-width * channels // _BLOCK))](
        out, middle, sums, squares, weight, bias, height, width, eps, slope,
        side_rows=min(window, height), side_columns=min(window, width),
        channels=channels, counted=counted, block=_BLOCK,
    )  # fmt: skip


def _current(device: torch.device) -> AbstractContextManager[object]:
    """Triton launches on the current device, not on its arguments'."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _innermost(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last)


def why_without_kernels(device: torch.device) -> str:
    """What keeps a GPU from the kernels; empty where nothing does."""
    return _tried(device)[1]


def _kernels(device: torch.device) -> Any:
    """The module ``kernels``; None where it cannot be used."""
    return _tried(device)[0]


_FOUND: dict[torch.device, tuple[Any, str]] = {}


def _tried(device: torch.device) -> tuple[Any, str]:
    """The module ``kernels``, or None and what is wrong; tried once on every device."""
    if device in _FOUND:
        return _FOUND[device]
    try:
        from dunrestore.models import kernels  # needs Triton

        numbers = torch.ones(1, 1, 2, 2, device=device)
        with _current(device):
            launch_finish(kernels.finish, numbers, None, None, numbers)
        right = numbers.sum().item() == 8  # waits for the device
        wrong = not (right and _shortcut_is_right(kernels.shortcut, device))
        found = (None, "a kernel computes wrongly") if wrong else (kernels, "")
    except Exception as error:  # whatever a compiler may raise
        found = None, one_line(error)
        if is_out_of_memory(error):
            return found  # another time perhaps
    if found[1]:
        log.info("no kernels of our own on %s: %s", device, found[1])
    _FOUND[device] = found
    return found


def _shortcut_is_right(kernel: Any, device: torch.device) -> bool:
    x, minus_two = (torch.full((1, 16, 2, 2), value, device=device) for value in (1.0, -2.0))
    weight, bias = torch.full((16, 16, 1, 1), 2.0, device=device), x.new_ones(16)
    dtype = torch.get_autocast_dtype("cuda")
    x, out, weight = (
        tensor.to(dtype).contiguous(memory_format=torch.channels_last)
        for tensor in (x, minus_two, weight)
    )
    with _current(device):
        launch_shortcut(kernel, out, bias.to(dtype), 0.5, x, weight, bias.to(dtype))
    return bool((out == -0.5 + 32 + 1).all())
