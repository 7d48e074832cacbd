"""What damage, fills and recipes are called; imports nothing, so that ``--help`` may know it."""

from typing import Literal

KindName = Literal[
    "random-walk", "flakes", "cracks", "scratches", "stains", "fading", "dust", "areas"
]
"""Kinds of damage."""
Fill = Literal["white", "plaster", "grey", "dark", "coloured", "flat"]
"""What shows in a loss."""
RecipeName = Literal[
    "challenge", "paper-low", "paper-extreme", "mural", "losses", "scanned", "robust"
]
"""Recipes, which people repeat."""
SOFTEST = 10.0
"""Pixels by which edges are spread at most; a lens that does more shows no picture."""
