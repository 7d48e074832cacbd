"""The stages of training: which network, which part of it learns, which pictures are compared."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from dunrestore.checkpoints.load import Model, load
from dunrestore.errors import ConfigError, ModelError
from dunrestore.models.architectures import ARCHITECTURES, build
from dunrestore.models.car import CARConfig
from dunrestore.models.edsr import EDSRConfig
from dunrestore.models.guided import Guided
from dunrestore.models.hinet import HINetConfig
from dunrestore.models.normalisation import set_window
from dunrestore.training.config import TrainConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One stage of training."""

    architecture: str
    """Key of ``models.architectures.ARCHITECTURES``."""
    hin: tuple[int, int] = (3, 4)
    """First and last level with half instance normalisation."""
    frozen: tuple[str, ...] = ()
    """Parts that do not learn."""


STAGES: dict[str, Stage] = {
    "car": Stage("car"),
    "hinet-dr": Stage("hinet", hin=(0, 4)),
    "hinet-db": Stage("hinet"),
    "arin": Stage("arin", frozen=("car",)),
    "arin-joint": Stage("arin"),
    "arin-guided": Stage("guided"),
}

_PARTS: dict[tuple[str, str], dict[str, str]] = {
    ("car", "arin"): {"": "car."},
    ("hinet", "arin"): {"": "hinet."},
    ("hinet", "guided"): {"": "hinet."},
    ("arin", "guided"): {"hinet.": "hinet."},
    ("edsr", "car"): {"": "usn."},
}
"""(a model's architecture, the trained one's) -> where its weights go."""

_FROM_THE_DEEPEST = re.compile(r"((?:finder\.up_path|(?:up_path|skip_conv)_[12])\.)(\d+)")
"""The finder's and HINet's parts that are numbered from their deepest level up."""

_FREEZABLE = ("car", "hinet", "finder")


def make_network(config: TrainConfig, dimensions: Mapping[str, Any] | None = None) -> nn.Module:
    """The stage's network with fresh weights, or with those of the models to start from.

    Its dimensions are those of the models to start from, unless the config gives its own.

    Args:
        config: stage, size, seed and ``init``.
        dimensions: those of a network whose weights a saved state holds: it starts from no model.

    Raises:
        ModelError: if a model to start from is of another architecture or of another size.
        ConfigError: if the dimensions make no network, or two models give the same part.
    """
    stage = STAGES[config.stage]
    models = [] if dimensions else [load(name) for name in config.init]
    _refuse_useless(models, stage)
    torch.manual_seed(config.seed)
    try:
        network = build(stage.architecture, dimensions or _dimensions(config, stage, models))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    for model in models:
        _take_over(network, stage.architecture, model)
    if isinstance(network, Guided) and all(m.architecture != "guided" for m in models):
        network.begin_with_fill()
    for part in (*stage.frozen, *config.freeze):
        if part not in dict(network.named_children()) or part not in _FREEZABLE:
            raise ConfigError(f"{config.stage} has no part {part!r} that could be frozen")
        network.get_submodule(part).requires_grad_(False)
        if not dimensions and not any(_gives(m, stage.architecture, part) for m in models):
            log.warning(
                "%s does not learn and starts from no model: its weights stay random; name one with"
                " --init",
                part,
            )
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigError("with all its parts frozen nothing is left to learn")
    set_window(network, config.window or None)
    return network.train()


def clipped_parts(network: nn.Module) -> list[nn.Module]:
    """The parts whose gradients share one limit: those that share no loss have their own."""
    return [network.finder, network.hinet] if isinstance(network, Guided) else [network]


def supervised(outputs: Sequence[Tensor]) -> list[Tensor]:
    """The outputs that learning can better: not a frozen part's picture, nor a classical fill."""
    return [output for output in outputs if output.requires_grad]


def learning_parts(
    config: TrainConfig, network: nn.Module
) -> list[tuple[float, list[nn.Parameter]]]:
    """Learning rate and parameters of every part that learns."""
    rates = {"car": config.lr_car, "hinet": config.lr_hinet}
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        rate = rates.get(name.split(".")[0])
        if parameter.requires_grad:
            groups.setdefault(config.lr if rate is None else rate, []).append(parameter)
    return list(groups.items())


