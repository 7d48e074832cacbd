"""How long the command takes to answer, and what a restore spends outside the network, as ratios.

    python benchmarks/startup.py [--rounds N]

Starting: the best of N interleaved runs of each command over the best of importing typer and rich.
Restoring: one megapixel with a stand-in network's time taken out, torch imported, PNG and TIFF.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STARTS = {
    "import typer, rich": [sys.executable, "-c", "import typer, rich"],
    "--help": [sys.executable, "-m", "dunrestore", "--help"],
    "usage error": [sys.executable, "-m", "dunrestore", "restore", "--no-such-option"],
}


def _processor_seconds() -> float:
    """Of the processes that were started from here; a busy machine alters them little."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def start_ratios(rounds: int) -> dict[str, float]:
    """Processor seconds of each start over those of the first."""
    best = dict.fromkeys(STARTS, float("inf"))
    for _ in range(rounds):
        for name, command in STARTS.items():
            begin = _processor_seconds()
            subprocess.run(command, capture_output=True, check=False)
            best[name] = min(best[name], _processor_seconds() - begin)
    first, *others = best
    return {f"start: {name} / {first}": best[name] / best[first] for name in others}


def outside_shares(model: str, side: int, rounds: int) -> dict[str, float]:
    """Share of a restoration that is not spent in the network, by file format."""
    import numpy as np
    from PIL import Image
    from restoring import restore_file

    from dunrestore.checkpoints.load import load
    from dunrestore.models.runner import Runner
    from dunrestore.restoration.options import RestoreOptions
    from dunrestore.restoration.source import Job

    inside = 0.0
    steps = {name: getattr(Runner, name) for name in ("look", "compute")}

    def timed(step):
        def call(self, *arguments):
            nonlocal inside
            begin = time.perf_counter()
            try:
                return step(self, *arguments)
            finally:
                inside += time.perf_counter() - begin

        return call

    loaded = load(model)
    shares: dict[str, float] = {}
    for name, step in steps.items():
        setattr(Runner, name, timed(step))
    try:
        with tempfile.TemporaryDirectory() as folder:
            rng = np.random.default_rng(0)
            waves = np.linspace(0, 30, side)
            picture = (
                120 + 60 * np.sin(waves)[:, None, None] + 8 * rng.standard_normal((1, side, 3))
            )
            picture = picture.clip(0, 250).astype(np.uint8)
            picture[side // 3 : side // 2, side // 4 : side // 3] = 255
            for suffix in (".png", ".tif"):
                source, target = Path(folder, "in" + suffix), Path(folder, "out" + suffix)
                Image.fromarray(picture).save(source)
                found = []
                for _ in range(rounds):
                    inside, begin = 0.0, time.perf_counter()
                    restore_file(Job(source, target), loaded, RestoreOptions())
                    if not inside:
                        raise SystemExit("the network was not seen at work")
                    found.append(1 - inside / (time.perf_counter() - begin))
                shares[f"share outside the network: {suffix[1:]}"] = min(found)
    finally:
        for name, step in steps.items():
            setattr(Runner, name, step)
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="arin")
    parser.add_argument("--side", type=int, default=1000)
    arguments = parser.parse_args()
    ratios = start_ratios(arguments.rounds)
    ratios |= outside_shares(arguments.model, arguments.side, 1)
    for name, ratio in ratios.items():
        print(f"{name:55} {ratio:.3f}")


if __name__ == "__main__":
    main()
