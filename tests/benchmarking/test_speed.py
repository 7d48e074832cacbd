import pytest
from torch.nn import Conv2d

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


def test_a_small_network_counted_by_hand():
    """Multiply-adds a pixel: channels in x channels out x kernel, a quarter a level down."""
    ends = 2 * (3 * 2 * 9) + 2 * 3 * 9  # conv_01, conv_02, last
    level_0 = 2 * 2 + 2 * (2 * 2 * 9) + 2 * 2 * 16 // 4  # 1x1, two 3x3, 4x4 with stride 2
    level_1 = (2 * 4 + 2 * 4 * 9 + 4 * 4 * 9) // 4
    up = 4 * 2 * 4 // 4 + 2 * 2 * 9 + (4 * 2 + 4 * 2 * 9 + 2 * 2 * 9)  # 2x2, skip, 1x1, two 3x3
    between = 2 * 2 * 9 + 2 * (2 * 3 * 9) + 4 * 2  # SAM, cat12
    fusion = 2 * (2 * 2 * 9)  # csff_enc, csff_dec of the second stage
    network = build("hinet", HINET | {"depth": 2}).eval()
    expected = ends + 2 * (level_0 + level_1 + up) + between + fusion
    assert multiply_adds(network) == expected * 256 * 256
