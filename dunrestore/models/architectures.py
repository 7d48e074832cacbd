"""The architectures by name, and what the rest of the package needs to know of each."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_type_hints

from torch import nn

from dunrestore.models.arin import ARIN, ARINConfig
from dunrestore.models.car import CAR, CARConfig
from dunrestore.models.edsr import EDSR, EDSRConfig
from dunrestore.models.facts import Facts
from dunrestore.models.guided import Guided, GuidedConfig
from dunrestore.models.hinet import HINet, HINetConfig


@dataclass(frozen=True)
class Architecture:
    """A network class and the facts declared beside it."""

    network: type[nn.Module]
    """Built from one config; input (B, 3, H, W) RGB in [0, 1]."""
    config: type[Facts]
    """Frozen dataclass that declares what must be known of the network."""
    restores: bool
    """Whether it maps a picture to a picture of the same size, as a tuple of stages, last best."""
    title: str
    """What users know it by."""


ARCHITECTURES: dict[str, Architecture] = {
    "hinet": Architecture(HINet, HINetConfig, True, "HINet"),
    "car": Architecture(CAR, CARConfig, True, "CAR (content-adaptive resampler and EDSR)"),
    "arin": Architecture(ARIN, ARINConfig, True, "ARIN (CAR, then HINet)"),
    "guided": Architecture(Guided, GuidedConfig, True, "ARIN-guided (find, pre-fill, refine)"),
    "edsr": Architecture(EDSR, EDSRConfig, False, "EDSR (upscaler)"),
}


def build(architecture: str, config: Mapping[str, Any]) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        architecture: a key of ``ARCHITECTURES``.
        config: its configuration as plain values, nested where the dataclass is.

    Raises:
        ValueError: unknown architecture, unknown field or invalid value.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"unknown architecture {architecture!r}; known: {', '.join(ARCHITECTURES)}"
        )
    entry = ARCHITECTURES[architecture]
    return entry.network(config_from_dict(entry.config, config))


def config_from_dict(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """Make a frozen config of plain values; the inverse of ``dataclasses.asdict``.

    Raises:
        ValueError: unknown field, wrong type or invalid value.
    """
    hints = get_type_hints(kind)
    known = {f.name for f in fields(kind)}
    if unknown := set(values) - known:
        raise ValueError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}")
    made: dict[str, Any] = {}
    for name, value in values.items():
        hint = hints[name]
        if is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise ValueError(f"{kind.__name__}.{name} must be a table")
            made[name] = config_from_dict(hint, value)  # pyright: ignore[reportArgumentType]
        elif type(value) is hint or (hint is float and type(value) is int):
            made[name] = hint(value)
        else:
            raise ValueError(f"{kind.__name__}.{name} must be {hint.__name__}, not {value!r}")
    return kind(**made)
