"""How the kernels for GPUs are launched: their grids and what is constant in them."""

from typing import Any

import torch
from torch import Tensor

_BLOCK = 2048
"""Numbers that a program of a kernel computes."""
ROWS = {16: (128, 4), 32: (128, 4), 64: (128, 8), 128: (64, 8)}
"""By the channels of the result, which one program computes for a pixel: pixels and warps of a
program of the kernels that multiply matrices. More would not fit the registers."""
DEEP = 64
"""Channels of the input that it multiplies at a time."""
LARGEST_WINDOW = 24
"""The kernel sums up every window anew; larger ones are left to PyTorch's running sums."""


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
    pixels, (rows, warps) = out.numel() // cout, ROWS[cout]
    kernel[(-(-pixels // rows),)](
        out, x, weight, bias, own_bias, pixels, slope,
        cin=cin, cout=cout, rows=rows, deep=min(DEEP, cin),
        widened=not x.is_cuda,  # the interpreter cannot multiply bfloat16
        num_warps=warps,
    )  # fmt: skip


def launch_attended(
    kernel: Any,
    first: Tensor,
    first_bias: Tensor,
    gate: Tensor,
    gate_bias: Tensor,
    features: Tensor,
    weight: Tensor,
    out: Tensor,
    bias: Tensor,
) -> None:
    """Run ``kernels.attended`` on what ``attended`` takes, channels innermost in memory."""
    channels = weight.shape[0]
    pixels, (rows, warps) = out.numel() // channels, ROWS[channels]
    kernel[(-(-pixels // rows),)](
        first, gate, features, out, weight, first_bias, gate_bias, bias, pixels,
        channels=channels, rows=rows, widened=not out.is_cuda, num_warps=warps,
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
