from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dunrestore.datasets.colour import clip_tones, vary_colours
from dunrestore.datasets.layouts import list_pairs
from dunrestore.datasets.patches import PatchOptions, PatchStream, enlarged, grid
from dunrestore.datasets.pictures import PictureStore, check
from dunrestore.degradations.recipes import RECIPES, Recipe
from dunrestore.errors import InputError
from tests.datasets.folders import clean_folder, save

SMALL = PatchOptions(side=24)


@pytest.fixture(scope="module")
def stream_of(tmp_path_factory):
    folder = clean_folder(tmp_path_factory.mktemp("clean"), 3)
    store = PictureStore(10**8)
    pictures = check(list_pairs(folder), store)
    return lambda options=SMALL: PatchStream(pictures, store, options)


EVERYTHING = replace(
    SMALL,
    enlarged=0.5,
    colours=0.7,
    inversion=0.3,
    clipped=0.4,
    charts=0.4,
    prints=0.4,
    painted=0.4,
    sound=0.2,
    recipe=RECIPES["robust"],
)


@pytest.mark.parametrize("options", [SMALL, EVERYTHING, replace(SMALL, task="deblur"),
                                     replace(SMALL, task="derain")])  # fmt: skip
def test_a_sample_is_a_function_of_its_number(stream_of, options):
    forwards, backwards = stream_of(options), stream_of(options)
    ahead = [forwards.sample(i) for i in range(12)]
    back = [backwards.sample(i) for i in reversed(range(12))][::-1]
    for one, other in zip(ahead, back, strict=True):
        assert np.array_equal(one.input, other.input)
        assert np.array_equal(one.target, other.target)
        assert np.array_equal(one.mask, other.mask)
    assert len({s.target.tobytes() for s in ahead}) > 9
    assert all(s.input.min() >= 0 and s.input.max() <= 1 for s in ahead)


def test_a_batch_has_the_networks_axes(stream_of):
    stream = stream_of()
    inputs, targets, masks = stream.batch([5, 2])
    assert inputs.shape == targets.shape == (2, 3, 24, 24)
    assert masks.shape == (2, 1, 24, 24)
    assert inputs.dtype == targets.dtype == masks.dtype == np.float32
    assert np.array_equal(inputs[1], stream.sample(2).input.transpose(2, 0, 1))
    lost = masks.astype(bool).repeat(3, axis=1)
    assert (inputs[lost] == 1).all()
    assert np.array_equal(inputs[~lost], targets[~lost])


def test_sound_patches_stay_whole(stream_of):
    stream = stream_of(replace(SMALL, sound=1.0))
    assert not any(stream.sample(i).mask.any() for i in range(5))


def test_enlarged_patches_are_parts_of_the_picture_and_smoother():
    rng = np.random.default_rng(0)
    picture = np.add.outer(np.arange(96), 2 * np.arange(96))[..., None].astype(np.float32)
    picture = np.repeat(picture / picture.max(), 3, axis=2)
    slope = float(picture[10, 11, 0] - picture[10, 10, 0])
    factors: list[float] = []
    for _ in range(40):
        result = enlarged(picture, rng)
        assert result.shape == picture.shape
        assert result.dtype == np.float32
        middle = result[20:76, 20:76]
        assert middle.min() >= picture.min()
        assert middle.max() <= picture.max()
        steps = np.diff(middle[..., 0], axis=1)
        factors.append(slope / float(steps.mean()))
        assert steps.std() < 0.2 * steps.mean()
    assert 0.95 < min(factors) < 1.3
    assert 3.2 < max(factors) < 4.2


def test_no_patch_is_enlarged_unless_asked_for(stream_of):
    plain, larger = stream_of(), stream_of(replace(SMALL, enlarged=1.0))
    fine = [
        np.abs(np.diff(s.sample(i).target, axis=1)).mean()
        for s in (plain, larger)
        for i in range(8)
    ]
    assert np.mean(fine[8:]) < np.mean(fine[:8])


def test_rescaling_has_nothing_to_repair(stream_of):
    sample = stream_of(replace(SMALL, task="rescale")).sample(0)
    assert np.array_equal(sample.input, sample.target)


@pytest.mark.parametrize("task", ["deblur", "derain"])
def test_pretraining_tasks_change_the_picture(stream_of, task):
    stream = stream_of(replace(SMALL, task=task))
    difference = [np.abs(s.input - s.target).mean() for s in map(stream.sample, range(8))]
    assert np.mean(difference) > 0.005
    assert max(difference) < 0.4


def test_damaged_files_keep_their_own_damage_and_get_noise(tmp_path):
    for i in range(2):
        path = save(tmp_path / "target" / f"{i}.png", i)
        pixels = np.array(Image.open(path))
        pixels[10:30, 10:40] = 255
        (tmp_path / "input").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "input" / f"{i}.png")
    store = PictureStore(10**8)
    pictures = check(list_pairs(tmp_path), store)
    options = replace(SMALL, side=40, colours=1.0, flips=False, turns=False)
    plain = PatchStream(pictures, store, options).sample(0)
    assert (plain.input[plain.mask] == 1).all()
    assert np.array_equal(plain.input[~plain.mask], plain.target[~plain.mask])
    noisy = PatchStream(pictures, store, replace(options, recipe=Recipe(gaussian=(8, 8))))
    noise = noisy.sample(0).input - plain.input
    assert noise[~plain.mask].std() * 255 == pytest.approx(8, rel=0.15)


