"""Model cards: what a file says of its network, as Markdown for people."""

from collections.abc import Mapping
from typing import Any, cast

from dunrestore.checkpoints.header import Description

_HEADINGS = {
    "intended_use": "What it is for",
    "not_for": "What it is not for",
    "limits": "Limits",
    "training": "Training",
    "figures": "Measured",
    "quality": "Quality",
    "tile": "Tiles",
    "licence": "Licence",
    "source": "Source",
    "citation": "Citation",
    "urls": "Addresses",
    "imported_from": "Imported from",
    "original_sha256": "SHA-256 of the original",
}
"""Order and headings of the known fields; others follow under their own names."""


def render(name: str, card: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """A model card in Markdown.

    Args:
        name: the model's.
        card: JSON values by field: a text becomes a paragraph, a list bullets, a table a table.
        facts: what the program itself knows: architecture, hash, size ...
    """
    lines = [f"# {name}", ""]
    if title := card.get("title"):
        lines += [str(title), ""]
    lines += _table(facts)
    known = [field for field in _HEADINGS if field in card]
    rest = [field for field in card if field not in _HEADINGS and field != "title"]
    for field in known + rest:
        lines += [f"## {_HEADINGS.get(field, field.replace('_', ' ').capitalize())}", ""]
        lines += _block(card[field])
    return "\n".join(lines).rstrip() + "\n"


def facts_of(description: Description, sha256: str, size: int) -> dict[str, Any]:
    """Architecture, config, hash and size of a model file of ours."""
    return {
        "architecture": description.architecture,
        **flat(description.config),
        "size": f"{size / 1e6:.1f} MB",
        "SHA-256": sha256,
    }


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, with dotted names."""
    one: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            one |= flat(cast(dict[str, Any], value), f"{prefix}{key}.")
        else:
            one[prefix + key] = value
    return one


def _block(value: Any) -> list[str]:
    if isinstance(value, dict):
        return _table(flat(cast(dict[str, Any], value)))
    if isinstance(value, list):
        return [*(f"- {item}" for item in cast(list[Any], value)), ""]
    return [str(value), ""]


def _table(values: Mapping[str, Any]) -> list[str]:
    rows = [f"| {key} | {_cell(value)} |" for key, value in values.items()]
    return ["| | |", "|---|---|", *rows, ""] if rows else []


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in cast(list[Any], value))
    return str(value).replace("|", "\\|").replace("\n", " ")
