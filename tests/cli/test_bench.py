import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image

from dunrestore.benchmarking import contestants, session
from dunrestore.benchmarking.journal import Journal
from dunrestore.checkpoints import formats
from dunrestore.cli.app import run
from dunrestore.degradations.fills import FILLS
from dunrestore.models.architectures import build

SCHEMA = json.loads(Path(contestants.__file__).with_name("results.schema.json").read_text())


def save_model(path, seed, scale):
    """A tiny HINet with random weights: it changes pictures, the more the larger its weights."""
    torch.manual_seed(seed)
    network = build("hinet", {"width": 2, "depth": 2})
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(scale)
    formats.save(path, network, "hinet", {"licence": "MIT"})
    return str(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [
        save_model(folder / "calm.safetensors", 1, 0.3),
        save_model(folder / "wild.safetensors", 2, 0.8),
    ]


@pytest.fixture
def clean(tmp_path):
    folder = tmp_path / "clean pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(7):
        coarse = rng.integers(20, 200, (5, 6, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((52, 44), Image.Resampling.BICUBIC)
        picture.save(folder / f"壁画 {index}.png")
    return folder


def bench(*arguments):
    return run(["bench", *map(str, arguments), "--no-lpips", "--quiet"])


def results_of(folder):
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def without_times(folder):
    results = results_of(folder)
    del results["created"], results["speed"]
    return results


class Page(HTMLParser):
    """What a page refers to."""

    def __init__(self, text):
        super().__init__()
        self.images, self.anchors, self.links, self.outside = [], set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors.add(found.get("id"))
        if tag == "img":
            self.images.append(found["src"])
        if tag == "a":
            self.links.append(found["href"].removeprefix("#"))
        if tag in ("script", "link", "iframe"):
            self.outside.append(tag)


def test_the_protocol_from_beginning_to_end(clean, models, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = (clean, "--protocol", "murals", "-m", models[0], "-m", models[1])
    blocks = ("--block", "white", "--block", "jpeg-30", "--block", "undamaged")
    assert bench(*arguments, *blocks, "-o", out) == 0
    shown, said = capsys.readouterr()
    assert said == ""
    for expected in (
        "white losses, JPEG 30",
        "calm",
        "true mask + Telea *",
        "ARIN",
        "no difference",
        "7 pictures. Bold: ",
        "which counts as 100 dB",
    ):
        assert expected in shown

    results = results_of(out)
    jsonschema.validate(results, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert len(results["rows"]) == 7 * (7 + 7 + 5)  # no oracle where nothing is damaged
    assert all(row["error"] is None for row in results["rows"])
    assert [m["kind"] for m in results["methods"]] == [
        "input",
        "model",
        "model",
        "blind",
        "oracle",
        "blind",
        "oracle",
    ]
    assert {len(m["facts"]["sha256"]) for m in results["methods"] if m["kind"] == "model"} == {64}
    white = results["blocks"][0]
    assert white["summary"]["near-white + Navier-Stokes"]["psnr"]["mean"] > (
        white["summary"]["damaged input"]["psnr"]["mean"] + 5
    )
    assert "near-white + Navier-Stokes" in white["leaders"]["psnr"]
    assert "calm" not in white["leaders"]["psnr"]
    undamaged = results["blocks"][2]["summary"]
    assert undamaged["damaged input"]["kept"] == {"mean": 100, "median": 100, "count": 7}
    assert undamaged["damaged input"]["psnr"]["mean"] == 100
    assert undamaged["wild"]["psnr_inside"] is None
    assert [s["method"] for s in results["speed"]][:2] == ["calm", "wild"]
    assert results["speed"][0]["multiply_adds_g"] > 0

    with (out / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["psnr"]) for row in rows] == [r["values"]["psnr"] for r in results["rows"]]
    markdown = (out / "table.md").read_text(encoding="utf-8")
    assert "| Noise | PSNR calm | PSNR wild | SSIM calm" in markdown
    assert "| HINet-DB | 33.32 | 0.90 | 0.10 | 0.08 |" in markdown
    latex = (out / "table.tex").read_text(encoding="utf-8")
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 6
    assert "true mask + Telea $^{*}$ & " in latex
    assert "\n% 7 pictures. Bold: " in latex

    page = Page((out / "report.html").read_text(encoding="utf-8"))
    assert len(page.images) == 3 * 7 * 2 * 4
    assert all(image.startswith("data:image/jpeg;base64,") for image in page.images)
    assert page.outside == []
    assert set(page.links) <= page.anchors


def test_results_may_name_every_fill():
    block = SCHEMA["properties"]["protocol"]["properties"]["blocks"]["items"]["properties"]
    assert block["fill"]["enum"] == [*FILLS, None]


def test_two_runs_give_the_same_numbers(clean, models, tmp_path):
    arguments = (clean, "--damage", "mural", "--seed", "5", "-m", models[1], "--limit", "3")
    assert bench(*arguments, "-o", tmp_path / "a") == 0
    assert bench(*arguments, "-o", tmp_path / "b") == 0
    assert without_times(tmp_path / "a") == without_times(tmp_path / "b")
    first, second = (tmp_path / folder / "results.csv" for folder in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_an_interrupted_run_goes_on_where_it_was(clean, models, tmp_path, monkeypatch):
    arguments = (clean, "--damage", "challenge", "-m", models[1], "-o")
    assert bench(*arguments, tmp_path / "whole") == 0
    kept = Journal.add
    calls = []

    def interrupted(self, key, row):
        calls.append(row)
        if len(calls) == 9:
            raise KeyboardInterrupt
        kept(self, key, row)

    monkeypatch.setattr(Journal, "add", interrupted)
    assert bench(*arguments, tmp_path / "cut") == 130
    assert not (tmp_path / "cut" / "results.json").exists()
    journal = tmp_path / "cut" / "rows.jsonl"
    journal.write_text(journal.read_text(encoding="utf-8") + '{"key": "cut off', encoding="utf-8")
    measured = []
    monkeypatch.setattr(Journal, "add", lambda s, k, r: (measured.append(r), kept(s, k, r)))
    assert bench(*arguments, tmp_path / "cut") == 0
    assert len(measured) == 7 * 6 - 8
    assert without_times(tmp_path / "cut") == without_times(tmp_path / "whole")
    measured.clear()
    assert bench(*arguments, tmp_path / "cut") == 0
    assert measured == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "OUT"], "stopped; run it again to go on\n"),
        (["-o", "OUT", "--overwrite"], "stopped; run it again without --overwrite to go on\n"),
        ([], ""),
    ],
)
def test_who_interrupts_is_told_how_to_go_on(clean, tmp_path, capsys, monkeypatch, options, said):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(contestants, "restore_picture", interrupted)
    given = (tmp_path / "o" if option == "OUT" else option for option in options)
    assert bench(clean, "--damage", "challenge", "-m", "hinet-db", "--limit", "1", *given) == 130
    assert capsys.readouterr().err == said + "error: interrupted\n"


def test_other_settings_and_models_are_measured_anew(clean, models, tmp_path, monkeypatch):
    kept, measured = Journal.add, []
    monkeypatch.setattr(Journal, "add", lambda s, k, r: (measured.append(r), kept(s, k, r)))
    arguments = (
        clean,
        "--damage",
        "challenge",
        "--limit",
        "2",
        "-o",
        tmp_path / "o",
        "--baselines",
        "none",
    )
    assert bench(*arguments, "-m", models[0]) == 0
    assert len(measured) == 4
    assert bench(*arguments, "-m", models[0], "-m", models[1]) == 0
    assert [row.method for row in measured[4:]] == ["wild", "wild"]
    assert bench(*arguments, "-m", models[0], "--seed", "1") == 0
    assert len(measured) == 10
    assert bench(*arguments, "-m", models[0], "--overwrite") == 0
    assert len(measured) == 14


def test_models_of_one_name_go_by_their_paths(clean, tmp_path, capsys):
    files = [tmp_path / run / "best.safetensors" for run in ("one", "two")]
    for seed, file in enumerate(files):
        file.parent.mkdir()
        save_model(file, seed, 0.5)
    options = [clean, "--damage", "challenge", "--limit", 1, "--baselines", "none"]
    assert bench(*options, "-m", files[0], "-m", files[1], "-o", tmp_path / "out") == 0
    found = results_of(tmp_path / "out")
    assert [m["name"] for m in found["methods"]] == ["damaged input", *map(str, files)]
    assert (tmp_path / "out" / "report.html").is_file()
    capsys.readouterr()
    assert bench(*options, "-m", files[0], "-m", files[0]) == 2
    assert "name each once" in capsys.readouterr().err


def test_many_models_under_noise_are_shown_by_their_whole_names(clean, models, tmp_path, capsys):
    names = [letter * 60 for letter in "ab"]
    for name in names:
        shutil.copy(models[0], tmp_path / f"{name}.safetensors")
    given = [option for name in names for option in ("-m", tmp_path / f"{name}.safetensors")]
    options = ["--damage", "challenge", "--noise", "none", "--noise", "jpeg-30", "--limit", 1]
    assert bench(clean, *options, "--baselines", "none", *given) == 0
    shown = capsys.readouterr().out
    for quantity in ("PSNR", "SSIM", "LPIPS"):
        assert all(f"{quantity} {name}" in shown for name in names)
    assert "…" not in shown


def test_raw_output_is_a_line_of_its_own(clean, tmp_path):
    network = build("hinet", {"width": 2, "depth": 2})
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.fill_(5 / 255 if name == "last.bias" else 0)  # all a little lighter
    formats.save(tmp_path / "lighter.safetensors", network, "hinet", {})
    arguments = (clean, "--damage", "challenge", "-m", tmp_path / "lighter.safetensors", "--raw")
    assert bench(*arguments, "--preserve", "always", "-o", tmp_path / "o") == 0
    summary = results_of(tmp_path / "o")["blocks"][0]["summary"]
    assert summary["lighter"]["kept"]["mean"] == 100
    assert summary["lighter, raw"]["kept"]["mean"] == 0
    outside = summary["lighter, raw"]["psnr_outside"]["mean"]
    assert outside == pytest.approx(20 * np.log10(255 / 5), abs=0.01)


def test_a_model_that_fails_on_one_picture_costs_that_picture_alone(
    clean, models, tmp_path, capsys, monkeypatch
):
    real = contestants.restore_picture
    seen = []

    def failing(rgb, network, options, **more):
        seen.append(rgb.shape)
        if len(seen) == 4:  # the first is the warm-up
            raise RuntimeError("the network\nis out of order")
        return real(rgb, network, options, **more)

    monkeypatch.setattr(contestants, "restore_picture", failing)
    out = tmp_path / "o"
    assert bench(clean, "--damage", "challenge", "-m", models[0], "-o", out) == 10
    shown, said = capsys.readouterr()
    assert said == ("error: 壁画 2, challenge, calm: RuntimeError: the network is out of order\n")
    assert "failed" in shown
    results = results_of(out)
    jsonschema.validate(results, SCHEMA, cls=jsonschema.Draft202012Validator)
    block = results["blocks"][0]
    assert block["failed"] == {"calm": 1}
    assert block["summary"]["calm"]["psnr"]["count"] == 6
    assert block["summary"]["damaged input"]["psnr"]["count"] == 7
    pair = next(
        d for d in block["differences"] if d["quantity"] == "psnr" and d["second"] == "calm"
    )
    assert pair["count"] == 6
    assert "calm failed on 壁画 2" in (out / "report.html").read_text(encoding="utf-8")
    monkeypatch.setattr(contestants, "restore_picture", real)
    assert bench(clean, "--damage", "challenge", "-m", models[0], "-o", out) == 0
    assert results_of(out)["blocks"][0]["failed"] == {}


def test_pairs_are_matched_by_name_and_the_odd_ones_are_named(clean, models, tmp_path, capsys):
    pairs = tmp_path / "pairs"
    shutil.copytree(clean, pairs / "target")
    shutil.copytree(clean, pairs / "input")
    (pairs / "input" / "壁画 0.png").unlink()
    (pairs / "target" / "壁画 6.png").unlink()
    Image.new("RGB", (9, 9)).save(pairs / "input" / "壁画 3.png")
    assert bench(pairs, "-m", models[0], "--json") == 10
    shown, said = capsys.readouterr()
    results = json.loads(shown)
    jsonschema.validate(results, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert [image["name"] for image in results["data"]["images"]] == [
        f"壁画 {i}" for i in (1, 2, 4, 5)
    ]
    assert "壁画 0.png: has no damaged picture of that name" in said
    assert "壁画 6.png: has no clean picture of that name" in said
    assert said.count("9x9 pixels, but its truth has 52x44") == 1
    good = [row for row in results["rows"] if row["image"] == "壁画 1"]
    assert {row["values"]["psnr"] for row in good if row["method"] == "damaged input"} == {100}
    assert {row["values"]["kept"] for row in good} == {100}


def test_everybody_is_averaged_over_the_same_pictures(clean, models, tmp_path, capsys):
    """A pair without damage counts for those who are given the mask, too."""
    pairs = tmp_path / "pairs"
    shutil.copytree(clean, pairs / "target")
    shutil.copytree(clean, pairs / "input")
    (pairs / "mask").mkdir()
    for path in sorted((pairs / "input").iterdir()):
        mask = Image.new("L", (52, 44))
        if "0" not in path.name:
            mask.paste(255, (9, 9, 20, 20))
            damaged = Image.open(path)
            damaged.paste((255, 255, 255), (9, 9, 20, 20))
            damaged.save(path)
        mask.save(pairs / "mask" / path.name)
    assert bench(pairs, "-m", models[0], "--json") == 0
    (block,) = json.loads(capsys.readouterr().out)["blocks"]
    oracle = next(name for name in block["summary"] if name.startswith("true mask"))
    counts = {name: found["psnr"]["count"] for name, found in block["summary"].items()}
    assert set(counts.values()) == {7}
    assert counts[oracle] == 7


def test_a_picture_that_can_be_seen_through_is_named_and_the_others_measured(clean, models, capsys):
    path = sorted(clean.iterdir())[0]
    layer = Image.open(path).convert("RGBA")
    layer.putpixel((3, 4), (9, 9, 9, 0))
    layer.save(path)
    arguments = (clean, "--damage", "challenge", "-m", models[0], "--limit", "2", "--json")
    assert bench(*arguments) == 10
    shown, said = capsys.readouterr()
    assert said.count("\n") == 1
    assert said.startswith(f"error: {path}: has wholly transparent pixels")
    results = json.loads(shown)
    assert len(results["data"]["images"]) == 1
    assert {row["image"] for row in results["rows"] if row["error"] is None} == {"壁画 3"}


@pytest.mark.parametrize("mode", ["L", "RGB", "greys in RGB"])
def test_grey_and_coloured_pictures_are_measured_as_restore_writes_them(
    clean, tmp_path, capsys, mode
):
    pairs = tmp_path / "pairs"
    for folder in ("input", "target"):
        (pairs / folder).mkdir(parents=True)
        for path in sorted(clean.iterdir())[:2]:
            picture = Image.open(path).convert("RGB" if mode == "RGB" else "L")
            picture = picture.convert("L" if mode == "L" else "RGB")
            if folder == "input":
                picture.paste("white", (9, 9, 20, 20))
            picture.save(pairs / folder / path.name)
    assert bench(pairs, "-m", "hinet-db", "--baselines", "none", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    settings = ("--precision", "fp32", "--tile", "1056", "--quiet")
    restored = tmp_path / "restored"
    assert (
        run(["restore", str(pairs / "input"), "-o", str(restored), "-m", "hinet-db", *settings])
        == 0
    )
    capsys.readouterr()
    assert run(["compare", str(restored), str(pairs / "target"), "--no-lpips", "--json"]) == 0
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    measured = {row["image"]: row["values"] for row in rows if row["method"] == "hinet-db"}
    assert len(measured) == len(written) == 2
    for one in written:
        values = measured[one["picture"]]
        for key in ("psnr", "ssim", "ciede2000", "ciede2000_p95"):
            assert values[key] == pytest.approx(one[key], rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{missing}", "--protocol", "murals"], 3, "no such folder"),
        (["{empty}", "--protocol", "murals"], 6, "no pictures found"),
        (["{clean}"], 2, "add --protocol murals, --damage challenge or --noise"),
        (["{clean}", "--damage", "challenge", "-m", "{missing}"], 8, "missing"),
        (["{clean}", "--damage", "challenge", "-m", "edsr-x2"], 8, "does not restore pictures"),
        (
            ["{clean}", "--damage", "challenge", "-m", "{model}", "-m", "{model}"],
            2,
            "called '{model}'",
        ),
        (["{clean}", "--damage", "challenge", "-m", "{model}", "-o", "{clean}"], 5, "other files"),
        (["{clean}", "--protocol", "murals", "--seed", "1"], 2, "fixes damage"),
        (["{clean}", "--damage", "challenge", "--device", "abacus", "-m", "{model}"], 2, "abacus"),
        (["{clean}", "--damage", "challenge", "-d", "cpu,cpu", "-m", "{model}"], 2, "one device"),
    ],
)
def test_errors_are_one_line(clean, models, tmp_path, capsys, arguments, code, message):
    (tmp_path / "empty").mkdir()
    places = {
        "clean": clean,
        "missing": tmp_path / "missing",
        "empty": tmp_path / "empty",
        "model": models[0],
    }
    assert bench("--offline", *(text.format(**places) for text in arguments)) == code
    shown, said = capsys.readouterr()
    assert shown == ""
    assert said.count("\n") == 1
    assert message.format(**places) in said


@pytest.mark.parametrize(
    ("output", "message"),
    [("file", "not a directory"), ("file/o", "not a directory"), ("others", "other files")],
)
def test_an_output_that_cannot_be_is_refused_before_any_work(
    clean, tmp_path, capsys, monkeypatch, output, message
):
    (tmp_path / "others").mkdir()
    for name in ("file", "others/letter.txt"):
        (tmp_path / name).write_text("somebody's")
    for work in ("find_sources", "load", "load_lpips"):
        monkeypatch.setattr(session, work, lambda *_, **__: pytest.fail("has begun"))
    given = ["--damage", "challenge", "-o", str(tmp_path / output)]
    assert run(["bench", str(clean), *given]) == 5
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path / output}: ")
    assert message in line
    assert (tmp_path / "file").read_text() == "somebody's"
    assert [path.name for path in (tmp_path / "others").iterdir()] == ["letter.txt"]


def test_two_runs_never_write_into_one_folder(clean, models, tmp_path, capsys):
    journal = Journal(tmp_path / "o")
    arguments = (clean, "--damage", "challenge", "-m", models[0], "-o", tmp_path / "o")
    assert bench(*arguments) == 5
    assert "another benchmark is writing here" in capsys.readouterr().err
    journal.close()


def test_rows_of_somebody_elses_are_one_line(clean, models, tmp_path, capsys):
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "rows.jsonl").write_text("somebody's\n")
    assert bench(clean, "--damage", "challenge", "-m", models[0], "-o", tmp_path / "o") == 5
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path / 'o' / 'rows.jsonl'}: this file holds no rows")


def test_without_lpips_weights_the_column_reads_na_and_the_run_goes_on(
    clean, models, tmp_path, capsys
):
    arguments = [str(clean), "--damage", "challenge", "-m", models[0], "--limit", "1"]
    places = ["--offline", "--cache-dir", str(tmp_path / "cache")]
    code = run(["bench", *arguments, *places, "--baselines", "none"])
    shown, said = capsys.readouterr()
    assert code == 0
    assert re.search(r"calm .* n/a ", shown)
    assert said.count("\n") == 1
    assert "`dunrestore models pull lpips-alexnet`" in said


def test_a_broken_record_in_the_cache_keeps_no_embedded_model_away(tmp_path):
    broken = tmp_path / "models" / "other"
    broken.mkdir(parents=True)
    (broken / "record.json").write_text("{")
    assert "arin-guided" in session._embedded(tmp_path)


def test_help_does_not_import_torch(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; from dunrestore.cli.app import run; code = run(['bench', '--help']);"
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0