def test_windows_without_detail_are_passed_over(tmp_path):
    pixels = np.full((64, 64, 3), 200, np.uint8)
    pixels[:, 40:] = np.random.default_rng(0).integers(0, 255, (64, 24, 3))
    Image.fromarray(pixels).save(tmp_path / "half.png")
    store = PictureStore(10**8)
    pictures = check(list_pairs(tmp_path), store)
    options = replace(SMALL, side=16)
    flat = [PatchStream(pictures, store, replace(options, min_detail=d)) for d in (0, 20)]
    empty = [sum(s.sample(i).target.std() == 0 for i in range(40)) for s in flat]
    assert empty[0] > 8
    assert empty[1] < 3


def test_flips_and_turns_reach_all_eight_ways(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (24, 24, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    store = PictureStore(10**8)
    stream = PatchStream(check(list_pairs(tmp_path), store), store, SMALL)
    seen = {stream.sample(i).target.tobytes() for i in range(80)}
    assert len(seen) == 8
    still = PatchStream(stream.pictures, store, replace(SMALL, flips=False, turns=False))
    assert len({still.sample(i).target.tobytes() for i in range(10)}) == 1


def test_a_grid_covers_everything_with_the_overlap():
    assert grid(100, 40, 10) == [0, 30, 60]
    assert grid(101, 40, 10) == [0, 30, 60, 61]
    assert grid(40, 40, 0) == [0]
    with pytest.raises(ValueError, match="overlap"):
        grid(100, 40, 40)


def test_grid_patches_begin_on_the_grid(stream_of):
    stream = stream_of(replace(SMALL, overlap=12, flips=False, turns=False))
    for i in range(10):
        window = stream._window(stream.pictures[0], np.random.default_rng(i))
        assert window[0].start in (0, 12, 24)
        assert window[1].start in (0, 12, 24, 32)


def test_pictures_smaller_than_a_patch_are_one_line(stream_of):
    with pytest.raises(InputError, match="56 x 48 pixels are smaller than a patch of 64"):
        stream_of(replace(SMALL, side=64))


def test_varied_colours_stay_in_range_and_keep_the_drawing():
    picture = np.random.default_rng(0).random((32, 32, 3), dtype=np.float32)
    for seed in range(10):
        varied = vary_colours(picture, np.random.default_rng(seed), inversion=0.5)
        assert varied.min() >= 0
        assert varied.max() <= 1
        # every channel is a monotone curve of one of the channels
        ranks = [np.argsort(picture[..., c].ravel()) for c in range(3)]
        for c in range(3):
            steps = [np.diff(varied[..., c].ravel()[r]) for r in ranks]
            assert any((s >= 0).all() or (s <= 0).all() for s in steps)


def test_clipped_tones_are_those_of_the_lightest_or_darkest_paint():
    picture = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    level = picture.min(axis=2), (1 - picture).min(axis=2)
    ends = []
    for seed in range(12):
        clipped = clip_tones(picture, np.random.default_rng(seed))
        assert clipped.dtype == np.float32
        assert clipped.min() >= 0
        assert clipped.max() <= 1
        extreme = [(clipped == 1).all(axis=2), (clipped == 0).all(axis=2)]
        white = extreme[0].mean() > extreme[1].mean()
        ends.append(white)
        at = extreme[0 if white else 1]
        assert 0.019 <= at.mean() <= 0.151
        own = level[0 if white else 1]
        assert own[at].min() >= own[~at].max()
    assert any(ends)
    assert not all(ends)


def test_the_exposure_of_dark_paint_is_raised_threefold_at_most():
    picture = np.random.default_rng(0).uniform(0, 0.2, (32, 32, 3)).astype(np.float32)
    for seed in range(6):
        changed = clip_tones(picture, np.random.default_rng(seed))
        assert (changed <= 3 * picture + 1e-6).all()


def test_no_tones_are_clipped_unless_asked_for(stream_of):
    plain, clipped = stream_of(), stream_of(replace(SMALL, clipped=1.0))
    same = [np.array_equal(plain.sample(i).target, clipped.sample(i).target) for i in range(8)]
    assert not any(same)


def test_no_charts_lie_on_a_patch_unless_asked_for(stream_of):
    plain, laid = stream_of(), stream_of(replace(SMALL, charts=1.0))
    for number in range(8):
        one, other = plain.sample(number), laid.sample(number)
        assert not np.array_equal(one.target, other.target)
        sound = ~other.mask
        assert np.array_equal(other.input[sound], other.target[sound]), "a chart is no loss"


def test_no_patch_is_printed_unless_asked_for_and_prints_stay_undamaged(stream_of):
    plain, printed = stream_of(), stream_of(replace(SMALL, prints=1.0))
    for number in range(8):
        one, other = plain.sample(number), printed.sample(number)
        assert not np.array_equal(one.target, other.target)
        assert one.mask.any()
        assert not other.mask.any()
        assert np.array_equal(other.input, other.target), "SMALL's recipe adds no noise"
