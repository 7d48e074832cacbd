import pytest
import torch
from torch import nn

from dunrestore.training.config import make_config
from dunrestore.training.optimisation import AveragedWeights, make_optimizer, set_learning_rate


class TwoParts(nn.Module):
    def __init__(self):
        super().__init__()
        self.car, self.hinet = nn.Linear(1, 1), nn.Linear(1, 1)


def test_warm_up_then_cosine():
    config = make_config({"lr": 1.0, "lr_final": 0.1, "warmup": 10, "iterations": 110})
    optimizer = make_optimizer(config, nn.Linear(1, 1))
    rates = [set_learning_rate(optimizer, config, i) for i in range(111)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10] == pytest.approx(1)
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_every_part_has_its_own_rate():
    config = make_config({"stage": "arin-joint", "lr_car": 1e-5, "lr": 1e-3, "warmup": 0})
    network = TwoParts()
    optimizer = make_optimizer(config, network)
    set_learning_rate(optimizer, config, 0)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
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


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_both_optimisers_step(name):
    network = nn.Linear(4, 1)
    before = network.weight.detach().clone()
    optimizer = make_optimizer(make_config({"optimizer": name}), network)
    network(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    assert not torch.equal(before, network.weight)
