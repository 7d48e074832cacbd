"""What is written of a restoration: record, XMP, PREMIS, change map."""

import hashlib
import json
from xml.etree import ElementTree

import imagecodecs
import jsonschema
import numpy as np
import pytest
import tifffile
import torch
from PIL import ExifTags, Image, TiffImagePlugin

from dunrestore.checkpoints import cards
from dunrestore.errors import ExitCode, OutputCheckError
from dunrestore.imaging import files
from dunrestore.imaging.metadata import exif, photoshop, xmp
from dunrestore.imaging.picture import Document, Encoding, Metadata, Picture
from dunrestore.provenance import change_map, premis, record
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.source import FileOptions, Job
from tests.imaging.formats.others import exif_block, with_thumbnail
from tests.imaging.formats.tiffs import PHOTOSHOP
from tests.restoration.batches import restore, restore_file, scan, toy_model, use_toy

OPTIONS = RestoreOptions(device="cpu", precision="fp32")
EVERYWHERE = RestoreOptions(device="cpu", precision="fp32", preserve="never")
SCHEMA = json.loads(record.SCHEMA.read_text(encoding="utf-8"))


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fill_nearly_white(x):
    """Also in files that are compressed with loss."""
    return torch.where((x > 0.9).all(dim=1, keepdim=True), 0.4, x)


def restored(
    tmp_path,
    name="in.png",
    out="out.png",
    function=None,
    options=OPTIONS,
    existing="abort",
    **how,
):
    source = tmp_path / name
    if not source.exists():
        Image.fromarray(scan()).save(source, quality=95)
    job = Job(source, tmp_path / out)
    model = toy_model(function or fill_nearly_white)
    result = restore_file(job, model, options, FileOptions(**how), existing=existing)
    sidecar = record.path_of(job.target)
    values = json.loads(sidecar.read_text(encoding="utf-8")) if sidecar.exists() else None
    return job, result, values


def test_the_schema_is_one_and_every_record_follows_it(tmp_path):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for out in ("out.png", "out.tif", "out.jpg", "out.webp", "out.jp2"):
        _, _, values = restored(tmp_path, out=out)
        jsonschema.validate(values, SCHEMA, format_checker=jsonschema.FormatChecker())
    broken = {**values, "surprise": 1}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, SCHEMA)


def test_the_record_says_what_was_done(tmp_path):
    job, result, values = restored(tmp_path)
    lost = (scan() == 255).all(axis=2)
    assert values["input"]["sha256"] == sha256(job.source) == result.input_sha256
    assert values["output"]["sha256"] == sha256(job.target) == result.output_sha256
    assert values["output"]["bytes"] == job.target.stat().st_size
    assert values["model"]["sha256"] == "0" * 64
    assert values["model"]["licence"] == "MIT"
    assert values["options"]["device"] == "cpu"
    assert values["execution"]["precision"] == "float32"
    assert values["changed_percent"] == pytest.approx(100 * lost.mean())
    (page,) = values["pages"]
    assert page["regions"] == [[8, 8, 8, 4]]
    assert page["drift"] == {"mean": 0, "largest": 0, "patches": 0, "differing_percent": 0}
    assert values["warnings"] == []
    # The hash of the options can be computed again from the record itself.
    plain = json.dumps(values["options"], sort_keys=True, separators=(",", ":"))
    assert values["options_sha256"] == hashlib.sha256(plain.encode()).hexdigest()


def test_no_sidecar_takes_an_older_one_away(tmp_path):
    job, _, _ = restored(tmp_path)
    assert record.path_of(job.target).exists()
    _, _, values = restored(tmp_path, sidecar=False, existing="overwrite")
    assert values is None


def test_an_output_that_is_replaced_is_named(tmp_path):
    job, first, values = restored(tmp_path)
    assert values["output"]["replaces_sha256"] is None
    old = sha256(job.target)
    darker = {"function": lambda x: x * 0.9, "options": EVERYWHERE}
    _, _, values = restored(tmp_path, existing="overwrite", **darker)
    assert values["output"]["replaces_sha256"] == old == first.output_sha256


