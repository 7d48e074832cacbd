"""Those who take part: models, baselines, and the damaged input itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from dunrestore.benchmarking.baselines import NEAR_WHITE, NEAR_WHITE_NOISY, Baseline, near_white
from dunrestore.benchmarking.cases import Case, Pixels
from dunrestore.benchmarking.results import Method
from dunrestore.benchmarking.speed import multiply_adds
from dunrestore.checkpoints.load import Model
from dunrestore.errors import UsageError
from dunrestore.imaging.picture import Encoding
from dunrestore.imaging.pixels import add_to_samples
from dunrestore.models.devices import choose_device
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.picture import restore_picture, restoring_network

INPUT = "damaged input"


@dataclass(frozen=True)
class Contestant:
    """Something that restores, and the lines that it fills: usually one, two with raw output."""

    methods: tuple[Method, ...]
    restore: Callable[[Case], tuple[Pixels, ...]]
    """One picture for each of ``methods``."""
    device: str = "cpu"
    multiply_adds: int | None = None
    needs_mask: bool = field(default=False)

    def takes_part(self, case: Case) -> bool:
        """Whether it can do anything with pictures of this kind.

        Where some of them are damaged and others are not, it gets both: else its averages would be
        over other pictures than those of the rest.
        """
        return not self.needs_mask or (case.mask is not None and case.to_be_filled)


def damaged_input() -> Contestant:
    """The input as it is: what doing nothing is worth."""
    return Contestant((Method(INPUT, "input", {}),), lambda case: (case.damaged,))


def from_baseline(baseline: Baseline) -> list[Contestant]:
    """A classical fill twice: blind, near-white pixels as its mask, and given the true mask."""
    blind = Method(
        f"near-white + {baseline.title}",
        "blind",
        {"fill": baseline.key, "near_white": [NEAR_WHITE, NEAR_WHITE_NOISY]},
    )
    oracle = Method(f"true mask + {baseline.title}", "oracle", {"fill": baseline.key})

    def fill_near_white(case: Case) -> tuple[Pixels, ...]:
        return (baseline.fill(case.damaged, near_white(case.damaged, noisy=case.noisy)),)

    def fill_mask(case: Case) -> tuple[Pixels, ...]:
        assert case.mask is not None
        return (baseline.fill(case.damaged, case.mask),)

    return [
        Contestant((blind,), fill_near_white),
        Contestant((oracle,), fill_mask, needs_mask=True),
    ]


def from_model(model: Model, options: RestoreOptions, *, raw: bool = False) -> Contestant:
    """A model, run exactly as ``restore`` runs it.

    Args:
        model: a restoring model.
        options: tiles, device, precision, preserve.
        raw: also measure the network's own output, before anything is preserved.

    Raises:
        ModelError: if the model does not restore pictures.
    """
    network = restoring_network(model)
    count = multiply_adds(network)
    facts = {
        "sha256": model.sha256,
        "architecture": model.architecture,
        "licence": model.card.get("licence"),
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "multiply_adds": count,
    }
    methods = [Method(model.name, "model", {**facts, "output": "preserved"})]
    if raw:
        methods.append(Method(f"{model.name}, raw", "model", {**facts, "output": "raw"}))

    def restore(case: Case) -> tuple[Pixels, ...]:
        encoding = Encoding("rgb")
        rgb = case.damaged.astype(np.float32) / np.float32(255)
        found = restore_picture(rgb, network, options, complete=raw)
        change = found.proposal.change
        if case.grey:
            change = np.broadcast_to(change.mean(axis=2, keepdims=True), change.shape)
        weights = [found.weight, np.ones_like(found.weight)][: len(methods)]
        pictures = (add_to_samples(case.damaged, change, weight, encoding) for weight in weights)
        return tuple(np.asarray(picture, dtype=np.uint8) for picture in pictures)

    device = str(choose_device(options.device))
    return Contestant(tuple(methods), restore, device, count)


def refuse_equal_names(contestants: Sequence[Contestant]) -> None:
    """Two lines of one name could not be told apart.

    Raises:
        UsageError: if two models have the same name.
    """
    seen: set[str] = set()
    for method in (method for contestant in contestants for method in contestant.methods):
        if method.name in seen:
            raise UsageError(
                f"two models are called {method.name!r}",
                next_step="name each once, or rename one of the files",
            )
        seen.add(method.name)
