"""Models: whether those that are here are whole, and how fast the default one is."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from dunrestore.diagnosis.findings import Finding, State
from dunrestore.errors import DunrestoreError

if TYPE_CHECKING:
    from dunrestore.checkpoints.store import Store


def models(default: str, cache_dir: Path | None) -> Iterator[Finding]:
    """Verify the hash of every model that is here; say which ones others need."""
    from dunrestore.checkpoints.store import Store
    from dunrestore.checkpoints.verify import names_here

    store = Store(cache_dir)
    here = names_here(store)
    if default not in here:
        advice = "install dunrestore again"
        yield Finding("models", default, "the default model is missing", "broken", advice)
    for name in here:
        bad: State = "broken" if name == default else "problem"
        try:
            yield _model(store, name, bad)
        except DunrestoreError as error:
            yield Finding("models", name, error.cause, bad, error.next_step)
    if "lpips-alexnet" not in here:
        advice = "`dunrestore models pull lpips-alexnet`, for the metric LPIPS"
        yield Finding("models", "lpips-alexnet", "not fetched", "note", advice)


def _model(store: "Store", name: str, bad: State) -> Finding:
    from dunrestore.checkpoints.verify import verify

    status = store.status(name)
    verdict = verify(store, name, run=False)
    value = verdict.problem or "whole" + (f"; {verdict.note}" if verdict.note else "")
    advice = "" if verdict.passed else "pull, import or install it again; do not use it"
    facts = {"sha256": verdict.sha256, "state": status.state}
    return Finding("models", name, value, "ok" if verdict.passed else bad, advice, facts)


def speeds(default: str, cache_dir: Path | None, seconds: float | None) -> Iterator[Finding]:
    """Measure the default model on every device and precision; None shows what is stored."""
    import psutil
    import torch

    from dunrestore.checkpoints.load import load
    from dunrestore.checkpoints.self_test import present
    from dunrestore.models import devices, measurements
    from dunrestore.restoration import speed

    model = load(default, cache_dir=cache_dir, offline=True)
    failed: list[str] = []
    if seconds is None:
        stored = measurements.read_speeds(torch.get_num_threads())
        found = [one for one in stored if one.model_sha256 == model.sha256]
    else:
        devices.measure_convolutions()
        found, failed = speed.measure(model, present(), seconds)
    for one in found:
        value = f"{one.megapixels_a_second:.3f} megapixels/s, {one.model}, measured {one.date}"
        yield Finding("speed", f"{one.device} {one.precision}", value, data=asdict(one))
    for line in failed:
        advice = "use another --device or --precision; update its driver"
        yield Finding("speed", "failed", line, "problem", advice)
    load1, cores = psutil.getloadavg()[0], os.cpu_count() or 1
    if seconds is not None and load1 > cores + 1:
        value = f"load {load1:.1f} on {cores} cores: these speeds are those of it idle"
        yield Finding("speed", "busy machine", value, "note")
    if not found and not failed:
        value = "not measured on this machine yet"
        yield Finding("speed", model.name, value, "note", "run `dunrestore doctor`")
