"""Write down what lies in weights/: run this after any change there, and commit what it writes.

    .venv/bin/python benchmarks/stamp_weights.py

For every NAME.safetensors it writes the card NAME.md from the file's own metadata with the picture
NAME.jpg (the painted example: damaged, restored as ``restore`` does, undamaged), the file's hash
and size into index.json, and the result of the self-test (CPU, float32) into self-test.npz.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image

import dunrestore
from dunrestore.checkpoints import cards, self_test
from dunrestore.checkpoints.formats import read
from dunrestore.checkpoints.store import embedded_folder
from dunrestore.restoration.options import RestoreOptions
from dunrestore.storage.hashing import sha256_of

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SHOWN = (slice(160, 440), slice(230, 530))
"""Rows and columns of the example that cards show."""


def main():
    folder = embedded_folder()
    index, results = {}, {}
    for path in sorted(folder.glob("*.safetensors")):
        name, sha256, size = path.stem, sha256_of(path), path.stat().st_size
        checkpoint = read(path)
        facts = cards.file_facts(checkpoint.description, sha256, size)
        card = cards.render(name, checkpoint.description.card, facts)
        draw_example(path)
        card += f"\n## Example\n\nDamaged, restored, undamaged: ![painted example]({name}.jpg)\n"
        path.with_suffix(".md").write_text(card, encoding="utf-8")
        index[name] = {"sha256": sha256, "size": size}
        results[name, sha256] = self_test.restore_picture(checkpoint.network(), "cpu", "fp32")
        print(f"{name}: {size / 1e6:.1f} MB, {sha256}")
    (folder / "index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    self_test.write_references(folder / self_test.NAME, results)


def draw_example(path):
    """Write what a model makes of the painted example."""
    damaged = np.array(Image.open(EXAMPLES / "mural.png").convert("RGB"))
    truth = np.array(Image.open(EXAMPLES / "mural-undamaged.png").convert("RGB"))
    options = RestoreOptions(device="cpu", precision="fp32")
    restored = dunrestore.restore(damaged, dunrestore.load(path), options)
    row = np.hstack([picture[SHOWN] for picture in (damaged, restored, truth)])
    Image.fromarray(row).save(path.with_suffix(".jpg"), quality=88)


if __name__ == "__main__":
    main()
