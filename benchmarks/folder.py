"""How busy a batch keeps a device, with so many files in work at once.

    python benchmarks/folder.py [--model arin-guided] [--device cuda] [--jobs 1 4 8]

Painted and damaged pictures of 12 megapixels, 8 bits, uncompressed TIFF, are restored as `restore`
does it, records included. *Network*: the share of the time in which the network is at work on some
tiles, the waiting for commands included. *Kernels* (CUDA): that in which the driver says that a
kernel runs. The model "stand-in" costs next to nothing, so that all else shows; "hinet-64" is HINet
of the published size.
"""

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import tifffile
import torch
from inference import build, mural
from memory import stand_in

from dunrestore.checkpoints.load import Model, load
from dunrestore.models.runner import Runner
from dunrestore.restoration.jobs import Job
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.run import BatchOptions, Run
from dunrestore.restoration.source import FileOptions

SIDE, COLUMNS, ROWS = 1000, 4, 3


class Silent:
    def start_picture(self, name):
        pass

    def tiles(self, done, total, pixels):
        pass


class Watch:
    """When the network was at work, and what the driver says of the device meanwhile."""

    def __init__(self, cuda):
        self.spans, self.loads, self._cuda = [], [], cuda
        self._over = threading.Event()
        self._compute = Runner._computed
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self):
        def computed(runner, tiles):
            start = time.perf_counter()
            try:
                return self._compute(runner, tiles)
            finally:
                self.spans.append((start, time.perf_counter()))

        Runner._computed = computed
        self._thread.start()
        return self

    def __exit__(self, *_):
        Runner._computed = self._compute
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


def make(folder, number):
    picture = np.tile(mural(SIDE), (ROWS, COLUMNS, 1)).astype(np.float32)
    first = folder / "picture-00.tif"
    tifffile.imwrite(first, np.rint(picture * 255).astype(np.uint8), photometric="rgb")
    data = first.read_bytes()
    for i in range(1, number):
        (folder / f"picture-{i:02}.tif").write_bytes(data)


def measure(model, device, jobs, source, megapixels):
    with tempfile.TemporaryDirectory() as out:
        paths = sorted(source.glob("*.tif"))[: 2 * jobs + 2]
        todo = [Job(path, Path(out) / path.name) for path in paths]
        batch = BatchOptions(ahead=jobs, at_once=jobs)
        options = RestoreOptions(device=device)
        with (
            Watch(device.startswith("cuda")) as watch,
            Run(model, options, FileOptions(), batch, None, Silent()) as run,
        ):
            start = time.perf_counter()
            outcomes = list(run.restore(todo))
            seconds = time.perf_counter() - start
    for outcome in outcomes:
        if outcome.error is not None:
            raise SystemExit(str(outcome.error))
    network = sum(end - begin for begin, end in watch.spans)
    kernels = f"{statistics.mean(watch.loads):.0f} %" if watch.loads else "-"
    total = megapixels * len(todo)
    print(
        f"| {model.name} | {device} | {jobs} | {total / seconds:.1f} | {total / network:.1f} |"
        f" {network / seconds:.0%} | {kernels} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", default=["arin-guided"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 4, 8])
    chosen = parser.parse_args()
    print("| model | device | files at once | MP/s | MP/s of the network | network | kernels |")
    print(f"{'|---' * 7}|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), 2 * max(chosen.jobs) + 2)
        made = {"stand-in": stand_in, "hinet-64": full}
        megapixels = SIDE * SIDE * COLUMNS * ROWS / 1e6
        for name in chosen.model:
            model = made[name]() if name in made else load(name)
            for jobs in chosen.jobs:
                measure(model, chosen.device, jobs, Path(folder), megapixels)


if __name__ == "__main__":
    main()
