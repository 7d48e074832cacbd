"""Which ratios moved by more than 10 % since they were stored: ``make bench``.

    python benchmarks/guard.py [--accept] [--rounds N]

Ratios of processor times taken in one run, each the best of N interleaved rounds. What moved is
measured a second time before it counts, since machines are noisy. Ends with 1 if a ratio moved, 0
otherwise. ``--accept`` (``make bench ACCEPT=1``) stores the new ratios in
``benchmarks/ratios.json``, beside those of other kinds of machine, where they differ.
"""

import argparse
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np
import torch
from startup import start_ratios

from dunrestore.imaging import tiling
from dunrestore.models import measurements
from dunrestore.models.hinet import HINet, HINetConfig
from dunrestore.models.runner import Runner

STORED = Path(__file__).with_name("ratios.json")
LIMIT = 0.10
SIDE = 192


def best_of(works, rounds):
    """The least processor seconds of each work, taken in turn."""
    best = dict.fromkeys(works, float("inf"))
    for turn in range(rounds + 1):
        for name, work in works.items():
            begin = time.thread_time()
            work()
            if turn:  # the first warms up
                best[name] = min(best[name], time.thread_time() - begin)
    return best


def network_ratios(rounds):
    """A small HINet as published over our way of running it, and global over local statistics."""
    torch.manual_seed(0)
    published = HINet(HINetConfig(width=8)).eval()
    networks = [HINet(HINetConfig(width=8)).eval() for _ in range(3)]
    for network in networks:
        network.load_state_dict(published.state_dict())
    tile = np.random.default_rng(0).random((1, SIDE, SIDE, 3), np.float32)
    x = torch.from_numpy(tile.transpose(0, 3, 1, 2).copy())
    cpu = torch.device("cpu")
    ours = Runner(networks[0], cpu, torch.float32)
    local = Runner(networks[1], cpu, torch.float32, window=96)
    low = Runner(networks[2], cpu, torch.bfloat16)

    @torch.inference_mode()
    def eager():
        published(x)

    best = best_of(
        {
            "eager": eager,
            "ours": lambda: ours.change(tile),
            "local": lambda: local.change(tile),
            "bfloat16": lambda: low.change(tile),
        },
        rounds,
    )
    return {
        "network: published way / ours, float32": best["eager"] / best["ours"],
        "network: float32 / bfloat16": best["ours"] / best["bfloat16"],
        "network: local / global statistics": best["local"] / best["ours"],
    }


def tile_ratios(rounds):
    """Cutting and blending tiles over weighting the picture and adding it up, twice.

    Not over copies of it: how fast memory is copied moves by more than the limit by itself.
    """
    picture = np.random.default_rng(0).random((1024, 1024, 3), np.float32)
    plan = tiling.plan(1024, 1024, tile=288, overlap=96, multiple=48)

    def blend():
        tiles = ((tile, tiling.extract(picture, tile)) for tile in plan.tiles())
        tiling.blend(plan, tiles)

    rows = picture.reshape(len(picture), -1)
    weight = np.linspace(0, 1, rows.shape[1], dtype=np.float32)

    def add():
        total = np.zeros_like(rows)
        for _ in range(2):
            total += rows * weight

    best = best_of({"blend": blend, "add": add}, rounds)
    return {"tiles: cut and blend / weight and add": best["blend"] / best["add"]}


def measure(rounds):
    return start_ratios(rounds) | network_ratios(rounds) | tile_ratios(rounds)


def kind():
    """Processors of one name may differ in their units for bfloat16."""
    name, units = measurements.processor()
    own = " ".join(unit for unit in ("avx512_bf16", "amx_bf16", "bf16") if unit in units)
    threads = torch.get_num_threads()
    return f"{name}, {platform.machine()}, {own or 'no bfloat16'}, {threads} threads"


def moved(old, new):
    return abs(new / old - 1) > LIMIT


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accept", action="store_true")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads that wait for each other make a busy machine's times useless
    ratios = measure(arguments.rounds)
    machines = json.loads(STORED.read_text(encoding="utf-8")) if STORED.is_file() else {}
    if arguments.accept:
        machines[kind()] = {"torch": torch.__version__, "ratios": ratios}
        STORED.write_text(json.dumps(machines, indent=2) + "\n", encoding="utf-8")
        print(f"stored {len(ratios)} ratios of {kind()}")
        return 0
    if kind() not in machines:
        print(f"no ratios of {kind()} are stored: `make bench ACCEPT=1` does that")
        for name, new in ratios.items():
            print(f"{name:45} {new:8.3f}")
        return 1
    old = machines[kind()]["ratios"]
    if any(name in old and moved(old[name], new) for name, new in ratios.items()):
        # What a busy moment moved comes back; a change of the code stays.
        again = measure(arguments.rounds)
        ratios = {
            name: min(new, again[name], key=lambda one: abs(one / old.get(name, one) - 1))
            for name, new in ratios.items()
        }
    print(f"{'ratio':45} {'stored':>8} {'now':>8} {'change':>8}")
    failed = 0
    for name, new in ratios.items():
        before = old.get(name)
        if before is None:
            print(f"{name:45} {'none':>8} {new:8.3f}")
            continue
        mark = "  MOVED" if moved(before, new) else ""
        failed += bool(mark)
        print(f"{name:45} {before:8.3f} {new:8.3f} {100 * (new / before - 1):+7.1f} %{mark}")
    for name in old.keys() - ratios.keys():
        print(f"{name:45} is no longer measured")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
