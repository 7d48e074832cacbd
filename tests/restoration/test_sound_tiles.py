"""Where nothing is lost, and that changes nothing, pictures are left to themselves."""

import numpy as np
import pytest
import tifffile
import torch

from dunrestore.checkpoints.load import Model
from dunrestore.errors import OutputCheckError
from dunrestore.models.guided import Guided, GuidedConfig
from dunrestore.models.hinet import HINetConfig
from dunrestore.models.runner import Runner
from dunrestore.restoration import change, large, source
from dunrestore.restoration.change import plan_tiles
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.picture import restore_picture
from dunrestore.restoration.sound import leaves_sound
from tests.restoration.batches import EPOCH
from tests.restoration.test_large import WhiteIsLost, restored, stopped_when

SIDE = 96


@pytest.fixture
def network(request):
    torch.manual_seed(1)
    level = getattr(request, "param", 1)
    inner = HINetConfig(width=2, depth=2, hin_first=level, hin_last=level, in_channels=7)
    network = Guided(GuidedConfig(finder_width=2, finder_depth=2, pyramid_levels=3, hinet=inner))
    network.finder = WhiteIsLost()
    with torch.no_grad():
        network.hinet.last.weight.mul_(4)
    asked: list[int] = []
    network.hinet.register_forward_pre_hook(lambda _, given: asked.append(len(given[0])))
    network.asked = asked
    return network.requires_grad_(False).eval()


def scan(noise=0.0):
    """A smooth picture of three rows of four tiles with a loss in one of them."""
    rows, columns = np.mgrid[:240, :330] / 330
    picture = np.stack([0.2 + 0.3 * rows, 0.5 - 0.3 * columns, 0.3 + 0.2 * rows * columns], axis=2)
    picture += np.random.default_rng(0).normal(0, noise, picture.shape)
    picture[20:30, 20:40] = 1
    return picture.clip(0, 1).astype(np.float32)


def options(**more):
    return RestoreOptions(
        **{"tile": SIDE, "overlap": 16, "device": "cpu", "precision": "fp32"} | more
    )


def applied(found):
    return found.proposal.change * found.weight[..., None]


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("preserve", ["auto", "always"])
def test_what_comes_out_is_the_same(network, preserve, batch_size):
    chosen = options(preserve=preserve, batch_size=batch_size)
    left = restore_picture(scan(), network, chosen)
    number = sum(network.asked)
    whole = restore_picture(scan(), network, chosen, complete=True)
    assert left.weight.any()
    assert np.array_equal(applied(left), applied(whole))
    assert np.array_equal(left.losses, whole.losses)
    assert number == 1
    assert left.proposal.computed.tiles_left == sum(network.asked) - 2 == 11
    assert whole.proposal.computed.tiles_left == 0


@pytest.mark.parametrize("tile", [SIDE, None])
def test_a_sound_picture_needs_no_more_than_the_finder(network, tile):
    sound = scan()[64:]
    found = restore_picture(sound, network, options(tile=tile))
    assert not network.asked
    assert not found.proposal.change.any()
    assert restore_picture(sound, network, options(tile=tile), complete=True).proposal.change.any()


@pytest.mark.parametrize("tile", [SIDE, None])
def test_of_a_scan_that_may_be_noisy_all_is_asked(network, tile):
    found = restore_picture(scan(noise=0.06), network, options(tile=tile))
    assert found.proposal.computed.tiles_left == 0
    assert sum(network.asked) == (12 if tile else 1)


def test_where_nothing_is_preserved_all_is_asked(network):
    restore_picture(scan(), network, options(preserve="never"))
    assert sum(network.asked) == 12


@pytest.mark.parametrize("preserve", ["auto", "never"])
def test_a_mask_says_which_tiles_are_asked(network, preserve):
    lost = np.zeros((240, 330), bool)
    lost[200:210, 300:310] = True
    found = restore_picture(scan(noise=0.06), network, options(preserve=preserve), lost=lost)
    assert sum(network.asked) == (1 if preserve == "auto" else 12)
    assert found.proposal.change[lost].any()


@pytest.mark.parametrize("size", [(96, 500), (400, 500)])
@pytest.mark.parametrize(("preserve", "noise"), [("always", 0), ("auto", 0), ("auto", 0.06)])
def test_the_same_from_the_disk(monkeypatch, tmp_path, network, size, preserve, noise):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    path = tmp_path / "in.tif"
    picture = np.pad(scan(), ((0, size[0]), (0, size[1]), (0, 0)), "reflect")[: size[0], : size[1]]
    picture += np.random.default_rng(1).normal(0, noise, picture.shape)
    tifffile.imwrite(path, np.rint(picture.clip(0, 1) * 255).astype(np.uint8), photometric="rgb")
    model = Model("random", "guided", network, {}, "0" * 64, tmp_path)
    results, asked = [], []
    for on_disk in (False, True):
        monkeypatch.setattr(source, "IN_MEMORY", 0 if on_disk else 10**9)
        folder = tmp_path / str(on_disk)
        folder.mkdir()
        values = {"tile": SIDE, "overlap": 16, "preserve": preserve}
        results.append(restored(folder, path, model, values)[0])
        asked.append(sum(network.asked))
        network.asked.clear()
    assert results[0] == results[1]
    assert asked[0] == asked[1]
    count = plan_tiles(size, network, options(), SIDE)[0].count
    assert asked[0] == count if noise else 0 < asked[0] < count


