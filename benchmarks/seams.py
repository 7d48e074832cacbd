"""How far tiles depart from the untiled picture, against what they overlap.

    python benchmarks/seams.py [--model arin-guided hinet-db] [--overlaps 192 240]

Painted and damaged murals, restored on the CPU as `restore` does it: once as a single tile with
local statistics, then in four that overlap by so much. *Largest* and *99.9 %*: by how many 8-bit
steps the network's proposal for a pixel departs, the worst of all pictures; *over*: share of the
pixels that depart by more than half a step; *mask*: pixels that only one of both finds lost.
"""

import argparse

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
BETWEEN = 576
"""From one tile's origin to the next one's; a multiple of what every model wants."""
BESIDE = 20
"""Pixels that are missing to that, which tiles get by reflection."""


def pictures(side, number):
    for seed in range(number):
        mural = paint_mural(side, side, np.random.default_rng(seed))
        yield degrade(mural, DAMAGES[seed % len(DAMAGES)], np.random.default_rng(seed)).picture


def departures(whole, tiled):
    steps = np.abs(tiled.change - whole.change).max(axis=2) * 255
    masks = 0
    if whole.damage is not None:
        masks = np.count_nonzero((whole.damage > 0.5) != (tiled.damage > 0.5))
    return steps.max(), np.quantile(steps, 0.999), (steps > 0.5).mean(), masks


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
        for overlap in chosen.overlaps or range(step, 241, step):
            # So large that four tiles share no more than that.
            tile = BETWEEN + overlap
            side = 2 * tile - overlap

            def proposed(picture, tile, network=network, overlap=overlap):
                options = RestoreOptions(
                    device="cpu", precision=chosen.precision, tile=tile, overlap=overlap
                )
                return propose(picture, network, options)

            each = [
                departures(proposed(picture, side), proposed(picture, tile))
                for picture in pictures(side - BESIDE, chosen.pictures)
            ]
            largest, high, over, masks = (max(column) for column in zip(*each, strict=True))
            print(
                f"| {name} | {tile} | {overlap} | {largest:.2f} | {high:.2f} | {over:.3%} |"
                f" {masks} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
