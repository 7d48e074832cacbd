"""The outcome of a benchmark, as plain values that are written, read again and shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dunrestore.benchmarking.protocol import Protocol
from dunrestore.benchmarking.quantities import Measurement

Kind = Literal["input", "model", "blind", "oracle"]


@dataclass(frozen=True)
class Method:
    """One line of the tables: something that turns a damaged picture into a restored one."""

    name: str
    kind: Kind
    facts: Mapping[str, Any]
    """Of a model: its hash, architecture, licence, parameters, multiply-adds."""


@dataclass(frozen=True)
class Row:
    """One picture of one block, as one method restored it."""

    block: str
    image: str
    method: str
    values: Measurement
    """Empty where the method failed."""
    seconds: float
    peak_bytes: int
    error: str | None = None


@dataclass(frozen=True)
class Image:
    """One picture of the set."""

    name: str
    width: int
    height: int
    sha256: Mapping[str, str]
    """Of its files: ``truth``, and ``input`` and ``mask`` of a pair."""
    coverage: float | None
    """Share of lost pixels; None where no mask is known or nothing was damaged."""


@dataclass(frozen=True)
class Speed:
    """How a method ran, over all pictures of a run and after a warm-up."""

    method: str
    mpixels_per_second: float
    peak_memory_mib: float
    multiply_adds_g: float | None
    """Thousand million multiply-adds for a picture of 256 x 256 pixels."""


@dataclass(frozen=True)
class Results:
    """Everything that a run found; equal from run to run but for ``created`` and ``speed``."""

    created: str
    environment: Mapping[str, Any]
    protocol: Protocol
    options: Mapping[str, Any]
    data: str
    images: tuple[Image, ...]
    left_out: tuple[str, ...]
    methods: tuple[Method, ...]
    rows: tuple[Row, ...]
    speed: tuple[Speed, ...]
    notes: tuple[str, ...]
