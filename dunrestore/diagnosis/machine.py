"""Devices, memory, disk and cache."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dunrestore import resources
from dunrestore.diagnosis.findings import Finding
from dunrestore.storage.cache import VARIABLE

UNITS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16", "asimd", "sve", "bf16")
"""Units that a network's speed depends on, as the system calls them."""


def devices() -> Iterator[Finding]:
    """The processor and every GPU."""
    from dunrestore.models import measurements

    name, units = measurements.processor()
    useful = [unit for unit in UNITS if unit in units]
    cores = os.cpu_count() or 0
    facts = {"name": name, "units": useful, "cores": cores}
    import torch

    facts["threads"] = threads = torch.get_num_threads()
    used = f"{threads} {'thread' if threads == 1 else 'threads'} used"
    value = f"{name}, {cores} cores, {used}; {' '.join(useful) or 'units unknown'}"
    yield Finding("devices", "cpu", value, data=facts)
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        title = torch.cuda.get_device_name(index)
        free, total = torch.cuda.mem_get_info(index)
        value = f"{title}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
        facts = {"name": title, "free_bytes": free, "total_bytes": total}
        yield Finding("devices", f"cuda:{index}", value, data=facts)
    if torch.backends.mps.is_available():
        total = int(torch.mps.recommended_max_memory())
        value = f"{name}, {total / 1e9:.1f} GB shared"
        yield Finding("devices", "mps", value, data={"name": name, "total_bytes": total})


def memory() -> Iterator[Finding]:
    """Free memory, and disk where temporary files go and here."""
    found = resources.memory()
    low = found.free < 2e9
    yield Finding(
        "memory",
        "memory",
        f"{found.free / 1e9:.1f} of {found.total / 1e9:.1f} GB free",
        "note" if low else "ok",
        "close other programs, or use a small --tile" if low else "",
        {"free_bytes": found.free, "total_bytes": found.total},
    )
    for name, folder in (("disk here", Path.cwd()), ("temporary", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        facts = {"folder": str(folder), "free_bytes": free}
        yield Finding("memory", name, f"{free / 1e9:.1f} GB free, {folder}", data=facts)


def cache(cache_dir: Path | None) -> Iterator[Finding]:
    """The folders of models and measurements, what they hold, and whether one may write."""
    from dunrestore.checkpoints.store import cache_folder
    from dunrestore.models import measurements

    path = measurements.measurements_path()
    for name, folder in (("models", cache_folder(cache_dir)), ("measurements", path.parent)):
        wanted = folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            advice = f"allow writing there, or set {VARIABLE} to a folder of your own"
            value = f"{wanted}: no permission to write"
            yield Finding("cache", name, value, "problem", advice, {"folder": str(wanted)})
            continue
        files = [p for p in wanted.rglob("*") if p.is_file()] if name == "models" else [path]
        files = [p for p in files if p.is_file()]
        size = sum(p.stat().st_size for p in files)
        held = f"{len(files)} files, {size / 1e6:.1f} MB" if files else "empty"
        facts = {"folder": str(wanted), "files": len(files), "bytes": size}
        yield Finding("cache", name, f"{wanted}: {held}", data=facts)
