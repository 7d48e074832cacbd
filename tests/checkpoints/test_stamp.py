"""The maintainers' script writes down what lies in weights/."""

import json
import runpy
from pathlib import Path

from PIL import Image

import dunrestore
from dunrestore.checkpoints import self_test, store
from dunrestore.storage.hashing import sha256_of

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "stamp_weights.py"


def test_stamping_writes_cards_hashes_and_results(tmp_path, monkeypatch, model_bytes, capsys):
    monkeypatch.setattr(store, "embedded_folder", lambda: tmp_path)
    monkeypatch.setattr(self_test, "embedded_folder", lambda: tmp_path)
    path = tmp_path / "arin.safetensors"
    path.write_bytes(model_bytes)
    runpy.run_path(str(SCRIPT), run_name="__main__")
    sha256 = sha256_of(path)
    assert sha256 in capsys.readouterr().out
    index = json.loads((tmp_path / "index.json").read_text())
    assert index == {"arin": {"sha256": sha256, "size": len(model_bytes)}}
    card = (tmp_path / "arin.md").read_text(encoding="utf-8")
    assert "| width | 10 |" in card
    assert "of the tests" in card
    assert "(arin.jpg)" in card
    with Image.open(tmp_path / "arin.jpg") as row:
        assert row.width == 3 * 300
    model = dunrestore.load("arin", cache_dir=tmp_path)
    reference = self_test.read_reference(tmp_path / self_test.NAME, "arin", sha256)
    assert all(outcome.passed for outcome in self_test.run(model.network, reference))
