"""Every kind of damage, fill and recipe on one painted mural: a picture to look at.

Usage: python benchmarks/damage_grid.py damage.png
"""

import sys

import numpy as np
from PIL import Image, ImageDraw

from dunrestore.datasets.painter import paint_mural
from dunrestore.degradations.fills import FILLS
from dunrestore.degradations.recipes import KINDS, RECIPES, Damage, Recipe, degrade

SIDE, COLUMNS, CAPTION = 256, 6, 18
COVERAGE = {"stains": 0.25, "fading": 0.4, "dust": 0.01, "cracks": 0.03, "scratches": 0.02}


def cells() -> list[tuple[str, Recipe]]:
    made = [("painted, undamaged", Recipe())]
    for kind in KINDS:
        share = COVERAGE.get(kind, 0.1)
        fills = [(f,) for f in FILLS] if kind in ("random-walk", "flakes") else [()]
        made += [
            (f"{kind} {share:.0%} {' '.join(f)}", Recipe((Damage(kind, (share, share), f),)))
            for f in fills
        ]
    made += [(f"recipe {name}", recipe) for name, recipe in RECIPES.items()]
    for share in (0.03, 0.33):
        made.append((f"random-walk {share:.0%}", Recipe((Damage("random-walk", (share, share)),))))
    return made + [(f"jpeg {quality}", Recipe(jpeg=(quality, quality))) for quality in (60, 30)]


def main() -> None:
    mural = paint_mural(SIDE, SIDE, np.random.default_rng(12))
    drawn = cells()
    rows = -(-len(drawn) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + 4), rows * (SIDE + CAPTION)), "white")
    captions = ImageDraw.Draw(sheet)
    for number, (name, recipe) in enumerate(drawn):
        result = degrade(mural, recipe, np.random.default_rng(3))
        x, y = number % COLUMNS * (SIDE + 4), number // COLUMNS * (SIDE + CAPTION)
        picture = np.rint(result.picture * 255).astype(np.uint8)
        sheet.paste(Image.fromarray(picture), (x, y + CAPTION))
        captions.text((x + 3, y + 3), f"{name} ({result.mask.mean():.1%} damaged)", fill="black")
    sheet.save(sys.argv[1])


if __name__ == "__main__":
    main()
