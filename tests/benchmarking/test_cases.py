import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dunrestore.benchmarking.cases import Source, make_case, recipe_of
from dunrestore.benchmarking.planning import Wishes, plan
from dunrestore.benchmarking.protocol import MURALS, Block, Protocol
from dunrestore.benchmarking.sources import find_sources, spread
from dunrestore.errors import InputError, UsageError

BLOCKS = {block.name: block for block in MURALS.blocks}


def paint(path, seed=0, size=(60, 48)):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 200, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def source(tmp_path):
    return Source("wall/a", paint(tmp_path / "a.png"), None, None, {"truth": "0"})


def test_what_the_protocol_holds():
    assert MURALS.coverage == (0.05, 0.15)
    assert not MURALS.damaged_pairs
    assert [(b.name, b.damage, b.fill, b.noise) for b in MURALS.blocks] == [
        ("white", "challenge", "white", "none"),
        ("gaussian-8", "challenge", "white", "gaussian-8"),
        ("gaussian-16", "challenge", "white", "gaussian-16"),
        ("jpeg-60", "challenge", "white", "jpeg-60"),
        ("jpeg-30", "challenge", "white", "jpeg-30"),
        ("plaster", "challenge", "plaster", "none"),
        ("grey", "challenge", "grey", "none"),
        ("dark", "challenge", "dark", "none"),
        ("areas", "areas", "white", "none"),
        ("soft", "scanned", "white", "none"),
        ("undamaged", None, None, "none"),
        ("charts", None, None, "none"),
        ("prints", None, None, "none"),
    ]
    treated = {b.name: b.treatment for b in MURALS.blocks if b.treatment}
    assert treated == {"charts": "charts", "prints": "prints"}


def test_the_same_pixels_are_lost_in_every_block_of_one_damage(source):
    cases = {name: make_case(source, block, MURALS) for name, block in BLOCKS.items()}
    mask = cases["white"].mask
    assert 0.05 <= mask.mean() <= 0.15
    assert (cases["white"].damaged[mask] == 255).all()
    for name, case in cases.items():
        if name in ("undamaged", "charts", "prints"):
            assert not case.mask.any()
            assert np.array_equal(case.damaged, case.truth)
            changed = (case.truth != cases["white"].truth).any(axis=2).mean()
            assert changed == 0 if name == "undamaged" else changed > 0.01
            continue
        if name == "areas":
            assert 0.05 <= case.mask.mean() <= 0.16
            assert not np.array_equal(case.mask, mask)
            continue
        if name == "soft":
            assert case.mask[cases["areas"].mask].mean() > 0.8
            assert case.mask.sum() > cases["areas"].mask.sum()
            continue
        assert np.array_equal(case.mask, mask)
        assert np.array_equal(case.truth, cases["white"].truth)
        if case.noisy:
            assert not np.array_equal(case.damaged[~mask], case.truth[~mask])
        else:
            assert np.array_equal(case.damaged[~mask], case.truth[~mask])
    noise = cases["gaussian-16"].damaged[~mask].astype(float) - cases["white"].truth[~mask]
    assert noise.std() == pytest.approx(16, rel=0.05)
    assert cases["dark"].damaged[mask].mean() < 80 < cases["grey"].damaged[mask].mean() < 180
    assert [n for n, c in cases.items() if c.noisy] == [
        "gaussian-8",
        "gaussian-16",
        "jpeg-60",
        "jpeg-30",
    ]


def test_losses_hang_on_seed_and_name_alone(source):
    first = make_case(source, BLOCKS["white"], MURALS)
    assert np.array_equal(first.mask, make_case(source, BLOCKS["white"], MURALS).mask)
    renamed = make_case(replace(source, name="wall/b"), BLOCKS["white"], MURALS)
    reseeded = make_case(source, BLOCKS["white"], replace(MURALS, seed=1))
    assert not np.array_equal(first.mask, renamed.mask)
    assert not np.array_equal(first.mask, reseeded.mask)
    composed, decomposed = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    assert np.array_equal(
        make_case(replace(source, name=composed), BLOCKS["white"], MURALS).mask,
        make_case(replace(source, name=decomposed), BLOCKS["white"], MURALS).mask,
    )


