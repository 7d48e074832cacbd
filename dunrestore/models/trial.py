"""A trial of the kernels for GPUs, before they are used."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dunrestore.models.launches import (
    LARGEST_WINDOW,
    launch_attended,
    launch_finish,
    launch_normalise,
    launch_reflect,
    launch_shortcut,
)


def wrong_ones(kernels: Any, device: torch.device) -> list[str]:
    """Names of the kernels that compute another thing than PyTorch, of drawn numbers."""
    drawn = torch.Generator().manual_seed(0)
    dtype = torch.get_autocast_dtype("cuda")

    def draw(*shape: int) -> Tensor:
        numbers = torch.randn(shape, generator=drawn).to(device, dtype)
        innermost = torch.channels_last if len(shape) == 4 else torch.contiguous_format
        return numbers.contiguous(memory_format=innermost)

    x, y, z, out = (draw(2, 64, 9, 13) for _ in range(4))
    one, two, three = (draw(64) for _ in range(3))
    weight, large = draw(64, 64, 1, 1) / 8, draw(2, 64, 11, 15)

    def biased(numbers: Tensor, bias: Tensor) -> Tensor:
        return numbers.float() + bias.float().view(-1, 1, 1)

    finished = F.leaky_relu(biased(x, one), 0.2)
    wanted = {"finish": finished + y.float()}
    wanted["shortcut"] = finished + F.conv2d(y.float(), weight.float(), two.float())
    weighted = biased(x, one) * torch.sigmoid(biased(y, two)) + z.float()
    wanted["attended"] = biased(out, three) + F.conv2d(weighted, weight.float())
    wanted["reflect"] = F.pad(x.float(), (1,) * 4, mode="reflect")
    whole = F.instance_norm(x[:, :32].float(), weight=one[:32].float(), bias=two[:32].float())
    wanted["normalise"] = F.leaky_relu(torch.cat([whole, x[:, 32:].float()], dim=1), 0.2)
    found = {name: (out if name == "attended" else x).clone() for name in wanted}
    found["reflect"] = large
    launch_finish(kernels.finish, found["finish"], one, 0.2, y)
    launch_shortcut(kernels.shortcut, found["shortcut"], one, 0.2, y, weight, two)
    launch_attended(kernels.attended, x, one, y, two, z, weight, found["attended"], three)
    launch_reflect(kernels.reflect, x, large, 1)
    scale, shift = one[:32].float(), two[:32].float()
    launch_normalise(kernels, found["normalise"], scale, shift, LARGEST_WINDOW, 1e-5, 0.2)
    close = 2.0**-5  # bfloat16 has eight bits
    return [
        name
        for name, right in wanted.items()
        if not torch.allclose(found[name].float(), right, atol=close, rtol=close)
    ]