@pytest.mark.parametrize("name", ["in.png", "in.tif", "in.jpg", "in.webp"])
def test_xmp_says_that_an_algorithm_filled_it_in(tmp_path, name, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    job, _, _ = restored(tmp_path, name, "out" + name[2:])
    packet = files.read(job.target).pages[0].metadata.xmp
    assert xmp.COMPOSITE.encode() in packet
    assert b"1970-01-01T00:00:00+00:00" in packet
    assert b"trained model toy" in packet


def test_xmp_keeps_what_stood_there(tmp_path):
    first, _, _ = restored(tmp_path)
    before = files.read(first.target).pages[0].metadata.xmp
    darker = {"function": lambda x: x * 0.8, "options": EVERYWHERE}
    again, _, _ = restored(tmp_path, "out.png", "twice.png", **darker)
    after = files.read(again.target).pages[0].metadata.xmp
    assert after.count(b"softwareAgent>dunrestore") == 2
    entry = before.index(b"<rdf:li")
    assert before[entry : before.index(b"</rdf:li>")] in after


def test_nothing_changed_writes_no_xmp(tmp_path):
    job, _, values = restored(tmp_path, function=lambda x: x)
    assert job.target.read_bytes() == job.source.read_bytes()
    assert values["pages"][0]["regions"] == []
    assert values["changed_percent"] == 0


@pytest.mark.parametrize("name", ["out.jpe", "out.JFIF", "out.j2k", "out.btf"])
def test_whatever_a_name_may_end_in_says_what_the_output_is(tmp_path, name):
    job, _, values = restored(tmp_path, out=name)
    assert files.read(job.target).format == values["output"]["format"] == files.format_of(name)
    assert values["output"]["format"] != values["input"]["format"]


LOSSY_WEBP = ["lossy WebP in the source, written without loss"]


@pytest.mark.parametrize(
    ("out", "notes"),
    [("out.jpg", []), ("out.webp", LOSSY_WEBP), ("out.png", LOSSY_WEBP), ("out.tif", LOSSY_WEBP)],
)
def test_only_an_output_without_loss_is_said_to_be_one(tmp_path, out, notes):
    _, result, values = restored(tmp_path, "in.webp", out)
    assert values["changed_percent"] > 0
    assert values["notes"] == notes
    assert not any("without loss" in warning for warning in result.warnings)


def test_a_copied_lossy_picture_is_not_said_to_be_without_loss(tmp_path):
    job, _, values = restored(tmp_path, "in.webp", "out.webp", function=lambda x: x)
    assert job.target.read_bytes() == job.source.read_bytes()
    assert values["notes"] == []


@pytest.mark.parametrize(("out", "notes"), [("out.webp", 0), ("out.png", 1)])
def test_sixteen_bits_written_with_eight_are_not_said_to_be_without_loss(tmp_path, out, notes):
    samples = scan().astype(np.uint16) * 257
    (tmp_path / "in.jp2").write_bytes(imagecodecs.jpeg2k_encode(samples, level=60))
    _, _, values = restored(tmp_path, "in.jp2", out)
    assert len(values["notes"]) == notes


@pytest.mark.parametrize(("source", "said"), [("in.jpg", "JPEG again, "), ("in.png", "JPEG, ")])
def test_a_jpeg_is_measured_as_it_stands_in_the_file(tmp_path, source, said):
    _, result, values = restored(tmp_path, source, "out.jpg")
    drift = values["pages"][0]["drift"]
    assert drift["differing_percent"] > 0
    assert any(f"encoded as {said}which" in warning for warning in result.warnings)


def test_a_colour_cast_outside_the_losses_is_a_warning(tmp_path):
    def cast(x):
        return (x + torch.tensor([0.05, 0.05, -0.05])[:, None, None]).clamp(0, 1)

    _, result, values = restored(tmp_path, function=cast, options=EVERYWHERE)
    assert values["pages"][0]["drift"]["patches"] > 3
    assert any("colours drifted" in warning for warning in result.warnings)


def test_strict_refuses_what_a_format_cannot_hold(tmp_path):
    source = tmp_path / "in.tif"
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[33723] = b"\x1c\x02\x78\x00\x05mural"  # IPTC: a caption
    tags.tagtype[33723] = 7
    Image.fromarray(scan()).save(source, tiffinfo=tags)
    _, result, _ = restored(tmp_path, "in.tif", "out.webp")
    assert "IPTC" in result.lost_metadata
    with pytest.raises(OutputCheckError, match="cannot hold") as caught:
        restored(tmp_path, "in.tif", "strict.webp", strict=True)
    assert caught.value.next_step.startswith("choose another --format")
    assert not (tmp_path / "strict.webp").exists()
    assert not record.path_of(tmp_path / "strict.webp").exists()


def test_pages_that_the_output_cannot_hold_are_not_restored(tmp_path):
    sound = np.full_like(scan(), 90)
    with tifffile.TiffWriter(tmp_path / "in.tif") as tif:
        for page in (sound, scan(), scan()):
            tif.write(page, photometric="rgb")
    _, result, values = restored(tmp_path, "in.tif", "out.png", change_map=True)
    assert values["lost_metadata"] == ["further pages"]
    assert len(values["pages"]) == 1
    assert result.changed_percent == 0
    assert change_map.path_of(tmp_path / "out.png", 1).exists()


def test_reduced_copies_are_named_in_the_record_and_strict_refuses_them(tmp_path):
    with tifffile.TiffWriter(tmp_path / "in.tif") as tif:
        tif.write(scan(), photometric="rgb")
        tif.write(scan()[::2, ::2], photometric="rgb", subfiletype=1)
    job, result, values = restored(tmp_path, "in.tif", "out.tif")
    assert values["lost_metadata"] == ["reduced copies of the page (further pages)"]
    assert result.warnings == ("left out: reduced copies of the page (further pages)",)
    assert len(values["pages"]) == len(files.read(job.target).pages) == 1
    with pytest.raises(OutputCheckError, match="left out: reduced copies of the page") as caught:
        restored(tmp_path, "in.tif", "strict.tif", strict=True)
    assert caught.value.next_step == "drop --strict"  # no format would be given them
    assert not (tmp_path / "strict.tif").exists()
    job, result, _ = restored(tmp_path, "in.tif", "same.tif", function=lambda x: x, strict=True)
    assert result.lost_metadata == ()
    assert job.target.read_bytes() == job.source.read_bytes()


EXIF_THUMBNAIL, PHOTOSHOP_THUMBNAIL = "EXIF thumbnail", "Photoshop thumbnail (8BIM)"
THUMBNAIL = photoshop.resource(1036, bytes(28) + b"a small JPEG.")


def save_with_thumbnails(path, kind):
    """A damaged scan with thumbnails wherever its format has a place for them."""
    block, blocks = with_thumbnail(exif_block()), THUMBNAIL + PHOTOSHOP
    # As Photoshop does, what comes after them stays in its place.
    page = Picture(scan(), Encoding("rgb"), Metadata(exif=block, photoshop=blocks + b"tail"))
    files.write(Document((page,), "png"), path, format=kind)
    return block


def thumbnail_of(path):
    """What another reader finds of the EXIF thumbnail."""
    with Image.open(path) as image:
        return image.getexif().get_ifd(ExifTags.IFD.IFD1)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "jp2", "tiff"])
