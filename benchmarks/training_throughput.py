"""What the loader costs: a training step with it against the network's own forward and backward.

Usage: python benchmarks/training_throughput.py FOLDER [--stage hinet-db] [--blocks 6]

Blocks of steps with a ready-made batch and blocks with the loader take turns, so that other work
on the machine falls on both alike; wall and processor time are both given, medians over blocks.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch

from dunrestore.datasets.layouts import list_pairs
from dunrestore.datasets.patches import PatchOptions, PatchStream
from dunrestore.datasets.pictures import PictureStore, check
from dunrestore.datasets.prefetch import prefetched
from dunrestore.models.devices import choose_device, choose_precision
from dunrestore.training.config import make_config
from dunrestore.training.loop import Trainer
from dunrestore.training.stages import make_network

STEPS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stage", default="hinet-db")
    parser.add_argument("--recipe", default="challenge")
    parser.add_argument("--painted", type=float, default=0.15)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    chosen = parser.parse_args()
    values = {k: v for k, v in vars(chosen).items() if k not in ("folder", "blocks", "threads")}
    config = make_config(values | {"data": str(chosen.folder)})
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    device = choose_device(config.device)
    trainer = Trainer(
        config, make_network(config), device, choose_precision(config.precision, device)
    )
    store = PictureStore(config.cache_mb * 2**20)
    pictures = check(list_pairs(chosen.folder), store)
    options = PatchOptions(
        side=config.patch, colours=config.colours, inversion=config.inversion,
        painted=config.painted, sound=config.sound, recipe=config.damage(),
    )  # fmt: skip
    stream = PatchStream(pictures, store, options)

    def batch(number: int):
        first = number * config.batch
        return tuple(map(torch.from_numpy, stream.batch(range(first, first + config.batch))))

    def timed(step) -> tuple[float, float]:
        wall, processor = time.perf_counter(), time.process_time()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - wall) / STEPS, (time.process_time() - processor) / STEPS

    ready = batch(0)

    def without_loader() -> None:
        for _ in range(STEPS):
            trainer.step([ready])

    def with_loader(first: int) -> None:
        with prefetched(batch, first, first + STEPS) as batches:
            for made in batches:
                trainer.step([made])

    without_loader()
    alone, fed = [], []
    for block in range(chosen.blocks):
        alone.append(timed(without_loader))
        fed.append(timed(lambda first=1 + block * STEPS: with_loader(first)))
    print(f"{config.stage}, batch {config.batch} of {config.patch}x{config.patch}, {device}")
    for name, kind in (("wall", 0), ("processor", 1)):
        step, loaded = (statistics.median(t[kind] for t in times) for times in (alone, fed))
        print(
            f"{name:9} time a step: alone {step * 1e3:7.1f} ms, with the loader"
            f" {loaded * 1e3:7.1f} ms, ratio {loaded / step:.3f}"
        )


if __name__ == "__main__":
    main()
