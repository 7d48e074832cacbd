"""The page of a run, as it is written and, in the slow tests, as a browser shows it."""

import base64
import io
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from dunrestore.cli import console
from dunrestore.errors import ExitCode
from dunrestore.imaging import rows
from dunrestore.restoration import source
from dunrestore.restoration.batch import report as page_of_run
from tests.restoration.batches import everything, make_scans, restore, scan, use_toy

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-file-access-from-files",
)


@pytest.fixture
def scans(tmp_path, monkeypatch):
    use_toy(monkeypatch)
    return make_scans(tmp_path / "scans", ["a.png", "b <i>.jpg", "c.tif"])


def test_few_pictures_are_inside_the_page(scans, tmp_path, capsys):
    (scans / "bad.png").write_bytes(b"no picture")
    report = tmp_path / "pages" / "review.html"
    assert restore(scans, tmp_path / "out", "--report", report) == ExitCode.PARTIAL
    html = report.read_text(encoding="utf-8")
    assert [path.name for path in report.parent.iterdir()] == ["review.html"]
    assert html.count("<article") == 4
    assert html.index("bad.png") < html.index("a.png")
    views = json.loads(re.search(r'id="pictures">(.*?)</script>', html)[1])
    links = [(report.parent / view["input"]).resolve() for view in views if view]
    assert links[0].exists() or "%20" in views[1]["input"]
    assert "b &lt;i&gt;.jpg" in html
    assert f"report: {report}" in capsys.readouterr().err


def test_pictures_that_were_there_already_are_shown_as_well(scans, tmp_path):
    assert restore(scans, tmp_path / "out") == ExitCode.OK
    report = tmp_path / "review.html"
    more = ("--existing", "skip", "--report", report)
    assert restore(scans, tmp_path / "out", *more) == ExitCode.OK
    html = report.read_text(encoding="utf-8")
    assert html.count("was there already") == 3
    assert html.count("4.17 % changed") >= 1


def test_of_several_pages_the_one_that_changed_most_is_shown(scans, tmp_path):
    pages = [np.random.default_rng(0).integers(0, 180, (24, 32, 3), np.uint8), scan(1), scan(2)]
    pages[2][4:20, 4:28] = 255
    Image.fromarray(pages[0]).save(
        scans / "c.tif", save_all=True, append_images=[Image.fromarray(page) for page in pages[1:]]
    )
    report = tmp_path / "review.html"
    assert restore(scans / "c.tif", tmp_path / "out.tif", "--report", report) == ExitCode.OK
    html = report.read_text(encoding="utf-8")
    assert "<dt>page</dt><dd>3 of 3</dd>" in html
    (view,) = json.loads(re.search(r'id="pictures">(.*?)</script>', html)[1])
    before = Image.open(io.BytesIO(base64.b64decode(view["before"].split(",")[1])))
    assert np.abs(np.asarray(before).astype(int) - pages[2]).mean() < 10


def test_a_pixel_among_many_is_not_none(tmp_path, monkeypatch, capsys):
    use_toy(monkeypatch)
    picture = np.random.default_rng(0).integers(0, 180, (150, 150, 3), np.uint8)
    picture[70, 70] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    report = tmp_path / "review.html"
    more = ("--preserve", "never", "--report", report)
    assert restore(tmp_path / "a.png", tmp_path / "out.png", *more) == ExitCode.OK
    assert "less than 0.01 % of the pixels changed" in capsys.readouterr().err
    html = report.read_text(encoding="utf-8")
    assert "less than 0.01 % changed" in html
    assert '<article class="changed"' in html


@pytest.mark.parametrize(
    "name",
    ["scans/a.png", "scans/other.jpg", "out/a.png", "out/a.png.dunrestore.json", "new.png", "page"],
)
def test_a_report_is_a_page_and_no_picture(scans, tmp_path, capsys, name):
    (scans / "other.jpg").write_bytes(b"precious")
    before = everything(tmp_path)
    more = ("--exclude", "other.jpg", "--overwrite", "--report", tmp_path / name)
    assert restore(scans, tmp_path / "out", *more) == ExitCode.USAGE
    assert "a report is a web page; call it FILE.html" in capsys.readouterr().err
    assert everything(tmp_path) == before