def _dimensions(config: TrainConfig, stage: Stage, models: Sequence[Model]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for model in models:
        own: Any = model.network.config
        found |= {model.architecture: own}
        if model.architecture in ("arin", "guided"):
            found |= {"hinet": own.hinet} | ({"car": own.car} if hasattr(own, "car") else {})
    hinet, car = _hinet(config, stage), _car(config)
    if isinstance(start := found.get("hinet"), HINetConfig):
        hinet = _with_width(start, config)
        if stage.architecture == "hinet" and (start.hin_first, start.hin_last) != stage.hin:
            log.warning(
                "normalises at levels %d to %d, as the model it starts from, not at %d to %d as"
                " %s does",
                *(start.hin_first, start.hin_last, *stage.hin, config.stage),
            )
    if isinstance(start := found.get("car"), CARConfig) and not _names_car(config):
        car = start
    if stage.architecture == "guided":
        start = asdict(found["guided"]) if "guided" in found else {}
        for name in ("finder_width", "finder_depth"):
            if (value := getattr(config, name)) is not None:
                start |= {name: value}
        return start | {"hinet": asdict(replace(hinet, in_channels=7))}
    hinet = replace(hinet, in_channels=3)
    whole = {"hinet": asdict(hinet), "car": asdict(car)}
    return whole if stage.architecture == "arin" else whole[stage.architecture]


def _with_width(start: HINetConfig, config: TrainConfig) -> HINetConfig:
    return replace(
        start,
        width=config.hinet_width or start.width,
        depth=config.hinet_depth or start.depth,
    )


def _names_car(config: TrainConfig) -> bool:
    named = (config.car_width, config.car_blocks, config.edsr_blocks, config.edsr_features)
    return any(value is not None for value in named)


def _hinet(config: TrainConfig, stage: Stage) -> HINetConfig:
    width = config.hinet_width or {"full": 64, "compact": 16}[config.size]
    depth = config.hinet_depth or 5
    return HINetConfig(width, depth, hin_first=stage.hin[0], hin_last=stage.hin[1])


def _car(config: TrainConfig) -> CARConfig:
    full = config.size == "full"
    edsr = EDSRConfig(
        blocks=config.edsr_blocks or (32 if full else 8),
        features=config.edsr_features or (256 if full else 48),
        scale=2,
    )
    return CARConfig(
        width=config.car_width or (128 if full else 32),
        residual_blocks=config.car_blocks or (5 if full else 3),
        edsr=edsr,
    )


def _prefixes(model: Model, architecture: str) -> dict[str, str] | None:
    """Which of a model's weights go where; None if a network cannot start from it."""
    same = {"": ""} if model.architecture == architecture else None
    return same or _PARTS.get((model.architecture, architecture))


def _gives(model: Model, architecture: str, part: str) -> bool:
    places = (_prefixes(model, architecture) or {}).values()
    return any(place in ("", f"{part}.") for place in places)


def _refuse_useless(models: Sequence[Model], stage: Stage) -> None:
    """A model of which later ones would leave nothing is a slip."""
    for index, model in enumerate(models):
        places = set((_prefixes(model, stage.architecture) or {}).values())
        for later in models[index + 1 :]:
            given = set((_prefixes(later, stage.architecture) or {}).values())
            if places and ("" in given or places <= given):
                raise ConfigError(
                    f"starts from {model.path} and from {later.path}, which takes all of its place",
                    next_step="give one --init for each part",
                )


def _take_over(network: nn.Module, architecture: str, model: Model) -> None:
    prefixes = _prefixes(model, architecture)
    if prefixes is None:
        raise ModelError(
            f"holds {ARCHITECTURES[model.architecture].title};"
            f" {ARCHITECTURES[architecture].title} cannot start from it",
            path=model.path,
            next_step="choose another --init or --stage",
        )
    own = network.state_dict()
    finder, hinet = (
        new - old for new, old in zip(_depths(network), _depths(model.network), strict=True)
    )
    for name, tensor in model.network.state_dict().items():
        for old, new in prefixes.items():
            if name.startswith(old):
                deeper = finder if name.startswith("finder.") else min(hinet, 0)
                goal = _FROM_THE_DEEPEST.sub(
                    lambda part, by=deeper: f"{part[1]}{int(part[2]) + by}",
                    new + name.removeprefix(old),
                )
                if goal in own or deeper >= 0:  # a deepest level that is given up is left out
                    own[goal] = _fitted(tensor, own.get(goal), name, model)
    network.load_state_dict(own)
    if isinstance(network, Guided) and model.architecture == architecture:
        network.finder.hand_through(max(finder, 0))


def _depths(network: nn.Module) -> tuple[int, int]:
    """Levels of a network's finder and HINet; 0 for one that it does not have."""
    config: Any = network.config
    return getattr(config, "finder_depth", 0), getattr(getattr(config, "hinet", config), "depth", 0)


def _fitted(tensor: Tensor, goal: Tensor | None, name: str, model: Model) -> Tensor:
    if goal is not None and tensor.shape == goal.shape:
        return tensor
    if (
        goal is not None
        and name.endswith(("conv_01.weight", "conv_02.weight"))
        and tensor.shape[0] == goal.shape[0]
        and tensor.shape[1] < goal.shape[1]
    ):  # input channels that the model does not know begin without a say
        extra = goal.shape[1] - tensor.shape[1]
        return torch.cat([tensor, tensor.new_zeros(goal.shape[0], extra, *goal.shape[2:])], dim=1)
    wanted = "no such weight" if goal is None else f"the shape {tuple(goal.shape)}"
    raise ModelError(
        f"{name} has the shape {tuple(tensor.shape)}, the network to train has {wanted}",
        path=model.path,
        next_step="leave out the options that set widths and depths",
    )
