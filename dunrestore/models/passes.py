"""What surrounds a convolution on a GPU, in one pass over its numbers.

cuDNN leaves the bias to a kernel of its own, and PyTorch has the activation, the addition and the
reflected border in others; with channels innermost in memory some of them are slow. On an H100 all
that took as much time as the convolutions. Triton, which comes with PyTorch for CUDA on Linux,
compiles kernels for it where it finds a C compiler; elsewhere PyTorch's own operations do it.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dunrestore.errors import one_line
from dunrestore.models.allocation import is_out_of_memory
from dunrestore.models.launches import (
    DEEP,
    LARGEST_WINDOW,
    ROWS,
    launch_attended,
    launch_finish,
    launch_normalise,
    launch_reflect,
    launch_shortcut,
)
from dunrestore.models.trial import wrong_ones

log = logging.getLogger(__name__)


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
    if (
        _innermost(out)
        and (plus is None or _innermost(plus))
        and _launched(out, lambda kernels: launch_finish(kernels.finish, out, bias, slope, plus))
    ):
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
    cout, cin = weight.shape[:2]
    fits = cout in ROWS and cin % min(DEEP, cin) == 0 and min(DEEP, cin) in ROWS
    given = (out, bias, slope, x, weight, own_bias)
    if (
        fits
        and _multiplies(out.device)
        and _innermost(out)
        and _innermost(x)
        and _launched(out, lambda kernels: launch_shortcut(kernels.shortcut, *given))
    ):
        return out
    return finish(torch.conv2d(x, weight), own_bias, None, finish(out, bias, slope))


def attended(
    first: Tensor,
    first_bias: Tensor,
    gate: Tensor,
    gate_bias: Tensor,
    features: Tensor,
    weight: Tensor,
    plus: Tensor,
    bias: Tensor,
) -> Tensor:
    """A 1x1 convolution of ``first * sigmoid(gate) + features``, added to ``plus``, in one pass.

    Args:
        first: (B, C, H, W), channels last, what a convolution without bias gave.
        first_bias: (C,).
        gate: like ``first``.
        gate_bias: (C,).
        features: like ``first``.
        weight: (C, C, 1, 1), of the same type.
        plus: like ``first``; where possible its memory becomes the result's.
        bias: (C,), of the sum.
    """
    given = (first, first_bias, gate, gate_bias, features, weight, plus, bias)
    if (
        weight.shape[0] in ROWS
        and _multiplies(first.device)
        and all(map(_innermost, (first, gate, features, plus)))
        and _launched(first, lambda kernels: launch_attended(kernels.attended, *given))
    ):
        return plus
    weighted = finish(first, first_bias) * torch.sigmoid(finish(gate, gate_bias)) + features
    return finish(torch.conv2d(weighted, weight), bias, None, plus)


def joined(parts: Sequence[tuple[Tensor, Tensor | None]]) -> Tensor:
    """Add biases and join the results' channels, without a copy where that is possible.

    Args:
        parts: what convolutions without bias gave, (B, C, H, W), and their biases (C,), or None.
    """
    first, _ = parts[0]
    if _kernels(first.device) is not None and all(_innermost(part) for part, _ in parts):
        size = (first.shape[0], sum(part.shape[1] for part, _ in parts), *first.shape[2:])
        out = torch.empty(
            size, dtype=first.dtype, device=first.device, memory_format=torch.channels_last
        )

        def launch(kernels: Any) -> None:
            begin = 0
            for part, bias in parts:
                launch_finish(kernels.finish, part, bias, None, None, out[:, begin:])
                begin += part.shape[1]

        if _launched(first, launch):
            return out
    return torch.cat([finish(part, bias) for part, bias in parts], dim=1)


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
    if is_half_on_gpu(x) and _launched(x, lambda own: launch_reflect(own.reflect, x, out, pad)):
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
    return (
        window <= LARGEST_WINDOW
        and _innermost(out)
        and _launched(
            out,
            lambda kernels: launch_normalise(kernels, out, weight, bias, window, eps, slope),
        )
    )


def _current(device: torch.device) -> AbstractContextManager[object]:
    """Triton launches on the current device, not on its arguments'."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _innermost(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last)


@cache
def _multiplies(device: torch.device) -> bool:
    """Whether Triton multiplies matrices with a GPU's units for that: it does from Ampere on; on
    older ones its kernels would be slower than PyTorch's several."""
    return device.type != "cuda" or torch.cuda.get_device_capability(device) >= (8, 0)


def why_without_kernels(device: torch.device) -> str:
    """What keeps a GPU from the kernels; empty where nothing does."""
    return _tried(device)[1]


def _kernels(device: torch.device) -> Any:
    """The module ``kernels``; None where it cannot be used."""
    return _tried(device)[0]


def _launched(x: Tensor, launch: Callable[[Any], object]) -> bool:
    """Whether the kernels did it; where one cannot be built they are not used any more."""
    kernels = _kernels(x.device)
    if kernels is None:
        return False
    try:
        with _current(x.device):
            launch(kernels)
    except Exception as error:  # before anything was written
        if is_out_of_memory(error):
            raise
        _FOUND[x.device] = None, one_line(error)
        log.warning("no kernels of our own on %s any more: %s", x.device, one_line(error))
        return False
    return True


_FOUND: dict[torch.device, tuple[Any, str]] = {}


def _tried(device: torch.device) -> tuple[Any, str]:
    """The module ``kernels``, or None and what is wrong; tried once on every device."""
    if device in _FOUND:
        return _FOUND[device]
    try:
        from dunrestore.models import kernels  # needs Triton

        with _current(device):
            wrong = wrong_ones(kernels, device)
        found = (None, f"{wrong[0]} computes wrongly") if wrong else (kernels, "")
    except Exception as error:  # whatever a compiler may raise
        found = None, one_line(error)
        if is_out_of_memory(error):
            return found  # another time perhaps
    if found[1]:
        log.info("no kernels of our own on %s: %s", device, found[1])
    _FOUND[device] = found
    return found
