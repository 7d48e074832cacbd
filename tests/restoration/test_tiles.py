import pytest
import torch

from dunrestore.imaging import tiling
from dunrestore.models.guided import Guided, GuidedConfig
from dunrestore.models.hinet import HINetConfig
from dunrestore.models.several_devices import Runners
from dunrestore.restoration.tiles import batches, look_plan


def test_tiles_computed_together_are_of_one_size_and_one_row():
    plan = tiling.plan(1100, 2000, tile=480, overlap=48, multiple=48)
    assert plan.heights == (432, 432, 336)
    assert plan.widths == (480, 480, 480, 480, 288)
    made = list(batches(plan, 3))
    assert [len(batch) for batch in made] == [3, 1, 1] * 3
    assert [tile for batch in made for tile in batch] == list(plan.tiles())
    assert all(len({(tile.row, tile.size) for tile in batch}) == 1 for batch in made)
    assert list(batches(plan, 3, first_row=2)) == made[6:]


def test_tiles_that_are_only_looked_at_are_larger_and_share_what_the_finder_sees():
    inner = HINetConfig(width=32, in_channels=7)
    network = Guided(GuidedConfig(finder_width=16, finder_depth=5, hinet=inner)).eval()
    runners = Runners(network, [torch.device("cpu")])
    plan = tiling.plan(3000, 2000, tile=960, overlap=128, multiple=48, aligned=64)
    looks = look_plan(runners, plan)
    assert looks is not None
    assert looks.padded == plan.padded
    assert plan.largest < looks.largest
    known = network.config
    assert looks.largest**2 * known.look_bytes_per_pixel(4) <= 960**2 * known.bytes_per_pixel(4)
    pairs = zip(looks.tops, looks.heights, looks.tops[1:], strict=False)
    assert [top + height - below for top, height, below in pairs] == [256] * (len(looks.tops) - 1)
    assert all(origin % 64 == 0 for origin in (*looks.tops, *looks.lefts))
    assert len(looks.tops) > 1
    small = look_plan(runners, tiling.plan(3000, 2000, tile=96, overlap=48, multiple=48))
    assert small is not None
    assert small.heights[0] > 256


@pytest.mark.parametrize("tile", [96, None])
def test_a_picture_of_one_tile_is_looked_at_as_a_whole(tile):
    network = Guided(GuidedConfig(hinet=HINetConfig(width=4, in_channels=7))).eval()
    runners = Runners(network, [torch.device("cpu")])
    plan = tiling.plan(91, 96, tile=tile, overlap=48 if tile else 0, multiple=48)
    looks = look_plan(runners, plan)
    assert looks is not None
    assert (looks.count, looks.padded) == (1, plan.padded)
