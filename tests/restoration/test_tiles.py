import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from dunrestore.imaging import rows, tiling
from dunrestore.models.colours import Part, count_colours
from dunrestore.models.guided import Guided, GuidedConfig
from dunrestore.models.hinet import HINetConfig
from dunrestore.models.several_devices import Runners
from dunrestore.restoration.tiles import batches, evidence_of, look_plan


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


@pytest.mark.parametrize("at_once", [rows.AT_ONCE, 40 * 150])
@pytest.mark.parametrize(("softness", "soft"), [(0.0, False), (1.2, True)])
def test_soft_edges_are_seen_whatever_the_bands(monkeypatch, softness, soft, at_once):
    monkeypatch.setattr(rows, "AT_ONCE", at_once)
    lost = np.zeros((200, 150))
    lost[8:190:16, 60:70] = lost[12:190:16, 60:70] = 1
    lost[20:30, 10:140] = 1
    cover = gaussian_filter(lost, softness)[..., None]
    paint = np.random.default_rng(0).uniform(0.35, 0.45, (200, 150, 3))
    picture = (paint * (1 - cover) + cover).astype(np.float32)
    plan = tiling.plan(200, 150, tile=None, overlap=0, multiple=48)
    logits = np.full((*plan.padded, 1), 9, np.float32)  # the padding's count for nothing
    logits[:200, :150, 0] = np.where(picture.min(2) > 0.9, 8, -8)
    x = torch.from_numpy(picture).permute(2, 0, 1)
    likely = torch.from_numpy(logits[:200, :150, 0]).sigmoid()
    counts = count_colours(x, likely, Part.whole(200, 150)).numpy()
    evidence = evidence_of(counts, plan, picture, logits)
    assert evidence.rims is soft
    assert not evidence_of(counts, plan, picture, None).rims


def test_no_edge_is_soft_where_nothing_is_lost():
    plan = tiling.plan(96, 96, tile=None, overlap=0, multiple=48)
    picture = np.random.default_rng(0).random((96, 96, 3), np.float32)
    likely = torch.full((96, 96), 0.01)
    x = torch.from_numpy(picture).permute(2, 0, 1)
    counts = count_colours(x, likely, Part.whole(96, 96)).numpy()
    assert not evidence_of(counts, plan, picture, np.full((96, 96, 1), -5, np.float32)).rims
