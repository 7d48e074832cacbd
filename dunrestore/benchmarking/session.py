"""One benchmark from beginning to end: pictures, contestants, measuring, files."""

import contextlib
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dunrestore.benchmarking import contestants, outputs
from dunrestore.benchmarking.assemble import assemble, environment
from dunrestore.benchmarking.baselines import Choice, choose
from dunrestore.benchmarking.cases import Source
from dunrestore.benchmarking.contestants import Contestant
from dunrestore.benchmarking.findings import Findings, analyse
from dunrestore.benchmarking.journal import Journal, refuse_foreign
from dunrestore.benchmarking.perceptual import load_lpips
from dunrestore.benchmarking.previews import Previews
from dunrestore.benchmarking.protocol import Protocol
from dunrestore.benchmarking.results import Kind, Results
from dunrestore.benchmarking.run import Progress, Run
from dunrestore.benchmarking.sources import find_sources
from dunrestore.checkpoints.load import load
from dunrestore.checkpoints.store import Store
from dunrestore.errors import UsageError
from dunrestore.metrics.lpips import LPIPS
from dunrestore.models.devices import choose_device
from dunrestore.restoration.options import RestoreOptions

Start = Callable[[int], Progress | None]
"""Called with the number of steps before the first; returns what is told of each."""


@dataclass(frozen=True)
class Request:
    """What is to be measured.

    Attributes:
        folder: the test set.
        protocol: what is done to its pictures.
        models: names or files; none takes every embedded model.
        options: how pictures are restored.
        baselines: which classical fills stand beside the models.
        raw: also measure the networks' own output.
        lpips: measure LPIPS if its weights are to be had.
        limit: take only so many pictures.
        output: folder for the files, which also makes the run resumable; None writes none.
        overwrite: forget what ``output`` holds.
        cache_dir: where models and downloads lie.
        offline: never use the network.
    """

    folder: Path
    protocol: Protocol
    models: tuple[str, ...]
    options: RestoreOptions
    baselines: Choice = "auto"
    raw: bool = False
    lpips: bool = True
    limit: int | None = None
    output: Path | None = None
    overwrite: bool = False
    cache_dir: Path | None = None
    offline: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a benchmark found, and whether all of it could be measured."""

    results: Results
    findings: tuple[Findings, ...]
    complete: bool


def measure(request: Request, start: Start = lambda steps: None) -> Outcome:
    """Run a benchmark and write its files.

    Raises:
        DunrestoreError: if it cannot begin, or its files cannot be written; what goes wrong with
            single pictures stands in the rows.
    """
    if request.output is not None:  # says now, not after downloads, what is wrong
        refuse_foreign(request.output, overwrite=request.overwrite)
    sources, left_out = find_sources(request.folder, request.limit)
    sources = _clean_or_pairs(sources, request)
    taking_part = _contestants(request)
    lpips, notes = _lpips(request)
    device = str(choose_device(request.options.device))
    with _folder(request, taking_part) as (journal, previews):
        run = Run(
            sources=sources,
            protocol=request.protocol,
            contestants=taking_part,
            settings={"options": asdict(request.options), "environment": environment(device)},
            lpips=lpips,
            journal=journal,
            previews=previews,
        )
        results = assemble(
            run,
            run.rows(start(run.steps())),
            data=request.folder.resolve().name,
            options=_options(request),
            left_out=left_out,
            notes=notes,
            device=device,
        )
        findings = analyse(results)
        if request.output is not None:
            outputs.write(results, findings, previews, request.output)
    failed = any(row.error is not None for row in results.rows)
    return Outcome(results, findings, not failed and not left_out)


def _clean_or_pairs(sources: Sequence[Source], request: Request) -> list[Source]:
    protocol = request.protocol
    if not protocol.damaged_pairs:
        return [Source(s.name, s.truth, None, None, {"truth": s.sha256["truth"]}) for s in sources]
    pairs = any(source.input is not None for source in sources)
    if not pairs and any(block.noise == "none" for block in protocol.blocks):
        raise UsageError(
            f"the pictures of {request.folder} are not pairs, and nothing says what to do to them",
            next_step="add --protocol murals, --damage challenge or --noise",
        )
    return list(sources)


def _contestants(request: Request) -> list[Contestant]:
    found = [contestants.damaged_input()]
    models = [
        load(name, cache_dir=request.cache_dir, offline=request.offline, restoring=True)
        for name in request.models or _embedded(request.cache_dir)
    ]
    names = Counter(model.name for model in models)
    for model, given in zip(models, request.models or names, strict=True):
        # Runs call their files alike: those that share a name go by what the user calls them.
        called = replace(model, name=given) if names[model.name] > 1 else model
        found.append(contestants.from_model(called, request.options, raw=request.raw))
    for baseline in choose(request.baselines):
        found += contestants.from_baseline(baseline)
    contestants.refuse_equal_names(found)
    return found


def _embedded(cache_dir: Path | None) -> tuple[str, ...]:
    store = Store(cache_dir)
    built_in = (name for name, entry in store.entries.items() if entry.embedded)
    return tuple(name for name in built_in if store.status(name).state == "embedded")


def _lpips(request: Request) -> tuple[LPIPS | None, list[str]]:
    if not request.lpips:
        return None, ["LPIPS is n/a: it was not asked for."]
    lpips, note = load_lpips(request.cache_dir, offline=request.offline)
    return lpips, [note] if note else []


@contextlib.contextmanager
def _folder(
    request: Request, taking_part: Sequence[Contestant]
) -> Generator[tuple[Journal | None, Previews | None]]:
    if request.output is None:
        yield None, None
        return
    models = any(contestant.methods[0].kind == "model" for contestant in taking_part)
    kinds: frozenset[Kind] = frozenset({"model"} if models else {"blind"})
    journal = Journal(request.output, overwrite=request.overwrite)
    try:
        yield journal, Previews(request.output / "pictures", kinds)
    finally:
        journal.close()


def _options(request: Request) -> dict[str, Any]:
    return {
        **asdict(request.options),
        "baselines": request.baselines,
        "raw": request.raw,
        "limit": request.limit,
    }