def test_pairs_keep_their_own_damage_and_mask(tmp_path):
    for folder, seed in (("input", 1), ("target", 2)):
        paint(tmp_path / folder / "x.png", seed)
    mask = np.zeros((48, 60), np.uint8)
    mask[3:9, 4:20] = 255
    (tmp_path / "mask").mkdir()
    Image.fromarray(mask).save(tmp_path / "mask" / "x.png")
    paint(tmp_path / "target" / "lonely.png")
    (source,), left_out = find_sources(tmp_path)
    assert [line.split(": ")[1] for line in left_out] == ["has no damaged picture of that name"]
    assert sorted(source.sha256) == ["input", "mask", "truth"]
    case = make_case(source, Block("pairs", "pairs"), Protocol("own", (), coverage=None))
    assert np.array_equal(case.mask, mask > 0)
    assert np.array_equal(case.damaged, np.asarray(Image.open(tmp_path / "input" / "x.png")))
    assert np.array_equal(case.truth, np.asarray(Image.open(tmp_path / "target" / "x.png")))
    noisy = make_case(source, Block("n", "n", noise="gaussian-8"), Protocol("own", ()))
    assert np.array_equal(noisy.mask, mask > 0)
    assert not np.array_equal(noisy.damaged, case.damaged)


@pytest.mark.parametrize("name", ["x.jpg", "x.JPEG", "x.jpe", "x.jfif"])
def test_pairs_without_masks_have_an_unknown_mask_and_must_be_of_one_size(tmp_path, name):
    paint(tmp_path / "lq" / name)
    paint(tmp_path / "gt" / "x.png")
    (source,), _ = find_sources(tmp_path)
    case = make_case(source, Block("pairs", "pairs"), Protocol("own", ()))
    assert case.mask is None
    assert case.noisy
    paint(tmp_path / "lq" / name, size=(30, 30))
    with pytest.raises(InputError, match="30x30 pixels, but its truth has 60x48"):
        make_case(source, Block("pairs", "pairs"), Protocol("own", ()))


def test_the_challenges_layout_takes_its_test_part(tmp_path):
    for part in ("train", "test"):
        paint(tmp_path / part / f"{part}1_masked.jpg")
        paint(tmp_path / part / f"{part}1_mask.jpg")
        paint(tmp_path / f"{part}_gt" / f"{part}1.jpg")
    (source,), left_out = find_sources(tmp_path)
    assert (source.name, left_out) == ("test1", [])
    assert source.mask is not None


def test_a_limit_spreads_over_the_set():
    names = [f"{i:02}" for i in range(10)]
    assert spread(names, None) == spread(names, 10) == spread(names, 99) == names
    assert spread(names, 3) == ["00", "03", "06"]
    assert spread(names, 1) == ["00"]


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (Wishes(protocol="frescoes"), "unknown protocol"),
        (Wishes(protocol="murals", seed=3), "fixes damage"),
        (Wishes(protocol="murals", noise_suite=True), "fixes damage"),
        (Wishes(protocol="murals", blocks=("white", "blue")), "no block 'blue'"),
        (Wishes(fill="dark"), "need --damage"),
        (Wishes(coverage="5"), "need --damage"),
        (Wishes(damage="rain"), "unknown damage 'rain'"),
        (Wishes(damage="challenge", coverage="5-200"), "makes no sense"),
        (Wishes(damage="challenge", coverage="much"), "makes no sense"),
        (Wishes(damage="stains", fill="white"), "stains takes no fill"),
        (Wishes(damage="paper-low", fill="white"), "paper-low takes no fill"),
        (Wishes(damage="paper-low", coverage="5"), "paper-low loses no pixels"),
        (Wishes(noises=("gaussian",)), "unknown noise"),
        (Wishes(noises=("jpeg-0",)), "unknown noise"),
        (Wishes(noises=("snow-8",)), "unknown noise"),
        (Wishes(noises=("jpeg-60.0",)), "unknown noise"),
        (Wishes(noises=("gaussian-nan",)), "unknown noise"),
        (Wishes(noises=("none",), noise_suite=True), "already says"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(wishes, message):
    with pytest.raises(UsageError, match=message):
        plan(wishes)


def test_wishes_become_blocks():
    suite = plan(Wishes(damage="challenge", noise_suite=True, coverage="5-15", seed=4))
    assert [block.noise for block in suite.blocks] == [
        "none",
        "gaussian-8",
        "gaussian-16",
        "jpeg-60",
        "jpeg-30",
    ]
    assert (suite.coverage, suite.seed, suite.damaged_pairs) == ((0.05, 0.15), 4, False)
    assert len({block.name for block in suite.blocks}) == 5
    own = plan(Wishes(noises=("jpeg-42", "jpeg-42")))
    assert own.damaged_pairs
    assert [block.noise for block in own.blocks] == ["jpeg-42"]
    cracks = plan(Wishes(damage="cracks", fill="plaster", coverage="2"))
    recipe = recipe_of(cracks.blocks[0], cracks)
    assert recipe.damages[0].fills == ("plaster",)
    assert recipe.damages[0].coverage == (0.02, 0.02)
    part = plan(Wishes(protocol="murals", blocks=("dark", "white")))
    assert [block.name for block in part.blocks] == ["white", "dark"]
