"""The table of ``docs/formats.md`` is what writing and reading back measures."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dunrestore.imaging import files
from dunrestore.imaging.metadata import ifd
from dunrestore.imaging.picture import Document, Encoding, Metadata, Palette, Picture, Resolution
from tests.imaging.formats.others import exif_block
from tests.imaging.formats.tiffs import ICC, IPTC, PHOTOSHOP, XMP, exif_directory

PAGE = Path(__file__).parents[3] / "docs" / "formats.md"
FORMATS = {"TIFF": "tiff", "PNG": "png", "JPEG": "jpeg", "JPEG 2000": "jp2", "WebP": "webp"}
RNG = np.random.default_rng(0)


def picture(encoding=None, metadata=None, channels=3, dtype=np.uint8):
    samples = RNG.integers(0, np.iinfo(dtype).max, (9, 8, channels), dtype, endpoint=True)
    encoding = encoding or Encoding("rgb", int(np.iinfo(dtype).max), channels - 3)
    return Picture(samples, encoding, metadata or Metadata())


def palette_picture(alpha=255):
    colours = RNG.integers(0, 256, (256, 3), np.uint16)
    transparency = np.full(256, 255, np.uint8)
    transparency[:9] = alpha
    return picture(Encoding("palette", palette=Palette(colours, 255, transparency)), channels=1)


def exif_with_blocks():
    gps = ifd.Ifd((ifd.entry(1, ifd.ASCII, b"N\0", "<"),), "<")
    below = ifd.parse(lambda at, n: exif_directory(0, "<")[at : at + n], 0, "<")[0]
    entries = (
        ifd.Entry(ifd.EXIF, ifd.LONG, 1, bytes(4), below),
        ifd.Entry(ifd.GPS, ifd.LONG, 1, bytes(4), gps),
    )
    return ifd.block(ifd.Ifd(entries, "<"))


def described(**fields):
    return picture(metadata=Metadata(**fields))


def cases():
    dpi = Resolution(Fraction(600), Fraction(600), "inch")
    pages = (picture(), picture())
    return {
        "8 bits a sample": (picture(),),
        "16 bits a sample": (picture(dtype=np.uint16),),
        "grey": (picture(Encoding("grey"), channels=1),),
        "grey with alpha": (picture(Encoding("grey", extra=1), channels=2),),
        "palette": (palette_picture(),),
        "palette with transparency": (palette_picture(alpha=80),),
        "RGB with alpha": (picture(channels=4),),
        "channels beyond alpha": (picture(channels=5),),
        "several pages": pages,
        "ICC profile": (described(icc=ICC),),
        "resolution and its unit": (described(resolution=dpi),),
        "orientation": (described(exif=exif_block(6), orientation=6),),
        "artist, copyright": (described(exif=exif_block()),),
        "EXIF with sub-blocks and GPS": (described(exif=exif_with_blocks()),),
        "XMP": (described(xmp=XMP),),
        "IPTC": (described(iptc=IPTC),),
        "8BIM": (described(photoshop=PHOTOSHOP),),
        "texts and comments": (described(texts=(("Title", "敦煌 112"),)),),
    }


def cell(folder, pages, target_format):
    path = folder / "measured"
    written = files.write(Document(pages, "other"), path, format=target_format, overwrite=True)
    lost = [name for name in written.lost if name != "samples exactly (JPEG)"]
    if lost:
        return "named: " + ", ".join(dict.fromkeys(name.replace("'", "") for name in lost))
    again = files.read(path)
    assert len(again.pages) == len(pages)
    for page, back in zip(pages, again.pages, strict=True):
        assert page.encoding.kind == back.encoding.kind
        assert page.samples.dtype == back.samples.dtype
        assert page.samples.shape == back.samples.shape
        if target_format != "jpeg":
            assert np.array_equal(page.samples, back.samples)
    return "kept"


def test_the_documented_table_is_what_is_measured(tmp_path):
    rows = [["", *FORMATS], ["---"] * (len(FORMATS) + 1)]
    exact = ["samples bit-exact"]
    for target_format in FORMATS.values():
        written = files.write(
            Document((picture(),), "other"), tmp_path / "m", format=target_format, overwrite=True
        )
        exact.append("named" if "samples exactly (JPEG)" in written.lost else "kept")
    rows.append(exact)
    for name, pages in cases().items():
        rows.append([name, *(cell(tmp_path, pages, kind) for kind in FORMATS.values())])
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    assert table in PAGE.read_text(encoding="utf-8"), f"docs/formats.md should hold:\n{table}"


@pytest.mark.parametrize("kind", FORMATS.values())
def test_into_the_same_format_nothing_that_it_held_is_lost(tmp_path, kind):
    for name, pages in cases().items():
        files.write(Document(pages, "other"), tmp_path / "a", format=kind, overwrite=True)
        first = files.read(tmp_path / "a")
        again = files.write(replace(first), tmp_path / "b", overwrite=True)
        assert again.lost == (), name
        second = files.read(tmp_path / "b")
        for one, other in zip(first.pages, second.pages, strict=True):
            assert one.metadata == other.metadata, name
            if kind != "jpeg":
                assert np.array_equal(one.samples, other.samples), name