def test_thumbnails_of_a_changed_picture_are_left_out_and_named(tmp_path, kind):
    block = save_with_thumbnails(tmp_path / f"in.{kind}", kind)
    _, _, values = restored(tmp_path, f"in.{kind}", "out", image_format=kind)
    wanted = [EXIF_THUMBNAIL] * (kind != "tiff") + [PHOTOSHOP_THUMBNAIL] * (kind != "webp")
    assert values["lost_metadata"] == wanted
    paths = (tmp_path / f"in.{kind}", tmp_path / "out")
    before, after = (files.read(path).pages[0].metadata for path in paths)
    assert after.photoshop == (None if kind == "webp" else PHOTOSHOP + b"tail")
    if kind != "tiff":
        assert before.exif == block
        assert exif.has_thumbnail(before.exif)
        assert not exif.has_thumbnail(after.exif)
        assert len(after.exif) == len(block)
        assert sum(a != b for a, b in zip(after.exif, block, strict=True)) <= 4
        assert exif.directory(after.exif) == exif.directory(block)
    with pytest.raises(OutputCheckError, match="thumbnail"):
        restored(tmp_path, f"in.{kind}", "strict", image_format=kind, strict=True)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_another_reader_finds_no_thumbnail(tmp_path, kind):
    save_with_thumbnails(tmp_path / f"in.{kind}", kind)
    restored(tmp_path, f"in.{kind}", "out", image_format=kind)
    assert 513 in thumbnail_of(tmp_path / f"in.{kind}")
    assert thumbnail_of(tmp_path / "out") == {}


