"""Model cards: what a file says of its network, as Markdown for people."""

from collections.abc import Mapping
from typing import Any, cast

from dunrestore.checkpoints.header import Description, read_description
from dunrestore.checkpoints.store import Status
from dunrestore.storage.hashing import sha256_of

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


CODE = "    "
"""What lines begin with in Markdown that are to be copied as they are."""


def render(name: str, card: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """A model card in Markdown.

    Args:
        name: the model's.
        card: JSON values by field: a text becomes a paragraph, a list bullets, a table a table
            whose ``commands``, if it has any, stand before it, each on a line to be copied.
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


def card_of(status: Status) -> dict[str, Any]:
    """What is known of a model: by the catalogue, by the record, and by its own file."""
    card = dict(status.entry.card) if status.entry else {}
    if status.record:
        card |= status.record.card
    if status.path is not None and status.path.suffix == ".safetensors":
        card |= read_description(status.path).card
    return card


def facts_of(status: Status) -> dict[str, Any]:
    """Architecture, config, hash, size, and where a model came from."""
    facts: dict[str, Any] = {}
    entry, record, file = status.entry, status.record, status.path
    if file is not None and file.suffix == ".safetensors":
        facts = file_facts(read_description(file), sha256_of(file), status.size)
    elif entry is not None:
        facts = {"architecture": entry.architecture, **flat(entry.config)}
        facts |= {"size": size_of(status), "SHA-256": _known_hash(status)}
    if record is not None:
        facts |= {"from": record.source, "since": record.date}
    if file is not None:
        facts["file"] = file
    return facts


def sha256_of_model(status: Status) -> str:
    """As recorded, else of its file, else as the catalogue knows it; empty if unknown."""
    if status.record is not None:
        return status.record.sha256
    if status.path is not None and status.path.suffix == ".safetensors":
        return sha256_of(status.path)
    return status.entry.sha256 if status.entry else ""


def file_facts(description: Description, sha256: str, size: int) -> dict[str, Any]:
    """Architecture, config, hash and size of a model file of ours."""
    return {
        "architecture": description.architecture,
        **flat(description.config),
        "size": f"{size / 1e6:.1f} MB",
        "SHA-256": sha256,
    }


def size_of(status: Status) -> str:
    """Size for people; with a tilde if the file is not here."""
    about = "" if status.path is not None or not status.size else "~"
    return f"{about}{status.size / 1e6:.1f} MB" if status.size else ""


def _known_hash(status: Status) -> str:
    if status.record is not None:
        return status.record.sha256
    known = status.entry.sha256 if status.entry else ""
    if not known:
        return "not known; recorded on first use"
    return known if len(known) == 64 else f"{known}... (no more is known; recorded on first use)"


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, with dotted names."""
    one: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            one |= flat(cast(dict[str, Any], value), f"{prefix}{key}.")
        else:
            one[prefix + key] = value
    return one


def in_words(value: Any) -> str:
    """A part of a card on one line."""
    if isinstance(value, dict):
        parts = flat(cast(dict[str, Any], value)).items()
        return "; ".join(f"{key}: {in_words(part)}" for key, part in parts)
    if isinstance(value, list):
        return ", ".join(in_words(item) for item in cast(list[Any], value))
    return str(value).replace("\n", " ")


def _block(value: Any) -> list[str]:
    if isinstance(value, dict):
        fields = dict(cast(dict[str, Any], value))
        commands = fields.pop("commands") if isinstance(fields.get("commands"), list) else []
        code = [f"{CODE}{in_words(command)}" for command in commands]
        return [*code, "", *_table(flat(fields))] if code else _table(flat(fields))
    if isinstance(value, list):
        return [*(f"- {in_words(item)}" for item in cast(list[Any], value)), ""]
    return [str(value), ""]


def _table(values: Mapping[str, Any]) -> list[str]:
    rows = [f"| {key} | {_cell(value)} |" for key, value in values.items()]
    return ["| | |", "|---|---|", *rows, ""] if rows else []


def _cell(value: Any) -> str:
    return in_words(value).replace("|", "\\|")
