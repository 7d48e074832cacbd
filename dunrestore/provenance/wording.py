"""What is said of a restoration, in the same words on the terminal, the page, in XMP and PREMIS."""


def deed(*, filled: bool, cleaned: bool) -> str:
    """What a model did.

    Args:
        filled: whether losses were filled.
        cleaned: whether all of a page was changed, not only its losses.
    """
    parts = ["losses filled"] * filled + ["the whole picture cleaned"] * cleaned
    return " and ".join(parts) or "nothing changed"


def share_changed(percent: float) -> str:
    """Percent of changed pixels; ``0.00`` stands for none at all."""
    return "less than 0.01" if 0 < percent < 0.01 else f"{percent:.2f}"
