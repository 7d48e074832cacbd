import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from dunrestore.benchmarking import page as page_builder
from dunrestore.checkpoints import formats
from dunrestore.cli.app import run
from dunrestore.models.architectures import build
from dunrestore.reports import plots
from dunrestore.reports.bench_page import Page, PageTable, PictureRow, Section, Shown, render


def small_page(**changes):
    table = PageTable("Ta<ble", ("Method", "PSNR"), [[("arin & co", False), ("31.00", True)]], "*")
    row = PictureRow("a<b>.png: arin", "PSNR 31.00", [Shown("input", "pictures/1.jpg")])
    values = {
        "title": "Benchmark of <murals>",
        "facts": {"made": "today"},
        "notes": ["LPIPS is n/a"],
        "legend": "Bold: best",
        "overview": [table],
        "plots": [("PSNR against noise", plots.lines(["a"], [], "dB"))],
        "sections": [Section("block-white", "white", [table], [row], ["arin failed on <x>"])],
        "reference": [table],
    }
    return Page(**(values | changes))


def test_texts_are_escaped_and_plots_are_not():
    html = render(small_page())
    for expected in ("&lt;murals&gt;", "Ta&lt;ble", "arin &amp; co", "a&lt;b&gt;.png", "&lt;x&gt;"):
        assert expected in html
    assert "<murals>" not in html
    assert "<svg" in html
    assert 'src="pictures/1.jpg"' in html
    assert '<td class="lead">31.00</td>' in html


def test_the_page_loads_nothing_from_elsewhere():
    html = render(small_page())
    without_namespace = html.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|@import|<script|<link", without_namespace)


def polylines(svg):
    return [
        [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        for line in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}polyline")
    ]


def test_lines_go_up_where_values_do_and_skip_what_is_missing():
    svg = plots.lines(
        ["none", "8", "16"],
        [
            plots.Series("<up>", (20.0, 25.0, 30.0), 0),
            plots.Series("gap", (30.0, None, 20.0), 1, dashed=True),
        ],
        "PSNR, dB",
    )
    up, gap = polylines(svg)
    assert [x for x, _ in up] == sorted(x for x, _ in up)
    assert up[0][1] > up[1][1] > up[2][1]
    assert up[1][1] - up[0][1] == pytest.approx(up[2][1] - up[1][1], abs=0.2)
    assert (gap[0][1], gap[1][1]) == (up[2][1], up[0][1])
    assert "&lt;up&gt;" in svg
    assert svg.count("stroke-dasharray") == 1


@pytest.mark.parametrize("values", [(30.0,), (100.0, 100.0), (0.001, 0.0013), (17.0, 36.4)])
def test_points_stay_inside_the_plot(values):
    points = [plots.Point(str(i), 10.0**i, value, i) for i, value in enumerate(values)]
    svg = plots.scatter(points, "megapixels a second", "PSNR, dB")
    root = ElementTree.fromstring(svg)
    circle = next(root.iter("{http://www.w3.org/2000/svg}circle"))
    assert plots.LEFT <= float(circle.get("cx")) <= plots.WIDTH - plots.RIGHT
    assert plots.TOP <= float(circle.get("cy")) <= plots.HEIGHT - plots.BOTTOM


class Images(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.labels, self.sources = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            found = dict(attributes)
            self.labels.append(found["alt"])
            self.sources.append(found["src"])


@pytest.fixture
def benchmark(tmp_path):
    """A run of a network that changes nothing: white losses hurt dark pictures most."""
    network = build("hinet", {"width": 2, "depth": 2})
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    formats.save(tmp_path / "idle.safetensors", network, "hinet", {})
    rng = np.random.default_rng(1)
    (tmp_path / "set").mkdir()
    for name, level in (("light", 190), ("dark", 40), ("middle", 110)):
        coarse = level + rng.integers(-20, 21, (20, 24, 3))
        picture = Image.fromarray(coarse.astype(np.uint8))
        picture.resize((120, 100), Image.Resampling.NEAREST).save(tmp_path / f"set/{name}.png")

    def bench():
        out = tmp_path / "out"
        arguments = [str(tmp_path / "set"), "--protocol", "murals", "--block", "white"]
        arguments += ["--block", "gaussian-8", "-m", str(tmp_path / "idle.safetensors")]
        assert run(["bench", *arguments, "-o", str(out), "--no-lpips", "-q"]) == 0
        return out / "report.html"

    return bench


def test_the_worst_picture_comes_first(benchmark):
    found = Images(benchmark().read_text(encoding="utf-8"))
    results = [label for label in found.labels if label.startswith("result: ")]
    shown = [label.split(": ")[1] for label in results]
    assert shown == ["dark", "middle", "light"] * 2
    assert [label.split(":")[0] for label in found.labels[:4]] == [
        "input",
        "result",
        "truth",
        "largest error",
    ]


def test_many_pictures_stay_beside_the_page(benchmark, monkeypatch):
    monkeypatch.setattr(page_builder, "INLINE_LIMIT", 1000)
    path = benchmark()
    found = Images(path.read_text(encoding="utf-8"))
    assert len(found.sources) == 2 * 3 * 4
    assert all((path.parent / source).is_file() for source in found.sources)


CHECK = """<script>
addEventListener("load", async () => {
  for (const d of document.querySelectorAll("details")) d.open = true;
  const images = [...document.images];
  for (const image of images) image.loading = "eager";
  while (images.some(image => !image.complete)) await new Promise(done => setTimeout(done, 50));
  const places = [...document.querySelectorAll(".row")].map(row => row.getBoundingClientRect());
  document.body.innerText = JSON.stringify({
    images: images.length,
    shown: images.filter(image => image.naturalWidth > 50).length,
    wide: document.documentElement.scrollWidth - innerWidth,
    rows: places.length,
    overlapping: places.filter((p, i) => i && p.top < places[i - 1].bottom - 1).length,
  });
});
</script></body>"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [1400, 480])
def test_a_real_browser_shows_every_picture(benchmark, tmp_path, width):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser, "this test needs Chromium"
    path = benchmark()
    checked = path.with_name("checked.html")
    text = path.read_text(encoding="utf-8")
    checked.write_text(text.replace("</body>", CHECK), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1000"]
    flags += ["--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run(
        [browser, *flags, checked.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = json.loads(re.search(r"\{.*?\}", done.stdout[done.stdout.index("<body") :])[0])
    assert found["images"] == found["shown"] == 24
    assert found["rows"] == 6
    assert found["overlapping"] == 0
    assert found["wide"] <= 0