def test_a_report_replaces_nothing_but_an_older_one(scans, tmp_path, capsys):
    page = tmp_path / "review.html"
    for content in (b"<title>Our collection</title>", b""):
        page.write_bytes(content)
        before = everything(tmp_path)
        assert restore(scans, tmp_path / "out", "--report", page) == ExitCode.FILE_ACCESS
        assert "review.html: there is something of this name" in capsys.readouterr().err
        assert everything(tmp_path) == before
    page.unlink()
    for existing in ("abort", "skip"):
        more = ("--report", page, "--existing", existing)
        assert restore(scans, tmp_path / "out", *more) == ExitCode.OK
    assert "was there already" in page.read_text(encoding="utf-8")


def test_a_report_is_no_file_of_the_run(scans, tmp_path, capsys):
    picture = (scans / "a.png").rename(scans / "a.html")
    (scans / "link.html").symlink_to(picture)
    (scans / "twin.html").hardlink_to(picture)
    (tmp_path / "deep").mkdir()
    before = everything(tmp_path)
    for page in ("scans/a.html", "deep/../scans/a.html", "scans/link.html", "scans/twin.html"):
        code = restore(picture, tmp_path / "out", "--report", tmp_path / page)
        assert code == ExitCode.USAGE
        assert "would replace a file that the run reads" in capsys.readouterr().err
    assert everything(tmp_path) == before
    log = tmp_path / "log.html"
    assert restore(scans, tmp_path / "out", "--report", log, "--log-file", log) == ExitCode.USAGE
    console.set_up()


def test_the_pictures_of_a_report_do_not_lie_among_those_of_the_run(tmp_path, monkeypatch, capsys):
    use_toy(monkeypatch)
    scans = make_scans(tmp_path / "review_files", [f"{n:05}-before.jpg" for n in range(13)])
    before = everything(scans)
    page = tmp_path / "review.html"
    assert restore(scans, tmp_path / "out", "--report", page) == ExitCode.USAGE
    assert "review_files: the report would keep its pictures" in capsys.readouterr().err
    assert everything(scans) == before


def test_many_pictures_lie_beside_the_page(scans, tmp_path):
    make_scans(scans, [f"{n}.png" for n in range(12)])
    report = tmp_path / "review.html"
    assert restore(scans, tmp_path / "out", "--report", report, "--no-sidecar") == ExitCode.OK
    html = report.read_text(encoding="utf-8")
    assert "data:image" not in html
    named = re.findall(r"review_files/[\w.-]+", html)
    assert len(set(named)) == 5 * 15
    assert all((tmp_path / name).is_file() for name in named)
    with Image.open(tmp_path / "review_files" / "00000-map.png") as image:
        opaque = np.asarray(image.convert("RGBA"))[..., 3] > 0
    assert opaque[8:12, 8:16].all()
    assert opaque.sum() == 4 * 8


