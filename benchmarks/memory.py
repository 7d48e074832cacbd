"""Peak memory and cost of a restoration against the size of the picture.

    python benchmarks/memory.py [--model NAME] [--precision fp32] [--megapixels 4 16 100 400]
                                [--to png]

Makes RGB TIFFs of 8 bits in tiles of 512 with losses, restores each on the CPU in a process of its
own, to a file of the given kind, and deletes it again. Without --model a stand-in fills what is
white: it costs next to nothing, so that everything around the network shows. Memory is above what
the process took with the loaded model after a small picture: *resident* is all of it, *anonymous*
what is not a part of a file that the system can drop at any time. Needs about 27 bytes of disk a
pixel.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from restoring import restore_file
from torch import nn

from dunrestore.allocator import sparing_environment
from dunrestore.checkpoints.load import Model, load
from dunrestore.models.devices import Precision
from dunrestore.models.facts import Facts
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.source import Job

SEGMENT = 512


@dataclass(frozen=True)
class StandInConfig(Facts):
    size_multiple: int = 16

    def bytes_per_pixel(self, itemsize: int) -> float:
        return 100.0


class StandIn(nn.Module):
    """Fills what is white with grey."""

    def __init__(self) -> None:
        super().__init__()
        self.config = StandInConfig()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (torch.where((x == 1).all(dim=1, keepdim=True), 0.4, x),)


def make_picture(path: Path, megapixels: float) -> None:
    """A square picture: coarse texture, with a loss in every other segment."""
    side = round((megapixels * 1e6) ** 0.5)
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 180, (SEGMENT // 8, SEGMENT // 8, 3))
    sound = np.kron(coarse, np.ones((8, 8, 1))) + rng.integers(-3, 4, (SEGMENT, SEGMENT, 3))
    damaged = sound.copy()
    damaged[100:180, 60:300] = 255
    kinds = [kind.astype(np.uint8) for kind in (sound, damaged)]
    count = (-(-side // SEGMENT)) ** 2
    tifffile.imwrite(
        path,
        (kinds[i % 2] for i in range(count)),
        shape=(side, side, 3),
        dtype=np.uint8,
        tile=(SEGMENT, SEGMENT),
        photometric="rgb",
        bigtiff=True,
    )


class Peaks:
    """The largest resident and anonymous memory, looked at 50 times a second."""

    def __init__(self) -> None:
        self.start = _memory()
        self.resident, self.anonymous = self.start
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            resident, anonymous = _memory()
            self.resident = max(self.resident, resident)
            self.anonymous = max(self.anonymous, anonymous)

    def grown(self) -> tuple[float, float]:
        self._done.set()
        self._thread.join()
        return self.resident - self.start[0], self.anonymous - self.start[1]


def _memory() -> tuple[float, float]:
    """Resident and anonymous memory of this process in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    values = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return tuple(int(values[name].split()[0]) / 1e3 for name in ("VmRSS", "RssAnon"))


def stand_in() -> Model:
    """A model that costs next to nothing."""
    return Model("stand-in", "hinet", StandIn().eval(), {}, "0" * 64, Path("stand-in"))


def measure(
    folder: Path, model_name: str | None, precision: Precision, kind: str, megapixels: float
) -> dict[str, float]:
    model = stand_in() if model_name is None else load(model_name)
    options = RestoreOptions(device="cpu", precision=precision)
    small, large = folder / "small.tif", folder / "large.tif"
    make_picture(small, 0.1)
    restore_file(Job(small, folder / f"small-out.{kind}"), model, options)
    make_picture(large, megapixels)
    os.sync()  # or writing the picture to the disk would count
    peaks = Peaks()
    start, start_cpu = time.perf_counter(), time.process_time()
    result = restore_file(Job(large, folder / f"large-out.{kind}"), model, options)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    resident, anonymous = peaks.grown()
    return {
        "tile": result.tile,
        "resident": resident,
        "anonymous": anonymous,
        "seconds": seconds / megapixels,
        "cpu": cpu / megapixels,
        "changed": result.changed_percent,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--to", default="tif", help="suffix of the output's name")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[4, 16, 100, 400])
    parser.add_argument("--folder", type=Path, help="a disk with room; the temporary folder")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        given = (arguments.folder, arguments.model, arguments.precision, arguments.to)
        print(json.dumps(measure(*given, arguments.megapixels[0])))
        return
    print(
        "| megapixels | tile | resident (MB) | anonymous (MB) | s/MP | ratio | CPU s/MP | ratio |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    first: dict[str, float] = {}
    for megapixels in arguments.megapixels:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            model = ["--model", arguments.model] if arguments.model else []
            command = [sys.executable, __file__, "--one", "--folder", folder, *model]
            command += ["--precision", arguments.precision, "--to", arguments.to]
            found = subprocess.run(
                [*command, "--megapixels", str(megapixels)],
                env=sparing_environment(),  # as the command line begins
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
        row = json.loads(found.stdout)
        first = first or row
        print(
            f"| {megapixels:g} | {row['tile']} | {row['resident']:.0f} | {row['anonymous']:.0f} |"
            f" {row['seconds']:.3f} | {row['seconds'] / first['seconds']:.2f} |"
            f" {row['cpu']:.3f} | {row['cpu'] / first['cpu']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
