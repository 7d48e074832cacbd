"""What a run would do, and about how long it would take, without doing it."""

import os
import shutil
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from dunrestore.checkpoints.load import Model
from dunrestore.errors import DunrestoreError
from dunrestore.restoration.change import propose
from dunrestore.restoration.existing import Policy
from dunrestore.restoration.jobs import Job
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.picture import restoring_network

Plan = Literal["restore", "check", "replace", "refuse"]

_PROBE = 288
"""Side of the picture that the speed is measured on."""


@dataclass(frozen=True)
class PlannedFile:
    """One file of a plan."""

    job: Job
    plan: Plan
    """``check``: skip it if its record says that it is what is wanted."""
    megapixels: float | None
    """Of the first page; None if its header tells nothing."""
    bytes: int


@dataclass(frozen=True)
class Estimate:
    """About what a run takes."""

    megapixels: float
    """Of the files whose header tells their size."""
    seconds: float
    """Computing time on the chosen device, all files restored anew."""
    bytes: int
    """Of the inputs; the outputs take about as much."""
    free_bytes: int | None
    """On the outputs' disk."""


def plan_files(jobs: Sequence[Job], policy: Policy) -> list[PlannedFile]:
    """What would be done with each file.

    Args:
        jobs: from ``plan_jobs``.
        policy: what becomes of an output that exists.
    """
    of_existing: dict[Policy, Plan] = {"abort": "refuse", "skip": "check", "overwrite": "replace"}
    planned: list[PlannedFile] = []
    for job in jobs:
        plan = of_existing[policy] if os.path.lexists(job.target) else "restore"
        planned.append(PlannedFile(job, plan, megapixels_of(job.source), job.source.stat().st_size))
    return planned


def estimate(planned: Sequence[PlannedFile], model: Model, options: RestoreOptions) -> Estimate:
    """About how long a run takes, from the speed on a small picture.

    Args:
        planned: from ``plan_files``.
        model: what would restore.
        options: tiles, device, precision.
    """
    megapixels = sum(one.megapixels or 0.0 for one in planned)
    target = planned[0].job.target.absolute()
    folder = next((parent for parent in target.parents if parent.is_dir()), None)
    return Estimate(
        megapixels=megapixels,
        seconds=megapixels / megapixels_a_second(model, options),
        bytes=sum(one.bytes for one in planned),
        free_bytes=shutil.disk_usage(folder).free if folder else None,
    )


def megapixels_a_second(model: Model, options: RestoreOptions) -> float:
    """Speed on a small picture, after one that warms up."""
    picture = np.random.default_rng(0).random((_PROBE, _PROBE, 3), np.float32)
    network = restoring_network(model)
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        propose(picture, network, options)
        seconds = time.perf_counter() - start
    return picture.shape[0] * picture.shape[1] / 1e6 / max(seconds, 1e-6)


def megapixels_of(path: Path) -> float | None:
    """Size of a picture by its header; None if that tells nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as header:
                return header.width * header.height / 1e6
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, DunrestoreError):
        return None
