from dataclasses import replace

import numpy as np

from dunrestore.imaging import files
from dunrestore.imaging.picture import Encoding, Metadata, Palette, Picture
from dunrestore.provenance import change_map


def test_the_map_says_how_much_in_the_samples_own_steps(tmp_path):
    for dtype in (np.uint8, np.uint16):
        samples = np.full((6, 9, 4), 100, dtype)
        before = Picture(samples, Encoding("rgb", int(np.iinfo(dtype).max), extra=1))
        new = samples.copy()
        new[2, 3] = (100, 93, 101, 7)  # alpha never counts
        change = change_map.change_of(before, replace(before, samples=new))
        assert change.dtype == dtype
        assert change[2, 3] == 7
        assert np.count_nonzero(change) == 1
        path = change_map.write(tmp_path / f"{dtype.__name__}.png", [change])
        assert path.name.endswith(".changes.png")
        np.testing.assert_array_equal(files.read(path).pages[0].samples[..., 0], change)


def test_the_map_lies_upright_over_a_turned_picture():
    samples = np.zeros((4, 6, 3), np.uint8)
    before = Picture(samples, Encoding("rgb"), Metadata(orientation=6))
    new = samples.copy()
    new[0, 0] = 5  # stored first, shown at the top right
    change = change_map.change_of(before, replace(before, samples=new))
    assert change.shape == (6, 4)
    assert change[0, 3] == 5


def test_palettes_count_colours_not_indices():
    colours = np.array([[0, 0, 0], [255, 255, 255], [0, 0, 0]], np.uint16)
    palette = Palette(colours, 255, np.full(3, 255, np.uint8))
    samples = np.array([[[0], [1]], [[2], [0]]], np.uint8)
    before = Picture(samples, Encoding("palette", palette=palette))
    after = replace(before, samples=np.array([[[2], [0]], [[2], [0]]], np.uint8))
    np.testing.assert_array_equal(change_map.change_of(before, after), [[0, 255], [0, 0]])


def test_several_pages_make_a_tiff(tmp_path):
    changes = [np.full((3, 4), n, np.uint8) for n in (1, 2)]
    path = change_map.write(tmp_path / "a.tif", changes)
    assert path.name == "a.tif.changes.tif"
    assert [page.samples[0, 0, 0] for page in files.read(path).pages] == [1, 2]
