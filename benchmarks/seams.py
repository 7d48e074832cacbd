"""How far tiles depart from the untiled picture, against what they overlap.

    python benchmarks/seams.py [--model arin-guided hinet-db] [--overlaps 192 240]

Painted and damaged murals, restored on the CPU as `restore` does it: once as a single tile with
local statistics, then in four that overlap by so much. *Largest* and *99.9 %*: by how many 8-bit
steps the network's proposal for a pixel departs, the worst of all pictures; *over*: share of the
pixels that depart by more than half a step; *mask*: pixels that only one of both finds lost.

In the rows "around losses" losses are few, and `restore` asks a network that finds them of nothing
but what surrounds them: how far that departs from the whole tile, within the losses.
"""

import argparse
from dataclasses import replace

import numpy as np

from dunrestore.checkpoints.load import load
from dunrestore.datasets.painter import paint_mural
from dunrestore.degradations.recipes import RECIPES, Damage, Recipe, degrade
from dunrestore.models.facts import facts
from dunrestore.models.runner import size_multiple
from dunrestore.restoration.change import propose
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.picture import restoring_network

DAMAGES = (
    RECIPES["challenge"],
    RECIPES["mural"],
    Recipe((Damage("random-walk", (0.15, 0.30), ("plaster",)),)),
)
FEW = Recipe((Damage("areas", (0.002, 0.01), ("white",)),))
"""So few that most of a tile is sound."""
BETWEEN = 576
"""From one tile's origin to the next one's; a multiple of what every model wants."""
BESIDE = 20
"""Pixels that are missing to that, which tiles get by reflection."""


def pictures(side, number, damages=DAMAGES):
    for seed in range(number):
        mural = paint_mural(side, side, np.random.default_rng(seed))
        yield degrade(mural, damages[seed % len(damages)], np.random.default_rng(seed)).picture


def departures(whole, other, where=...):
    steps = np.abs(other.change - whole.change).max(axis=2)[where] * 255
    masks = 0
    if whole.damage is not None:
        masks = np.count_nonzero((whole.damage > 0.5) != (other.damage > 0.5))
    return steps.max(), np.quantile(steps, 0.999), (steps > 0.5).mean(), masks


def line(name, tile, overlap, each):
    largest, high, over, masks = (max(column) for column in zip(*each, strict=True))
    cells = name, tile, overlap, f"{largest:.2f}", f"{high:.2f}", f"{over:.3%}", masks
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", default=["arin-guided", "hinet-db"])
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--pictures", type=int, default=3)
    parser.add_argument("--overlaps", type=int, nargs="+", help="default: all up to 240")
    chosen = parser.parse_args()
    print("| model | tiles of | overlap | largest | 99.9 % | over | mask |")
    print(f"{'|---' * 7}|", flush=True)
    for name in chosen.model:
        network = restoring_network(load(name))
        step = facts(network).origin_multiple or size_multiple(network)
        options = RestoreOptions(device="cpu", precision=chosen.precision)
        for overlap in chosen.overlaps or range(step, 241, step):
            # So large that four tiles share no more than that.
            tile = BETWEEN + overlap
            side = 2 * tile - overlap
            whole = replace(options, tile=side, overlap=overlap)
            each = [
                departures(
                    propose(picture, network, whole, complete=True),
                    propose(picture, network, replace(whole, tile=tile), complete=True),
                )
                for picture in pictures(side - BESIDE, chosen.pictures)
            ]
            line(name, tile, overlap, each)
        if facts(network).has_finder:
            side = 2 * BETWEEN
            each = []
            for picture in pictures(side - BESIDE, chosen.pictures, [FEW]):
                whole = propose(picture, network, replace(options, tile=side), complete=True)
                around = propose(picture, network, replace(options, tile=side))
                each.append(departures(whole, around, whole.damage > 0.5))
            line(name, side, "around losses", each)


if __name__ == "__main__":
    main()
