"""What was measured on this machine, kept in a file of the user's cache folder.

One file serves several machines, since home folders are shared between them. It can be deleted at
any time; one that is broken or cannot be written is as good as none.
"""

import hashlib
import json
import logging
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, cast

from dunrestore.errors import DunrestoreError
from dunrestore.stamps import version_of
from dunrestore.storage.atomic import write_bytes
from dunrestore.storage.cache import cache_root

log = logging.getLogger(__name__)

_MACHINES = 50
"""Machines that are remembered, the latest."""


@dataclass(frozen=True)
class Speed:
    """How fast a model restores a tile, the network alone."""

    model: str
    model_sha256: str
    device: str
    """``cpu``, ``cuda:N`` or ``mps``."""
    hardware: str
    """What the device calls itself."""
    precision: str
    """``float32``, ``bfloat16`` or ``float16``."""
    tile: int
    """Side of the tile in pixels."""
    megapixels_a_second: float
    date: str
    """When it was measured, ISO 8601 in UTC."""


def measurements_path() -> Path:
    """``machine.json`` in ``storage.cache.cache_root``."""
    return cache_root() / "machine.json"


@cache
def processor() -> tuple[str, frozenset[str]]:
    """The processor's name and the units that it says it has, as far as the system tells."""
    name, units = "", ""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n"):
            label, _, value = line.partition(":")
            if label.strip() in ("model name", "Model") and not name:
                name = value.strip()
            if label.strip() in ("flags", "Features") and not units:
                units = value
    except OSError:
        log.debug("no /proc/cpuinfo")
    return name or platform.processor() or platform.machine(), frozenset(units.split())


def machine_key(threads: int) -> str:
    """What measurements hold for: processor and its units, version of torch, threads used."""
    name, units = processor()
    flags = hashlib.sha256(" ".join(sorted(units)).encode()).hexdigest()[:12]
    torch = version_of("torch") or "none"
    return f"{name}, {platform.machine()}, units {flags}, torch {torch}, {threads} threads"


def read_section(threads: int) -> dict[str, Any]:
    """What is stored for this machine; empty if nothing is."""
    section = _machines().get(machine_key(threads))
    return cast("dict[str, Any]", section) if isinstance(section, dict) else {}


def store(threads: int, **values: object) -> bool:
    """Add to what is stored for this machine; False if that cannot be written."""
    machines, key = _machines(), machine_key(threads)
    section = read_section(threads) | values
    machines.pop(key, None)
    kept = dict([*machines.items()][1 - _MACHINES :]) | {key: section}
    content = json.dumps({"machines": kept}, indent=1, ensure_ascii=False).encode()
    path = measurements_path()
    try:
        write_bytes(path, content)
    except DunrestoreError as error:
        log.debug("measurements are not kept: %s", error)
        return False
    return True


def read_speeds(threads: int) -> list[Speed]:
    """The stored speeds of models on this machine; what is broken is left out."""
    stored = read_section(threads).get("speeds")
    found: list[Speed] = []
    for one in cast("list[Any]", stored) if isinstance(stored, list) else []:
        try:
            speed = Speed(**one)
        except TypeError:
            continue
        if all(type(getattr(speed, f.name)) is f.type for f in fields(Speed)) and (
            speed.megapixels_a_second > 0
        ):
            found.append(speed)
    return found


def store_speeds(threads: int, speeds: list[Speed]) -> bool:
    """Keep speeds; older ones of the same model, device, precision and tile are replaced."""

    def what(speed: Speed) -> tuple[str, str, str, int]:
        return speed.model_sha256, speed.device, speed.precision, speed.tile

    new = {what(speed) for speed in speeds}
    kept = [old for old in read_speeds(threads) if what(old) not in new]
    return store(threads, speeds=[asdict(speed) for speed in (*kept, *speeds)])


def _machines() -> dict[str, Any]:
    try:
        stored: Mapping[str, Any] = json.loads(measurements_path().read_text(encoding="utf-8"))
        machines = stored["machines"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return cast("dict[str, Any]", machines) if isinstance(machines, dict) else {}