def test_of_a_scan_of_which_too_little_tells_all_is_asked(network):
    """The finder takes nearly all of it for lost, the colours do not."""
    picture = scan()
    lost = np.ones((240, 330, 1), np.float32)
    lost[:10] = -1
    assert not leaves_sound("auto", picture, lost)
    assert leaves_sound("auto", picture, -lost)


@pytest.mark.parametrize("rows", [1, 3])
def test_what_was_left_is_known_after_an_interruption(monkeypatch, tmp_path, network, rows):
    seen = []
    compute = change.compute

    def noted(*given, **more):
        found = compute(*given, **more)
        seen.append(found[1].tiles_left)
        return found

    monkeypatch.setattr(large, "compute", noted)
    monkeypatch.setattr(source, "IN_MEMORY", 0)
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, np.rint(scan() * 255).astype(np.uint8), photometric="rgb")
    model = Model("random", "guided", network, {}, "0" * 64, tmp_path)
    values = {"tile": SIDE, "overlap": 16, "device": "cpu", "precision": "fp32"}
    stopped_when(lambda done, _: done == 4 * rows, monkeypatch, tmp_path, path, model, values)
    restored(tmp_path, path, model, values)
    assert seen == [11]


def large_scan():
    """One tile with three losses, two of them near each other."""
    picture = np.tile(scan()[64:224, 64:224], (3, 4, 1))
    for row, column in ((20, 30), (40, 60), (430, 600)):
        picture[row : row + 12, column : column + 9] = 1
    return picture


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("tile", [None, 640])
@pytest.mark.parametrize("network", [2], indirect=True, ids=["without normalisation"])
def test_of_a_tile_only_what_surrounds_its_losses_is_asked(network, tile, given):
    sizes = []
    network.hinet.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[-2:]))
    picture, chosen = large_scan(), options(tile=tile, overlap=None)
    lost = (picture == 1).all(axis=2) if given else None
    around = restore_picture(picture, network, chosen, lost=lost)
    # 64 pixels beside a loss, half of what tiles share, to multiples of what halves alike.
    assert sizes == [(120, 136), (480 - 360, 642 - 536)]
    assert around.proposal.computed.tiles_left == 1
    whole = restore_picture(picture, network, chosen, lost=lost, complete=True)
    assert sizes[2:] == [(480, 642)]
    assert np.array_equal(around.losses, whole.losses)
    assert np.abs(applied(around)).max() > 0.05
    assert np.allclose(applied(around), applied(whole), atol=1e-5)
    assert not around.proposal.change[200:300].any()


class Averages(torch.nn.Module):
    """Of the filled picture, which takes the noise away."""

    def forward(self, x):
        averaged = torch.nn.functional.avg_pool2d(x[:, :3], 7, 1, 3, count_include_pad=False)
        return averaged, averaged


def noisy_scan():
    """Grey with a flat white loss that holds more than a tenth of it."""
    noise = np.random.default_rng(0).normal(0.4, 0.07, (480, 642, 3))
    noise[20:220, 20:220] = 1
    return noise.clip(0, 1).astype(np.float32)


@pytest.mark.parametrize("tile", [None, 640])
def test_flat_losses_hide_no_noise(network, tile):
    """Of what surrounds them alone a patch would be cleaned."""
    network.hinet = Averages()
    found = restore_picture(noisy_scan(), network, options(tile=tile, overlap=None))
    assert not found.preserved
    assert found.proposal.change[300:].any(axis=2).mean() > 0.9


def test_a_scan_is_not_cleaned_by_what_surrounds_its_losses(network):
    """Its colour alone tells of the larger one, so that the finder's logits hide the noise."""

    class Half(WhiteIsLost):
        def forward(self, x):
            logits = super().forward(x).clamp(max=5)
            logits[..., 40:220, 20:220] = -1
            return logits

    network.finder, network.hinet = Half(), Averages()
    found = restore_picture(noisy_scan(), network, options(tile=None, overlap=None))
    assert found.losses[30:210, 30:210].all()
    assert found.proposal.computed.tiles_left == 1
    assert found.preserved


def test_with_the_statistics_of_the_whole_picture_all_of_it_is_asked(network):
    picture = large_scan()
    around = restore_picture(picture, network, options(tile=0))
    assert sum(network.asked) == 1
    whole = restore_picture(picture, network, options(tile=0), complete=True)
    assert np.array_equal(applied(around), applied(whole))


@pytest.mark.parametrize("value", [float("nan"), 9.0])
def test_what_is_wrong_around_one_loss_is_noticed(network, value):
    """A constant, or no number, though most of the tile is left as it is."""
    calls = []

    def spoil(_module, given, stages):
        calls.append(given[0].dtype)
        bad = torch.full_like(stages[-1], value)
        return (*stages[:-1], bad if len(calls) == 2 else stages[-1])

    network.hinet.register_forward_hook(spoil)
    with pytest.raises(OutputCheckError, match=r"not finite|constant"):
        restore_picture(large_scan(), network, options(tile=None, overlap=None))
    assert len(calls) == 2


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_finder_without_an_answer_leaves_nothing_as_sound(network, batch_size):
    class Silent(torch.nn.Module):
        def forward(self, x):
            return torch.full_like(x[:, :1], float("nan"))

    network.finder = Silent()
    runner = Runner(network, torch.device("cpu"), window=96, leaves_sound=True)
    tiles = np.repeat(scan()[None, :96, :96], batch_size, axis=0)
    with pytest.raises(OutputCheckError, match="not finite"):
        runner.compute(tiles)
