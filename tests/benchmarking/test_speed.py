import pytest
import torch
from torch.nn import Conv2d
from torch.utils.flop_counter import FlopCounterMode

from dunrestore.benchmarking.speed import multiply_adds
from dunrestore.models.architectures import build

HINET = {"width": 2, "depth": 3, "hin_first": 2, "hin_last": 2}
CAR = {"width": 8, "residual_blocks": 1, "edsr": {"blocks": 1, "features": 4, "scale": 2}}
SMALL = {
    "hinet": HINET,
    "car": CAR,
    "arin": {"car": CAR, "hinet": HINET},
    "guided": {"finder_width": 2, "finder_depth": 2, "hinet": HINET | {"in_channels": 7}},
}


@pytest.mark.parametrize("architecture", SMALL)
def test_the_work_of_every_restoring_network_can_be_counted(architecture):
    network = build(architecture, SMALL[architecture]).eval()
    first = next(m for m in network.modules() if isinstance(m, Conv2d))
    least = first.weight.numel() * 128 * 128  # CAR's first counted layer works at half the size
    assert multiply_adds(network) > least


def test_counting_counts_multiply_adds_of_convolutions():
    network = build("hinet", HINET).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 256, 256))
    assert multiply_adds(network) == counter.get_total_flops() // 2