def test_an_unchanged_picture_keeps_its_thumbnails(tmp_path):
    def nothing(x):
        return x

    block = save_with_thumbnails(tmp_path / "in.jpg", "jpeg")
    job, _, _ = restored(tmp_path, "in.jpg", "out.jpg", nothing, strict=True)
    assert job.target.read_bytes() == job.source.read_bytes()
    job, _, _ = restored(tmp_path, "in.jpg", "out.png", nothing, strict=True)
    assert files.read(job.target).pages[0].metadata.exif == block
    _, result, _ = restored(tmp_path, "in.jpg", "out.tif", nothing)
    assert result.lost_metadata == (EXIF_THUMBNAIL,)  # a TIFF has no place for it


def test_resources_of_several_segments_stay_but_for_the_thumbnail(tmp_path):
    long = photoshop.resource(1000, bytes(range(256)) * 300)
    blocks = [PHOTOSHOP, long, THUMBNAIL, long]
    Image.fromarray(scan()).save(tmp_path / "in.jpg", quality=95)
    data, whole = (tmp_path / "in.jpg").read_bytes(), b"".join(blocks)
    for at in reversed(range(0, len(whole), 60000)):
        body = b"Photoshop 3.0\0" + whole[at : at + 60000]
        data = data[:2] + b"\xff\xed" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]
    (tmp_path / "in.jpg").write_bytes(data)
    job, result, _ = restored(tmp_path, "in.jpg", "out.jpg")
    assert result.lost_metadata == (PHOTOSHOP_THUMBNAIL,)
    assert files.read(job.target).pages[0].metadata.photoshop == PHOTOSHOP + long + long


def test_resources_that_are_a_thumbnail_alone_go(tmp_path):
    for kind in ("tiff", "jpeg", "png", "jp2"):
        page = Picture(scan(), Encoding("rgb"), Metadata(photoshop=THUMBNAIL))
        files.write(Document((page,), "webp"), tmp_path / kind, format=kind)
        _, result, _ = restored(tmp_path, kind, f"out.{kind}", image_format=kind)
        assert result.lost_metadata == (PHOTOSHOP_THUMBNAIL,)
        assert files.read(tmp_path / f"out.{kind}").pages[0].metadata.photoshop is None


def test_only_the_first_page_on_request(tmp_path):
    pages = [Image.fromarray(scan(seed)) for seed in (0, 1)]
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:])
    job, result, values = restored(tmp_path, "in.tif", "out.tif", first_page=True, change_map=True)
    first, second = files.read(job.target).pages
    assert (first.samples != scan(0)).any()
    np.testing.assert_array_equal(second.samples, scan(1))
    assert [page["restored"] for page in values["pages"]] == [True, False]
    assert any("page 2: left as it is" in warning for warning in result.warnings)
    jsonschema.validate(values, SCHEMA)
    change = files.read(tmp_path / "out.tif.changes.tif").pages
    assert (change[0].samples > 0).sum() == (first.samples != scan(0)).any(axis=2).sum()
    assert not change[1].samples.any()


def test_premis_names_objects_event_and_agent(tmp_path):
    job, result, _ = restored(tmp_path, premis=True)
    spaces = {"p": premis.NAMESPACE}
    root = ElementTree.parse(premis.path_of(job.target)).getroot()
    assert [child.tag.split("}")[1] for child in root] == ["object", "object", "event", "agent"]
    digests = [e.text for e in root.iterfind(".//p:messageDigest", spaces)]
    assert digests == [result.input_sha256, result.output_sha256]
    event = root.find("p:event", spaces)
    assert [child.tag.split("}")[1] for child in event] == [
        "eventIdentifier",
        "eventType",
        "eventDateTime",
        "eventDetailInformation",
        "eventOutcomeInformation",
        "linkingAgentIdentifier",
        "linkingObjectIdentifier",
        "linkingObjectIdentifier",
    ]
    linked = event.findall(".//p:linkingObjectIdentifierValue", spaces)
    assert [e.text for e in linked] == digests
    assert event.findtext(".//p:eventOutcome", namespaces=spaces) == "success"


