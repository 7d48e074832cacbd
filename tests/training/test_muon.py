import pytest
import torch
from torch import nn

from dunrestore.training.muon import Muon, orthogonalise, split_parameters


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_singular_values_come_near_one(dtype):
    torch.manual_seed(0)
    for shape in ((2, 8, 72), (1, 72, 8), (3, 16, 16)):
        found = orthogonalise(torch.randn(shape), dtype)
        assert found.dtype == dtype
        singular = torch.linalg.svdvals(found.float())
        assert singular.max() < 1.3
        assert singular.min() > 0.5


def test_matrices_of_one_shape_are_updated_as_each_by_itself():
    torch.manual_seed(0)
    shapes = [(8, 4, 3, 3), (8, 4, 3, 3), (8, 8, 1, 1)]
    together = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    alone = [nn.Parameter(p.detach().clone()) for p in together]
    optimisers = [Muon(together, lr=0.1, dtype=torch.float32)]
    optimisers += [Muon([p], lr=0.1, dtype=torch.float32) for p in alone]
    for _ in range(3):
        for one, other in zip(together, alone, strict=True):
            one.grad = torch.randn(one.shape)
            other.grad = one.grad.clone()
        for optimiser in optimisers:
            optimiser.step()
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other)


def test_it_minimises():
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 8, 3, padding=1, bias=False)
    target = nn.Conv2d(4, 8, 3, padding=1, bias=False)
    x = torch.randn(2, 4, 12, 12)
    optimiser = Muon(conv.parameters(), lr=0.02, weight_decay=0.0)
    losses = []
    for i in range(100):
        optimiser.param_groups[0]["lr"] = 0.06 * (1 - i / 100)
        loss = (conv(x) - target(x)).square().mean()
        conv.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.01 * losses[0]


def test_vectors_and_outer_layers_are_left_to_another():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 3, 3))
    network[1].bias.requires_grad_(False)
    inner, others = split_parameters(network)
    assert [tuple(p.shape) for p in inner] == [(8, 8, 3, 3)]
    assert len(others) == 4