@pytest.mark.parametrize("side", [40, 16])
def test_a_large_picture_is_shown_without_being_held_in_memory(tmp_path, monkeypatch, side):
    before = np.random.default_rng(0).integers(0, 256, (96, 150, 3), np.uint8)
    after = before.copy()
    after[50, 77, 1] ^= 128
    for name, samples in (("in.tif", before), ("out.tif", after)):
        tifffile.imwrite(tmp_path / name, samples, photometric="rgb", tile=(32, 32))
    monkeypatch.setattr(rows, "AT_ONCE", 4000)
    monkeypatch.setattr(rows, "FEWEST", 16)
    monkeypatch.setattr(page_of_run, "SIDE", side)
    shown = []
    for in_memory in (10**9, 0):
        monkeypatch.setattr(source, "IN_MEMORY", in_memory)
        shown.append(page_of_run._shown(tmp_path / "in.tif", tmp_path / "out.tif", 0))
    for name in ("before", "after", "changes"):
        one, other = (np.asarray(getattr(page, name).convert("RGBA")) for page in shown)
        assert np.array_equal(one, other)
        assert max(one.shape) <= side
    assert shown[1].changed_percent == shown[0].changed_percent == 100 / (96 * 150)
    marks = np.asarray(shown[1].changes.convert("RGBA"))[..., 3] > 0
    assert marks.sum() == 1
    step = -(-150 // marks.shape[1])
    assert marks[50 // step, 77 // step]


def test_a_page_that_cannot_be_written_is_one_line(scans, tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"x")
    report = tmp_path / "file" / "review.html"
    code = restore(scans, tmp_path / "out", "--report", report)
    assert code == ExitCode.FILE_ACCESS
    assert "error: " in capsys.readouterr().err


def browse(page, script, *flags):
    """The page's DOM after ``script`` ran in it, and the seconds that took."""
    html = page.read_text(encoding="utf-8")
    driven = page.with_name("driven.html")
    probe = f"<script>addEventListener('load', () => {{ {script} }})</script></body>"
    driven.write_text(html.replace("</body>", probe), encoding="utf-8")
    profile = page.with_name("profile")
    shutil.rmtree(profile, ignore_errors=True)
    start = time.perf_counter()
    done = subprocess.run(
        [
            CHROMIUM,
            *FLAGS,
            f"--user-data-dir={profile}",
            "--virtual-time-budget=8000",
            *flags,
            driven.as_uri(),
        ],
        capture_output=True,
        timeout=240,
        check=True,
    )
    return done.stdout.decode(), time.perf_counter() - start


DRIVE = """
const key = name => document.dispatchEvent(new KeyboardEvent("keydown", {key: name}));
const said = [];
const say = (name, value) => said.push(name + "=" + value);
const visibleCards = () => [...document.querySelectorAll("article")].filter(c => !c.hidden).length;
const title = () => document.querySelector("dialog strong").textContent;
say("cards", visibleCards());
document.querySelector("[data-filter=failed]").click();
say("failed", visibleCards());
document.querySelector("[data-filter=all]").click();
document.getElementById("search").value = "scans/7.png";
document.getElementById("search").dispatchEvent(new Event("input"));
say("found", visibleCards());
document.getElementById("search").value = "";
document.getElementById("search").dispatchEvent(new Event("input"));
document.getElementById("order").value = "name";
document.getElementById("order").dispatchEvent(new Event("change"));
document.querySelectorAll(".open")[0].click();
say("open", document.querySelector("dialog").open);
const first = title();
key("ArrowRight");
say("moved", first !== title());
key("ArrowLeft");
say("back", first === title());
key("m");
say("map", !document.querySelector("img.map").hidden);
key("]"); key("]");
say("slider", document.querySelector("dialog input").value);
setTimeout(() => {
  const image = document.querySelector("img.after");
  say("size", image.naturalWidth + "x" + image.naturalHeight);
  document.querySelector("dialog").close();
  say("closed", !document.querySelector("dialog").open);
  document.body.dataset.said = said.join(";");
}, 500);
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_500_pictures_without_strain(tmp_path, monkeypatch):
    use_toy(monkeypatch)
    scans = make_scans(tmp_path / "scans", [f"{n}.png" for n in range(499)])
    (scans / "bad.png").write_bytes(b"no picture")
    report = tmp_path / "review.html"
    restored = restore(scans, tmp_path / "out", "--report", report, "-q", "--no-sidecar")
    assert restored == ExitCode.PARTIAL
    assert report.stat().st_size < 2e6
    dom, seconds = browse(report, DRIVE, "--dump-dom")
    said = dict(one.split("=") for one in re.search(r'data-said="([^"]*)"', dom)[1].split(";"))
    assert said == {
        "cards": "500",
        "failed": "1",
        "found": "1",
        "open": "true",
        "moved": "true",
        "back": "true",
        "map": "true",
        "slider": "60",
        "size": "32x24",
        "closed": "true",
    }
    assert seconds < 60


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_prints(scans, tmp_path):
    report = tmp_path / "review.html"
    assert restore(scans, tmp_path / "out", "--report", report, "-q") == ExitCode.OK
    printed = tmp_path / "review.pdf"
    browse(report, "", f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    data = Path(printed).read_bytes()
    assert data.startswith(b"%PDF")
    # Before and after of three pictures; the JPEG was left as it is, so that both are one.
    assert data.count(b"/Subtype /Image") == 5
