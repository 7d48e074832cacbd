# pyright: basic, reportMissingImports=false
# Triton reads these functions' sources: parameters that are not constants bear no annotations.
"""Kernels for GPUs, in Triton; ``passes`` launches them and says what their arguments are."""

import triton
from triton import language as tl


@triton.jit
def finish(
    source,
    out,
    bias,
    plus,
    count,
    slope,
    channels: tl.constexpr,
    all_channels: tl.constexpr,
    has_bias: tl.constexpr,
    has_slope: tl.constexpr,
    has_plus: tl.constexpr,
    block: tl.constexpr,
):
    """Add a bias, apply a leaky ReLU, add a tensor; into some of ``out``'s channels."""
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < count
    value = tl.load(source + at, mask=inside).to(tl.float32)
    if has_bias:
        value += tl.load(bias + at % channels).to(tl.float32)
    if has_slope:
        value = tl.where(value > 0, value, value * slope)
    if has_plus:
        value += tl.load(plus + at, mask=inside).to(tl.float32)
    write = at if all_channels == channels else at // channels * all_channels + at % channels
    tl.store(out + write, value, mask=inside)


@triton.jit
def shortcut(
    source,
    x,
    matrix,
    bias,
    own_bias,
    pixels,
    slope,
    cin: tl.constexpr,
    cout: tl.constexpr,
    rows: tl.constexpr,
    deep: tl.constexpr,
    widened: tl.constexpr,
):
    """Add a bias to ``source``, apply a leaky ReLU, add a 1x1 convolution of ``x``; in place."""
    row = tl.program_id(0).to(tl.int64) * rows + tl.arange(0, rows)
    column, depth = tl.arange(0, cout), tl.arange(0, deep)
    inside = (row < pixels)[:, None]
    at = source + row[:, None] * cout + column[None, :]
    value = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    total = tl.full([rows, cout], 0.0, tl.float32)
    for start in range(0, cin, deep):
        some = tl.load(x + row[:, None] * cin + (start + depth)[None, :], mask=inside, other=0.0)
        by = tl.load(matrix + column[None, :] * cin + (start + depth)[:, None])
        if widened:
            some, by = some.to(tl.float32), by.to(tl.float32)
        total = tl.dot(some, by, total)
    value += tl.load(bias + column).to(tl.float32)[None, :]
    value = tl.where(value > 0, value, value * slope)
    value += total + tl.load(own_bias + column).to(tl.float32)[None, :]
    tl.store(at, value, mask=inside)


@triton.jit
def attended(
    source,
    gate,
    features,
    out,
    matrix,
    bias,
    gate_bias,
    out_bias,
    pixels,
    channels: tl.constexpr,
    rows: tl.constexpr,
    widened: tl.constexpr,
):
    """Add to ``out`` a bias and a 1x1 convolution of ``source * sigmoid(gate) + features``."""
    row = tl.program_id(0).to(tl.int64) * rows + tl.arange(0, rows)
    column = tl.arange(0, channels)
    inside = (row < pixels)[:, None]
    at = row[:, None] * channels + column[None, :]
    value = tl.load(out + at, mask=inside, other=0.0).to(tl.float32)
    value += tl.load(out_bias + column).to(tl.float32)[None, :]
    some = tl.load(source + at, mask=inside, other=0.0).to(tl.float32)
    some += tl.load(bias + column).to(tl.float32)[None, :]
    share = tl.load(gate + at, mask=inside, other=0.0).to(tl.float32)
    share += tl.load(gate_bias + column).to(tl.float32)[None, :]
    some = some / (1 + tl.exp(-share))
    some += tl.load(features + at, mask=inside, other=0.0).to(tl.float32)
    by = tl.load(matrix + column[None, :] * channels + column[:, None])
    if widened:
        by = by.to(tl.float32)
    else:
        some = some.to(by.dtype)
    value = tl.dot(some, by, value)
    tl.store(out + at, value, mask=inside)