def no_loss_darker(x):
    return torch.where(x == 1, x, x * 0.9)


@pytest.mark.parametrize(
    ("function", "options", "kind", "words"),
    [
        (None, OPTIONS, "modification", "losses filled"),
        (lambda x: x, OPTIONS, "replication", "nothing changed"),
        (no_loss_darker, EVERYWHERE, "modification", "the whole picture cleaned"),
    ],
)
def test_premis_and_xmp_say_what_was_done(tmp_path, function, options, kind, words):
    job, result, _ = restored(tmp_path, function=function, options=options, premis=True)
    root = ElementTree.parse(premis.path_of(job.target)).getroot()
    spaces = {"p": premis.NAMESPACE}
    assert root.findtext(".//p:eventType", namespaces=spaces) == kind
    detail = root.findtext(".//p:eventDetail", namespaces=spaces)
    assert detail.startswith(f"{words} by the trained model toy")
    packet = files.read(job.target).pages[0].metadata.xmp
    if result.changed_percent:
        assert f"parameters>{words} by the trained model toy".encode() in packet
    else:
        assert packet is None


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        (lambda x: x * 0 + 0.5, "constant"),
        (lambda x: 1 - x * 0.2, "wildly different"),
        (lambda x: x * float("nan"), "not finite"),
    ],
)
def test_a_result_that_is_none_is_exit_code_4(tmp_path, monkeypatch, capsys, function, fault):
    use_toy(monkeypatch, toy_model(function))
    quiet = np.random.default_rng(0).integers(0, 90, (40, 40, 3), np.uint8)
    Image.fromarray(quiet).save(tmp_path / "in.png")
    code = restore(tmp_path / "in.png", tmp_path / "out.png", "--preserve", "never")
    assert code == ExitCode.OUTPUT_CHECK
    assert fault in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


def test_what_low_precision_spoils_is_done_again_and_said(tmp_path, caplog):
    caplog.set_level("INFO", "dunrestore")

    def fails_low(x):
        low = torch.is_autocast_enabled("cpu")
        return x * 0 + 0.5 if low else torch.where(x == 1, 0.4, x)

    options = RestoreOptions(device="cpu", precision="bf16")
    _, result, values = restored(tmp_path, function=fails_low, options=options)
    assert values["execution"]["tiles_redone"] == 1
    assert any("again in float32" in warning for warning in result.warnings)
    (noted,) = caplog.records  # the picture's own line warns of it
    assert noted.levelname == "INFO"
    assert noted.message == "a tile was constant in bfloat16; computed again in float32"
    assert values["changed_percent"] == pytest.approx(100 * (scan() == 255).all(axis=2).mean())


def test_a_name_that_is_another_formats_is_warned_of(tmp_path):
    Image.fromarray(scan()).save(tmp_path / "in.tif", "PNG")
    _, _, values = restored(tmp_path, name="in.tif", out="out.tif")
    assert values["output"]["format"] == "tiff"
    assert values["warnings"] == ["the source is a PNG; written as TIFF by its name"]
    _, _, asked = restored(tmp_path, name="in.tif", out="out.png")
    assert asked["warnings"] == []


def test_how_a_model_was_trained_is_said_in_words():
    said = {"data": "murals", "commands": ["one", "two"], "run": {"seed": 3}, "why": "a\nb"}
    expected = "data: murals; commands: one, two; run.seed: 3; why: a b"
    assert cards.in_words(said) == expected
    assert cards.in_words("by hand") == "by hand"
    files = {"files": [{"name": "wall", "licence": "CC0"}, {"name": "roof"}], "seed": 3}
    assert cards.in_words(files) == "files: name: wall; licence: CC0, name: roof; seed: 3"
