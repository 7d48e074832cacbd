"""What several devices gain, and what it costs to keep a device at work from a thread.

    python benchmarks/devices.py [--model NAME] [--device cuda:0,cuda:1] [--side 960] [--tile 288]

Restores the tiles of one picture and blends them: on the first device one after the other, on the
first device from a thread, and on all of them; in turn, the best of several rounds. A CPU's
time is the processor's: named twice it shares its cores, so that the clock says nothing.
"""

import argparse
import copy
import time

import torch

from dunrestore.checkpoints.load import load
from dunrestore.imaging import tiling
from dunrestore.imaging.in_order import in_order
from dunrestore.models.devices import choose_devices
from dunrestore.models.runner import Runner, size_multiple
from dunrestore.restoration.change import WINDOW
from dunrestore.restoration.speed import painted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="hinet-db")
    parser.add_argument("--device", default="cpu,cpu")
    parser.add_argument("--side", type=int, default=960)
    parser.add_argument("--tile", type=int, default=288)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network, picture = load(arguments.model).network, painted(arguments.side)[0]
    plan = tiling.plan(
        *picture.shape[:2], tile=arguments.tile, overlap=96, multiple=size_multiple(network)
    )
    works = [
        Runner(copy.deepcopy(network), device, window=WINDOW).change
        for device in choose_devices(arguments.device)
    ]
    ways = {
        "one after the other": lambda stacks: map(works[0], stacks),
        "from a thread": lambda stacks: in_order(works[:1], stacks),
        arguments.device: lambda stacks: in_order(works, stacks),
    }
    clock = time.process_time if arguments.device.startswith("cpu") else time.perf_counter
    seconds, found = {way: [] for way in ways}, {}
    for _ in range(arguments.rounds):
        for way, compute in ways.items():
            begun = clock()
            stacks = (tiling.extract(picture, tile)[None] for tile in plan.tiles())
            results = ((t, c[0]) for t, c in zip(plan.tiles(), compute(stacks), strict=True))
            change = tiling.blend(plan, results)
            seconds[way].append(clock() - begun)
            found[way] = change.tobytes()
    best = min(seconds["one after the other"])
    print(f"{plan.count} tiles of up to {plan.largest} pixels, best of {arguments.rounds}")
    for way, took in seconds.items():
        same = "the same bytes" if found[way] == found["one after the other"] else "other bytes"
        print(f"{way:20} {min(took):8.2f} s, {min(took) / best:.3f} of the first; {same}")


if __name__ == "__main__":
    main()
