"""Write down what lies in weights/: run this after any change there, and commit what it writes.

    .venv/bin/python benchmarks/stamp_weights.py

For every NAME.safetensors it writes the card NAME.md from the file's own metadata, the file's hash
and size into index.json, and the result of the self-test (CPU, float32) into self-test.npz.
"""

import json

from dunrestore.checkpoints import cards, self_test
from dunrestore.checkpoints.formats import read
from dunrestore.checkpoints.record import sha256_of
from dunrestore.checkpoints.store import embedded_folder


def main():
    folder = embedded_folder()
    index, results = {}, {}
    for path in sorted(folder.glob("*.safetensors")):
        name, sha256, size = path.stem, sha256_of(path), path.stat().st_size
        checkpoint = read(path)
        facts = cards.file_facts(checkpoint.description, sha256, size)
        card = cards.render(name, checkpoint.description.card, facts)
        path.with_suffix(".md").write_text(card, encoding="utf-8")
        index[name] = {"sha256": sha256, "size": size}
        results[name, sha256] = self_test.restore_picture(checkpoint.network(), "cpu", "fp32")
        print(f"{name}: {size / 1e6:.1f} MB, {sha256}")
    (folder / "index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    self_test.write_references(folder / self_test.NAME, results)


if __name__ == "__main__":
    main()