@triton.jit
def reflect(
    source,
    out,
    rows,
    columns,
    pad: tl.constexpr,
    channels: tl.constexpr,
    block: tl.constexpr,
):
    """Pad by reflection; a program fills a part of one row."""
    line = tl.program_id(0).to(tl.int64)
    picture, y = line // (rows + 2 * pad), line % (rows + 2 * pad) - pad
    y = tl.where(y < 0, -y, y)
    y = tl.where(y >= rows, 2 * rows - 2 - y, y)
    at = tl.program_id(1) * block + tl.arange(0, block)
    inside = at < (columns + 2 * pad) * channels
    x = at // channels - pad
    x = tl.where(x < 0, -x, x)
    x = tl.where(x >= columns, 2 * columns - 2 - x, x)
    read = source + ((picture * rows + y) * columns) * channels
    value = tl.load(read + x * channels + at % channels, mask=inside)
    tl.store(out + line * ((columns + 2 * pad) * channels) + at, value, mask=inside)


@triton.jit
def window_sums(
    source,
    middle,
    sums,
    squares,
    rows,
    columns,
    side: tl.constexpr,
    channels: tl.constexpr,
    counted: tl.constexpr,
    block: tl.constexpr,
):
    """Sums over ``side`` columns of the first ``counted`` channels, less ``middle``."""
    line = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * block + tl.arange(0, block)
    inside = at < columns * counted
    first = at // counted - (side - 1) // 2
    first = tl.minimum(tl.maximum(first, 0), columns - side)
    off = tl.load(middle + line // rows * counted + at % counted, mask=inside, other=0.0)
    read = source + line * (columns * channels) + first * channels + at % counted
    total = tl.full([block], 0.0, tl.float32)
    square = tl.full([block], 0.0, tl.float32)
    for step in range(side):
        value = tl.load(read + step * channels, mask=inside).to(tl.float32) - off
        total += value
        square += value * value
    write = line * (columns * counted) + at
    tl.store(sums + write, total, mask=inside)
    tl.store(squares + write, square, mask=inside)


@triton.jit
def normalise(
    out,
    middle,
    sums,
    squares,
    weight,
    bias,
    rows,
    columns,
    eps,
    slope,
    side_rows: tl.constexpr,
    side_columns: tl.constexpr,
    channels: tl.constexpr,
    counted: tl.constexpr,
    block: tl.constexpr,
):
    """Normalise the first ``counted`` channels, then a leaky ReLU of all; a part of one row."""
    line = tl.program_id(0).to(tl.int64)
    picture, y = line // rows, line % rows
    first = tl.minimum(tl.maximum(y - (side_rows - 1) // 2, 0), rows - side_rows)
    at = tl.program_id(1) * block + tl.arange(0, block)
    inside = at < columns * channels
    channel = at % channels
    normal = inside & (channel < counted)
    own = (at // channels) * counted + channel
    read = (picture * rows + first) * (columns * counted) + own
    total = tl.full([block], 0.0, tl.float32)
    square = tl.full([block], 0.0, tl.float32)
    for step in range(side_rows):
        total += tl.load(sums + read + step * (columns * counted), mask=normal, other=0.0)
        square += tl.load(squares + read + step * (columns * counted), mask=normal, other=0.0)
    off = tl.load(middle + picture * counted + channel, mask=normal, other=0.0)
    mean = total / (side_rows * side_columns)
    variance = tl.maximum(square / (side_rows * side_columns) - mean * mean, 0.0)
    write = out + line * (columns * channels) + at
    value = tl.load(write, mask=inside).to(tl.float32)
    scale = tl.load(weight + channel, mask=normal, other=1.0)
    shift = tl.load(bias + channel, mask=normal, other=0.0)
    normalised = (value - off - mean) * tl.rsqrt(variance + eps) * scale + shift
    value = tl.where(channel < counted, normalised, value)
    value = tl.where(value > 0, value, value * slope)
    tl.store(write, value, mask=inside)
