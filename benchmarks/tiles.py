"""Which statistics, tile size and overlap give the best picture and the least seam.

    python benchmarks/tiles.py MODEL FOLDER [--limit N]

FOLDER holds undamaged pictures; each gets the challenge's losses. For every way of running the
model: the mean PSNR of the raw output, and how far it deviates from the same network with the same
statistics run untiled, in steps of 8 bits (99.9th percentile and largest).
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from dunrestore.checkpoints.load import load
from dunrestore.degradations.random_walk import random_walk_mask
from dunrestore.imaging import files, pixels, tiling
from dunrestore.models.runner import Runner, size_multiple

TILES = (192, 288, 384)
OVERLAPS = (0, 48, 96, 144)
WINDOWS = (None, 96, 192, 288, 384)


def pairs(folder: Path, limit: int):
    for i, path in enumerate(sorted(folder.iterdir())[:limit]):
        clean = pixels.to_rgb(files.read(path).pages[0])
        rng = np.random.default_rng(i)
        damaged = clean.copy()
        damaged[random_walk_mask(*clean.shape[:2], rng.uniform(0.05, 0.15), rng)] = 1
        yield clean, damaged


def run(runner: Runner, picture, tile, overlap):
    multiple = size_multiple(runner.network)
    plan = tiling.plan(*picture.shape[:2], tile=tile, overlap=overlap, multiple=multiple)
    changes = ((t, runner.change(tiling.extract(picture, t)[None])[0]) for t in plan.tiles())
    return tiling.blend(plan, changes)[..., :3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=8)
    arguments = parser.parse_args()
    network = load(arguments.model).network
    pictures = list(pairs(arguments.folder, arguments.limit))
    print(
        "| statistics | tile | overlap | PSNR (dB) | p99.9 | largest |\n|---|---|---|---|---|---|"
    )
    for window in WINDOWS:
        runner = Runner(network, torch.device("cpu"), torch.float32, window)
        whole = [run(runner, damaged, None, 0) for _, damaged in pictures]
        name = "global" if window is None else f"window {window}"
        report(name, "whole", 0, pictures, whole, whole)
        for tile in TILES:
            for overlap in OVERLAPS:
                if overlap <= tile // 2:
                    tiled = [run(runner, damaged, tile, overlap) for _, damaged in pictures]
                    report(name, tile, overlap, pictures, tiled, whole)


def report(name, tile, overlap, pictures, changes, whole) -> None:
    errors = [
        np.square(damaged + change - clean).mean()
        for (clean, damaged), change in zip(pictures, changes, strict=True)
    ]
    deviations = [np.abs(a - b).max(axis=2) * 255 for a, b in zip(changes, whole, strict=True)]
    apart = np.concatenate([d.ravel() for d in deviations])
    psnr = np.mean(-10 * np.log10(errors))
    print(
        f"| {name} | {tile} | {overlap} | {psnr:.2f} | {np.percentile(apart, 99.9):.2f} |"
        f" {apart.max():.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
