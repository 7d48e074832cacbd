import pytest
import torch
from torch import nn

from dunrestore.training.config import make_config
from dunrestore.training.optimisation import AveragedWeights, make_optimizers, set_learning_rate


class TwoParts(nn.Module):
    def __init__(self):
        super().__init__()
        self.car, self.hinet = nn.Linear(1, 1), nn.Linear(1, 1)


def test_warm_up_then_cosine():
    config = make_config({"lr": 1.0, "lr_final": 0.1, "warmup": 10, "iterations": 110})
    optimizers = make_optimizers(config, nn.Linear(1, 1), torch.float32)
    rates = [set_learning_rate(optimizers, config, i) for i in range(111)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10] == pytest.approx(1)
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_every_part_has_its_own_rate():
    config = make_config({"stage": "arin-joint", "lr_car": 1e-5, "lr": 1e-3, "warmup": 0})
    network = TwoParts()
    optimizers = make_optimizers(config, network, torch.float32)
    set_learning_rate(optimizers, config, 0)
    rates = {id(p): g["lr"] for o in optimizers for g in o.param_groups for p in g["params"]}
    assert rates[id(network.car.weight)] == pytest.approx(1e-5)
    assert rates[id(network.hinet.bias)] == pytest.approx(1e-3)


def test_the_average_follows_quickly_at_first_and_slowly_later():
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = AveragedWeights(network, 0.99)
    nn.init.ones_(network.weight)
    average.update(1)
    assert average.network.weight.item() == pytest.approx(1 - 2 / 11)
    before = average.network.weight.item()
    average.update(10_000)
    assert average.network.weight.item() == pytest.approx(before + 0.01 * (1 - before))
    assert not average.network.weight.requires_grad


@pytest.mark.parametrize("name", ["adam", "adamw", "muon"])
def test_every_optimiser_moves_every_weight(name):
    network = nn.Linear(5, 6)
    before = [p.detach().clone() for p in network.parameters()]
    optimizers = make_optimizers(make_config({"optimizer": name}), network, torch.float32)
    assert len(optimizers) == (2 if name == "muon" else 1)
    network(torch.ones(1, 5)).square().sum().backward()
    for optimizer in optimizers:
        optimizer.step()
    assert not any(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_muons_rate_follows_its_parts():
    config = make_config(
        {
            "stage": "arin-joint",
            "optimizer": "muon",
            "lr": 1e-3,
            "lr_muon": 4e-3,
            "lr_car": 1e-4,
            "warmup": 0,
        }
    )
    network = nn.ModuleDict({"car": nn.Linear(6, 6), "hinet": nn.Linear(6, 6)})
    optimizers = make_optimizers(config, network, torch.float32)
    set_learning_rate(optimizers, config, 0)
    rates = {id(p): g["lr"] for o in optimizers for g in o.param_groups for p in g["params"]}
    assert rates[id(network["car"].weight)] == pytest.approx(4e-4)
    assert rates[id(network["hinet"].weight)] == pytest.approx(4e-3)
    assert rates[id(network["car"].bias)] == pytest.approx(1e-4)
