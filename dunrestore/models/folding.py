"""Layers with nothing but numbers between them, folded into one: fewer steps, and fewer roundings.

Only for half precision: in float32 every layer is computed as it was trained, to the last bit.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from dunrestore.models.convolution import Conv, made_of

T = TypeVar("T")


class Folds:
    """Layers made of others, made again when those have changed; no part of a network's state."""

    def __init__(self) -> None:
        self._made: tuple[list[Any], Any] | None = None

    def of(self, layers: tuple[Conv, ...], make: Callable[..., T]) -> T:
        """What ``make`` makes of the layers, which stay the same ones."""
        versions = made_of(*layers)
        if self._made is None or self._made[0] != versions:
            self._made = versions, make(*layers)
        return self._made[1]


def through_joint(first: Conv, joint: Conv) -> tuple[Conv, Conv]:
    """Fold a convolution into the 1x1 convolution of its result and further channels.

    Args:
        first: (c, d, k, k), with a bias that nothing follows.
        joint: (e, c + f, 1, 1), with a bias.

    Returns:
        ``a`` and ``b``, so that ``joint(cat[first(x), y])`` is ``a(x) + b(y)``; ``b`` has no bias.
    """
    c = first.out_channels
    weight = joint.weight.detach().double()[:, :, 0, 0]
    own = torch.einsum("ec,cdij->edij", weight[:, :c], first.weight.detach().double())
    bias = _bias(joint) + weight[:, :c] @ _bias(first)
    a = _made(own, bias, padding=int(first.padding[0]))
    return a, _made(weight[:, c:, None, None], None, padding=0)


def through_shuffle(up: Conv, last: Conv) -> Conv:
    """Fold two 3x3 convolutions with a pixel-shuffle by 2 between them into one before it.

    Args:
        up: (4 c, d, 3, 3), padding 1, with a bias that nothing follows.
        last: (e, c, 3, 3), padding 1, with a bias.

    Returns:
        (4 e, d, 5, 5), padding 2; its result, shuffled by 2, is that of the two but for the
        outermost pixels: beyond them ``last`` sees zeros, not what ``up`` would give there.
    """
    c, e = last.in_channels, last.out_channels
    first, second = up.weight.detach().double(), last.weight.detach().double()
    # (c, row, column, d, 3, 3): the four pixels that the shuffle makes of one
    first = first.view(c, 2, 2, up.in_channels, 3, 3)
    biases = _bias(up).view(c, 2, 2)
    weight = first.new_zeros(e, 2, 2, up.in_channels, 5, 5)
    bias = _bias(last).view(e, 1, 1).repeat(1, 2, 2)
    places = [divmod(place, 2) for place in range(-1, 3)]  # of the pixels that ``last`` looks at
    for row in range(2):
        for column in range(2):
            for i, (down, at_row) in enumerate(places[row : row + 3]):
                for j, (across, at_column) in enumerate(places[column : column + 3]):
                    by = second[:, :, i, j]
                    own = torch.einsum("ec,cdij->edij", by, first[:, at_row, at_column])
                    there = weight[:, row, column, :, 1 + down : 4 + down, 1 + across : 4 + across]
                    there += own
                    bias[:, row, column] += by @ biases[:, at_row, at_column]
    return _made(weight.flatten(0, 2), bias.flatten(), padding=2)


def _bias(layer: Conv) -> Tensor:
    assert layer.bias is not None
    return layer.bias.detach().double()


def _made(weight: Tensor, bias: Tensor | None, padding: int) -> Conv:
    cout, cin, size, _ = weight.shape
    layer = Conv(cin, cout, size, padding=padding, bias=bias is not None)
    layer.weight = nn.Parameter(weight.float(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.float(), requires_grad=False)
    return layer
