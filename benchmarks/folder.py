"""How busy a batch keeps a device, with so many files in work at once.

    python benchmarks/folder.py [--model arin-guided] [--device cuda] [--jobs 1 4 8] [--tile 960]
                                [--pace 8]

Painted and damaged pictures of 12 megapixels, 8 bits, uncompressed TIFF, are restored as `restore`
does it, records included. *Network*: the share of the time in which the network is at work on some
tiles, the waiting for commands included. *Kernels* (CUDA): that in which the driver says that a
kernel runs (needs nvidia-ml-py). A first file is not counted: a device's start and compiling take
seconds. The model "stand-in" costs next to nothing, so that all else shows; with --pace it
takes as long as a device that computes so many megapixels of tiles a second, one batch after the
other, and sleeps meanwhile. "hinet-64" is HINet of the published size.
"""

import argparse
import statistics
import tempfile
import threading
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import tifffile
import torch
from inference import build, mural
from memory import StandIn, stand_in
from restoring import Silent

from dunrestore.checkpoints.load import Model, load
from dunrestore.models import runner
from dunrestore.restoration.batch.run import BatchOptions, Run
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.source import FileOptions, Job

SIDE, COLUMNS, ROWS = 1000, 4, 3


def paced(pace):
    model = stand_in()
    return model if pace is None else replace(model, network=Paced(pace).eval())


class Watch:
    """When the network was at work, and what the driver says of the device meanwhile."""

    def __init__(self, cuda):
        self.spans, self.loads = [], []
        self._cuda = cuda and find_spec("pynvml") is not None  # which PyTorch asks
        self._over = threading.Event()
        self._in_turn = runner.in_turn
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self):
        def timed(call):
            start = time.perf_counter()
            try:
                return call()
            finally:
                self.spans.append((start, time.perf_counter()))

        runner.in_turn = lambda device, call: self._in_turn(device, lambda: timed(call))
        self._thread.start()
        return self

    def __exit__(self, *_):
        runner.in_turn = self._in_turn
        self._over.set()
        self._thread.join()

    def _sample(self):
        while not self._over.wait(0.05):
            if self._cuda:
                self.loads.append(torch.cuda.utilization())


def full():
    """HINet as published, width 64, that changes nothing: nobody's weights are needed."""
    network = build("hinet-64")
    network.last.weight.zero_()
    network.last.bias.zero_()
    return Model("hinet-64", "hinet", network, {}, "1" * 64, Path("hinet-64"))


class Paced(StandIn):
    """A stand-in for a device of so many megapixels of tiles a second."""

    def __init__(self, pace):
        super().__init__()
        self.pace, self._busy = pace, threading.Lock()

    def forward(self, x):
        pixels = x.shape[0] * x.shape[2] * x.shape[3]
        with self._busy:
            start = time.perf_counter()
            found = super().forward(x)
            time.sleep(max(pixels / 1e6 / self.pace - (time.perf_counter() - start), 0))
        return found


def make(folder, number):
    picture = np.tile(mural(SIDE), (ROWS, COLUMNS, 1)).astype(np.float32)
    first = folder / "picture-00.tif"
    tifffile.imwrite(first, np.rint(picture * 255).astype(np.uint8), photometric="rgb")
    data = first.read_bytes()
    for i in range(1, number):
        (folder / f"picture-{i:02}.tif").write_bytes(data)


def restored(model, device, tile, jobs, paths):
    """What came of restoring files, and the seconds that they took together."""
    with tempfile.TemporaryDirectory() as out:
        todo = [Job(path, Path(out) / path.name) for path in paths]
        batch = BatchOptions(ahead=jobs, at_once=jobs)
        options = RestoreOptions(device=device, tile=tile)
        with Run(model, options, FileOptions(), batch, None, Silent()) as run:
            start = time.perf_counter()
            outcomes = list(run.restore(todo))
            seconds = time.perf_counter() - start
    for outcome in outcomes:
        if outcome.error is not None:
            raise SystemExit(str(outcome.error))
    return outcomes, seconds


def measure(model, device, tile, jobs, source, megapixels):
    paths = sorted(source.glob("*.tif"))[: 2 * jobs + 2]
    with Watch(device.startswith("cuda")) as watch:
        outcomes, seconds = restored(model, device, tile, jobs, paths)
    network = covered(watch.spans)
    kernels = f"{statistics.mean(watch.loads):.0f} %" if watch.loads else "-"
    total = megapixels * len(paths)
    print(
        f"| {model.name} | {device} | {outcomes[0].result.tile} | {jobs} |"
        f" {total / seconds:.1f} | {total / network:.1f} |"
        f" {network / seconds:.0%} | {kernels} |",
        flush=True,
    )


def covered(spans):
    """Time in which at least one of the spans lies."""
    total, last = 0.0, 0.0
    for begin, end in sorted(spans):
        total += max(end - max(begin, last), 0)
        last = max(last, end)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", default=["arin-guided"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--tile", type=int, help="its largest side; automatic without")
    parser.add_argument("--pace", type=float, help="of the stand-in, megapixels a second")
    chosen = parser.parse_args()
    print(
        "| model | device | tile | files at once | MP/s | MP/s of the network | network | kernels |"
    )
    print(f"{'|---' * 8}|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), 2 * max(chosen.jobs) + 2)
        made = {"stand-in": lambda: paced(chosen.pace), "hinet-64": full}
        megapixels = SIDE * SIDE * COLUMNS * ROWS / 1e6
        for name in chosen.model:
            model = made[name]() if name in made else load(name)
            restored(model, chosen.device, chosen.tile, 1, sorted(Path(folder).glob("*.tif"))[:1])
            for jobs in chosen.jobs:
                measure(model, chosen.device, chosen.tile, jobs, Path(folder), megapixels)


if __name__ == "__main__":
    main()
