"""A training run's configuration: presets, TOML, and every value checked."""

# ruff: noqa: RUF009  (``_value`` is ``dataclasses.field``, which the rule does not see)

import difflib
import json
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from dunrestore.degradations.names import RecipeName
from dunrestore.errors import ConfigError, file_access_error
from dunrestore.training.presets import PRESETS

if TYPE_CHECKING:
    from dunrestore.degradations.recipes import Recipe

StageName = Literal["car", "hinet-dr", "hinet-db", "arin", "arin-joint", "arin-guided"]


def _value(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what a run does; the texts are those of ``train --help``."""

    stage: StageName = _value("arin", "What to train.")
    preset: Literal["paper", "compact"] = _value(
        "compact", "Where the other values start: the paper's recipe, or ours for a CPU."
    )
    size: Literal["full", "compact"] = _value(
        "compact", "Networks as published, or small enough for an archive's CPU."
    )
    data: str = _value("", "Folder with the training pictures.")
    validation_data: str = _value("", "Folder to validate on; without it a share of the data.")
    init: tuple[str, ...] = _value((), "Models to start from, names or files: CAR and HINet parts.")
    task: Literal["inpaint", "deblur", "derain", "rescale"] = _value(
        "inpaint", "Repair damage, or a synthetic task to pretrain on."
    )
    freeze: tuple[str, ...] = _value((), "Parts that do not learn: car, hinet or finder.")
    seed: int = _value(0, "Decides patches, damage and fresh weights.")
    # network
    hinet_width: int | None = _value(None, "HINet's channels; by --size if not given.")
    hinet_depth: int | None = _value(None, "HINet's levels; by --size if not given.")
    window: int = _value(0, "Window of HINet's statistics in pixels; 0 for the whole patch.")
    finder_width: int | None = _value(None, "The finder's channels, in arin-guided.")
    finder_depth: int | None = _value(None, "The finder's levels, in arin-guided.")
    car_width: int | None = _value(None, "CAR's channels; by --size if not given.")
    car_blocks: int | None = _value(None, "CAR's residual blocks; by --size if not given.")
    edsr_blocks: int | None = _value(None, "EDSR's residual blocks; by --size if not given.")
    edsr_features: int | None = _value(None, "EDSR's channels; by --size if not given.")
    # patches
    patch: int = _value(128, "Side of a training patch in pixels.")
    overlap: int | None = _value(None, "Cut patches on a grid with this overlap; else anywhere.")
    min_detail: float = _value(8.0, "Pass over patches with a smaller deviation (0..255).")
    flips: bool = _value(True, "Mirror half of the patches.")
    turns: bool = _value(True, "Turn patches by quarters.")
    enlarged: float = _value(0.0, "Share of patches enlarged up to 4 times, as in finer scans.")
    colours: float = _value(0.6, "Share of patches whose colours are changed strongly.")
    inversion: float = _value(0.1, "Share of those that become negatives.")
    clipped: float = _value(0.0, "Share whose lightest or darkest paint the exposure clips.")
    charts: float = _value(0.0, "Share on which colour charts, rulers or labels lie.")
    prints: float = _value(0.0, "Share drawn in lines, screened or in flat colours; undamaged.")
    painted: float = _value(0.15, "Share of patches from murals painted for the purpose.")
    max_left_out: float = _value(0.1, "Share of unusable pictures that is put up with.")
    cache_mb: int = _value(2048, "Memory for decoded pictures.")
    # damage
    recipe: RecipeName = _value("challenge", "Damage and noise; see `dunrestore noise`.")
    coverage_min: float | None = _value(None, "Least damage in percent, if not the recipe's.")
    coverage_max: float | None = _value(None, "Most damage in percent, if not the recipe's.")
    gaussian: float | None = _value(None, "Most Gaussian noise (0..255), if not the recipe's.")
    gaussian_share: float = _value(0.5, "Share of patches that get it; with --gaussian.")
    jpeg: int | None = _value(None, "Lowest JPEG quality, if not the recipe's.")
    jpeg_share: float = _value(0.5, "Share of patches that go through it; with --jpeg.")
    sound: float = _value(0.05, "Share of patches left undamaged.")
    # optimisation
    iterations: int = _value(4000, "Steps of the optimiser.")
    batch: int = _value(8, "Patches a step, over all processes together.")
    accumulate: int = _value(1, "Parts a batch is computed in, to save memory.")
    optimizer: Literal["adam", "adamw", "muon"] = _value(
        "muon", "Adam, AdamW, or Muon for matrices and AdamW for the rest."
    )
    lr: float = _value(5e-4, "Learning rate after the warm-up.")
    lr_muon: float = _value(2e-3, "Learning rate of the matrices, with Muon.")
    lr_car: float | None = _value(None, "Learning rate of CAR within ARIN, if another.")
    lr_hinet: float | None = _value(None, "Learning rate of HINet within ARIN, if another.")
    lr_final: float = _value(1e-6, "Learning rate at the end of the cosine.")
    warmup: int = _value(200, "Steps of linear warm-up.")
    beta1: float = _value(0.9, "Adam's first decay.")
    beta2: float = _value(0.99, "Adam's second decay.")
    weight_decay: float = _value(1e-4, "AdamW's weight decay.")
    clip: float = _value(0.5, "Largest norm of the gradient; 0 for no limit.")
    ema: float = _value(0.998, "Decay of the averaged weights; 0 for none.")
    loss: Literal["l1", "charbonnier", "psnr"] = _value("l1", "What is made small.")
    psnr_floor: float = _value(1e-8, "Squared error that is good enough, with --loss psnr.")
    mask_weight: float = _value(3.0, "Weight of a damaged pixel.")
    sound_weight: float = _value(1.0, "Weight of a sound pixel.")
    first_stage_weight: float = _value(0.5, "Weight of each stage's picture before the last.")
    finder_weight: float = _value(0.2, "Weight of finding the losses, in arin-guided.")
    given_mask: float = _value(0.5, "Share of steps in which arin-guided gets the true mask.")
    # machine
    device: str = _value("auto", "auto, cpu, cuda, cuda:N or mps.")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = _value(
        "auto", "What convolutions compute in."
    )
    channels_last: bool = _value(True, "Keep channels innermost in memory.")
    threads: int = _value(0, "Threads of the CPU; 0 leaves the choice to PyTorch.")
    workers: int = _value(0, "Processes that make patches, for a GPU; 0 for a thread.")
    # records
    log_every: int = _value(50, "Steps between two lines of metrics.jsonl.")
    save_every: int = _value(250, "Steps between two saved states.")
    validate_every: int = _value(500, "Steps between two validations.")
    validation_share: float = _value(0.1, "Share of the pictures kept for validation.")
    validation_images: int = _value(8, "Pictures validated on at most.")
    validation_side: int = _value(1024, "Larger pictures are validated on their middle.")
    tensorboard: bool = _value(False, "Write scalars and pictures for TensorBoard.")

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ConfigError(f"{name} must be at least {least:g}, not {value:g}")
            if value == math.inf:
                raise ConfigError(f"{name} must be finite")
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is a share between 0 and 1, not {getattr(self, name):g}")
        if self.batch % self.accumulate:
            raise ConfigError(
                f"a batch of {self.batch} cannot be computed in {self.accumulate} equal parts"
            )
        if self.overlap is not None and self.overlap >= self.patch:
            raise ConfigError(
                f"an overlap of {self.overlap} must be below the patch's {self.patch} pixels"
            )
        self.damage()

    def damage(self) -> "Recipe":
        """The recipe with what the other fields say otherwise.

        Raises:
            ConfigError: if they contradict each other.
        """
        from dunrestore.degradations.recipes import RECIPES, override  # more than --help needs

        try:
            return override(
                RECIPES[self.recipe],
                coverage=(_share(self.coverage_min), _share(self.coverage_max)),
                gaussian=None if self.gaussian is None else (0.0, self.gaussian),
                gaussian_probability=self.gaussian_share,
                jpeg=None if self.jpeg is None else (self.jpeg, max(95, self.jpeg)),
                jpeg_probability=self.jpeg_share,
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


_LEAST = dict.fromkeys(
    ("patch", "iterations", "batch", "accumulate", "log_every", "save_every", "validate_every",
     "validation_images", "validation_side", "cache_mb",
     "hinet_width", "hinet_depth", "finder_width", "finder_depth", "car_width", "car_blocks",
     "edsr_blocks", "edsr_features"), 1
) | dict.fromkeys(
    ("seed", "overlap", "min_detail", "lr", "lr_muon", "lr_car", "lr_hinet", "lr_final", "warmup",
     "weight_decay", "clip", "psnr_floor", "mask_weight", "sound_weight", "first_stage_weight",
     "finder_weight", "threads", "workers", "window"), 0
)  # fmt: skip
_SHARES = ("enlarged", "flips", "colours", "inversion", "clipped", "charts", "prints", "painted",
           "max_left_out", "gaussian_share", "jpeg_share", "sound", "ema", "beta1", "beta2",
           "given_mask", "validation_share")  # fmt: skip


def make_config(*layers: Mapping[str, Any]) -> TrainConfig:
    """The preset's values, then those of every layer, later ones winning.

    Args:
        layers: for example a TOML file's values, then the command line's.

    Raises:
        ConfigError: unknown field, with the nearest known one; wrong type; invalid value.
    """
    given: dict[str, Any] = {}
    for layer in layers:
        given |= {name: _checked(name, value) for name, value in layer.items()}
    start = TrainConfig()
    stage, preset = given.get("stage", start.stage), given.get("preset", start.preset)
    return TrainConfig(**(PRESETS[preset][stage] | given))


def _checked(name: str, value: Any) -> Any:
    if name not in _HINTS:
        nearest = difflib.get_close_matches(name, _HINTS, n=1)
        step = f"did you mean {nearest[0]!r}?" if nearest else "--print-config shows all fields"
        raise ConfigError(f"unknown field {name!r}", next_step=step)
    hint = _HINTS[name]
    options = get_args(hint) if get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    for option in options:
        if get_origin(option) is Literal and value in get_args(option):
            return value
        if get_origin(option) is tuple and isinstance(value, list | tuple):
            items: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
            if all(isinstance(item, str) for item in items):
                return tuple(items)
        if option is float and type(value) is int:
            return float(value)
        if isinstance(option, type) and type(value) is option:
            return value
    raise ConfigError(f"{name} must be {_expected(options)}, not {value!r}")


def _expected(options: tuple[Any, ...]) -> str:
    named = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    for option in options:
        if get_origin(option) is Literal:
            return "one of " + ", ".join(get_args(option))
    return named.get(options[0], "a list of texts")


def read_toml(path: Path) -> dict[str, Any]:
    """A configuration file's values.

    Raises:
        ConfigError: if it is not TOML; unknown field; wrong type.
        FileAccessError: if it cannot be read.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: _checked(name, value) for name, value in values.items()}
    except OSError as error:
        raise file_access_error(error, path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not a TOML file: {error}", path=path) from error
    except ConfigError as error:
        raise _in_file(error, path) from error


def said_of_file(error: ConfigError, path: Path, values: Mapping[str, Any]) -> ConfigError:
    """An error of all layers; about the configuration file, if that is wrong by itself, too.

    Args:
        error: what ``make_config`` raised.
        path: the file.
        values: what it holds.
    """
    try:
        make_config(values)
    except ConfigError as alone:
        if str(alone) == str(error):
            return _in_file(error, path)
    return error


def _in_file(error: ConfigError, path: Path) -> ConfigError:
    return ConfigError(error.cause, path=path, next_step=error.next_step or "correct it there")


def to_toml(config: TrainConfig) -> str:
    """The configuration as a TOML file that says the same, with a comment on every field."""
    lines: list[str] = []
    for f in fields(config):
        value = getattr(config, f.name)
        lines.append(f"# {f.metadata['help']}")
        lines.append(f"# {f.name} =" if value is None else f"{f.name} = {_literal(value)}")
    return "\n".join(lines) + "\n"


def _literal(value: Any) -> str:
    if isinstance(value, float):
        return repr(value) if "e" not in repr(value) else f"{value:.10g}"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)  # pyright: ignore[reportUnknownArgumentType]


def as_values(config: TrainConfig) -> dict[str, Any]:
    """Plain JSON values; ``make_config`` takes them back."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}  # pyright: ignore[reportUnknownArgumentType]


_HINTS = get_type_hints(TrainConfig)
