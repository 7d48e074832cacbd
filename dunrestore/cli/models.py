"""``dunrestore models``: what models there are, and how they get here."""

import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dunrestore.cli import console
from dunrestore.cli.options import CacheDir, Json, NoProgress, Offline, Quiet
from dunrestore.errors import DunrestoreError, ExitCode, ModelError, NothingToDoError

if TYPE_CHECKING:
    from rich.table import Table

    from dunrestore.checkpoints.store import Status, Store
    from dunrestore.checkpoints.verify import Verdict

app = typer.Typer(help="List, fetch, import and check models.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's name.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME", help="Models by name.")]
Catalog = Annotated[
    str | None,
    typer.Option(
        "--catalog",
        metavar="FILE|URL",
        envvar="DUNRESTORE_CATALOG",
        help="A catalogue of your institution's own models, beside the built-in one.",
    ),
]

_STATES = {
    "embedded": "comes with dunrestore",
    "cached": "downloaded",
    "imported": "brought in with `models import`",
    "remote": "fetched on first use, or with `models pull`",
    "importable": "`models pull NAME` says how to get it",
    "missing": "should be here but is not: install dunrestore again",
}


@app.command("list")
def list_models(cache_dir: CacheDir = None, catalog: Catalog = None, as_json: Json = False) -> None:
    """Show every model that has a name, and whether it is here."""
    store = _store(cache_dir, catalog)
    found: list[Status] = []
    failures: dict[str, DunrestoreError] = {}
    for name in store.names():
        try:
            found.append(store.status(name))
        except DunrestoreError as error:  # its broken record is no reason to list no others
            failures[name] = error
    if as_json:
        failed = [{"name": name, **console.error_as_json(e)} for name, e in failures.items()]
        console.print_json([*(_as_json(status) for status in found), *failed])
    else:
        _show_list(found)
    for error in failures.values():
        console.say(f"error: {error}")
    if failures:
        raise typer.Exit(ExitCode.MODEL)


def _show_list(found: "Sequence[Status]") -> None:
    from rich.table import Table

    from dunrestore.checkpoints import cards

    table = Table(box=None, pad_edge=False)
    table.add_column("NAME", no_wrap=True)
    table.add_column("STATE", no_wrap=True)
    table.add_column("SIZE", justify="right", no_wrap=True)
    table.add_column("WHAT IT IS")
    for status in found:
        title = status.entry.title if status.entry else cards.card_of(status).get("title", "")
        table.add_row(status.name, status.state, cards.size_of(status), title)
    _print_table(table)
    for state in dict.fromkeys(status.state for status in found):
        console.say(f"{state}: {_STATES[state]}")


@app.command()
def show(
    name: Name, cache_dir: CacheDir = None, catalog: Catalog = None, as_json: Json = False
) -> None:
    """Show a model's card: what it is for, what it learnt from, its licence, figures, hash."""
    from dunrestore.checkpoints import cards

    status = _store(cache_dir, catalog).status(name)
    if as_json:
        console.print_json(_as_json(status) | {"card": cards.card_of(status)})
        return
    facts = {"state": f"{status.state} ({_STATES[status.state]})", **cards.facts_of(status)}
    text = cards.render(status.name, cards.card_of(status), facts)
    if console.data.is_terminal:
        _show_markdown(text)
    else:
        console.data.print(text, markup=False, end="")


def _show_markdown(text: str) -> None:
    from rich.markdown import Markdown  # takes its time

    from dunrestore.checkpoints.cards import CODE

    for is_code, lines in groupby(text.splitlines(), lambda line: line.startswith(CODE)):
        part = "\n".join(lines)
        if is_code:  # rich would break its lines, which are to be copied
            console.data.print(f"\n{part}", markup=False)
        else:
            console.data.print(Markdown(part), soft_wrap=False)


@app.command()
def pull(
    names: Names,
    accept_changed: Annotated[
        bool,
        typer.Option(
            "--accept-changed", help="Fetch again, and take it even if its hash has changed."
        ),
    ] = False,
    offline: Offline = False,
    cache_dir: CacheDir = None,
    catalog: Catalog = None,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> None:
    """Fetch models into the cache; what is here and whole is not fetched again."""
    from dunrestore.checkpoints.pull import pull as pull_model
    from dunrestore.checkpoints.verify import remember_new
    from dunrestore.cli.download_bar import DownloadBar

    console.set_up(quiet=quiet)
    store = _store(cache_dir, catalog, offline=offline)
    for name in names:
        with DownloadBar(name, enabled=not (quiet or no_progress)) as bar:
            found = pull_model(
                store,
                name,
                offline=offline,
                accept_changed=accept_changed,
                progress=bar,
                notify=console.say,
            )
        remember_new(store, found)
        if not quiet:
            console.say(f"{found.name}: {found.path}")


@app.command("import")
def import_(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="HINet .pth, EDSR .pt, folder with CAR's kgn.pth and usn.pth, or a training"
            " result.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", "-n", metavar="NAME", help="What to call it.")],
    licence: Annotated[
        str, typer.Option("--licence", metavar="TEXT", help="Its licence, for the card.")
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier import of that name.")
    ] = False,
    cache_dir: CacheDir = None,
    catalog: Catalog = None,
    quiet: Quiet = False,
) -> None:
    """Check a model file, convert it, and make it usable by name."""
    from dunrestore.checkpoints.importing import import_model
    from dunrestore.checkpoints.verify import remember_new

    console.set_up(quiet=quiet)
    store = _store(cache_dir, catalog)
    found = import_model(store, path, name, licence=licence, replace=overwrite)
    remember_new(store, found)
    if not quiet:
        console.say(f"{found.name}: {found.path}")


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Models; all if none is named.")
    ] = None,
    run: Annotated[
        bool,
        typer.Option(
            "--run", help="Restore a small picture on every device and compare the results."
        ),
    ] = False,
    cache_dir: CacheDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check the hashes of all models that are here, and with --run their results."""
    from dunrestore.checkpoints import verify as checks

    console.set_up(quiet=quiet)
    store = _store(cache_dir, None)
    if not (chosen := names or checks.names_here(store)):
        raise NothingToDoError("no model is on this machine")
    verdicts = [checks.verify(store, name, run=run) for name in chosen]
    if as_json:
        console.print_json([_verdict_json(verdict) for verdict in verdicts])
    elif not quiet:
        _print_table(_verdict_table(verdicts))
    if failed := [verdict for verdict in verdicts if not verdict.passed]:
        listed = "; ".join(f"{verdict.name} {_complaint(verdict)}" for verdict in failed)
        error = ModelError(
            f"{len(failed)} of {len(verdicts)} models failed: {listed}",
            next_step="do not use them; pull, import or install them again"
            if any(verdict.problem for verdict in failed)
            else "do not use that device and precision until its driver is put right",
        )
        if not as_json:
            raise error
        console.say(f"error: {error}")
        raise typer.Exit(error.exit_code)


@app.command()
def remove(names: Names, cache_dir: CacheDir = None, quiet: Quiet = False) -> None:
    """Delete models from the cache."""
    store = _store(cache_dir, None)
    for name in names:
        freed = store.remove(name)
        if not quiet:
            console.say(f"{name}: removed, {freed / 1e6:.1f} MB freed")


@app.command()
def path(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A model; the cache if none is named.")
    ] = None,
    cache_dir: CacheDir = None,
) -> None:
    """Print where a model's file, or the cache, is."""
    store = _store(cache_dir, None)
    if name is None:
        console.data.print(str(store.folder), markup=False)
        return
    found = store.find(name)
    if found is None:
        raise ModelError(
            f"{name} is not on this machine", next_step=f"`dunrestore models pull {name}`"
        )
    console.data.print(str(found.path), markup=False)


def _store(cache_dir: Path | None, catalog: str | None, *, offline: bool = False) -> "Store":
    from dunrestore.checkpoints.store import Store, read_catalogue

    return Store(cache_dir, read_catalogue(catalog, offline=offline) if catalog else ())


def _as_json(status: "Status") -> dict[str, Any]:
    from dunrestore.checkpoints import cards

    entry, card = status.entry, cards.card_of(status)
    return {
        "name": status.name,
        "state": status.state,
        "title": card.get("title", ""),
        "architecture": entry.architecture if entry else None,
        "licence": card.get("licence", ""),
        "size": status.size,
        "sha256": cards.sha256_of_model(status),
        "path": str(status.path) if status.path else None,
        "urls": card.get("urls", []),
    }


def _verdict_table(verdicts: "list[Verdict]") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "CHECK", "RESULT"):
        table.add_column(heading, no_wrap=heading != "RESULT")
    for verdict in verdicts:
        result = verdict.problem or f"ok {verdict.sha256[:16]}..."
        table.add_row(verdict.name, "hash", f"{result}{verdict.note and f'; {verdict.note}'}")
        for o in verdict.outcomes:
            deviation = f"within {255 * o.deviation:.2f}/255, mean {255 * o.mean:.3f}/255"
            word = "ok" if o.passed else "FAILED"
            table.add_row("", f"{o.device} {o.precision}", f"{word}, {o.error or deviation}")
    return table


def _verdict_json(verdict: "Verdict") -> dict[str, Any]:
    return {
        "name": verdict.name,
        "passed": verdict.passed,
        "sha256": verdict.sha256,
        "problem": verdict.problem,
        "note": verdict.note,
        "runs": [
            {
                "device": outcome.device,
                "precision": outcome.precision,
                "passed": outcome.passed,
                "deviation": outcome.deviation,
                "largest_deviation": outcome.largest,
                "mean_deviation": outcome.mean,
                "error": outcome.error,
            }
            for outcome in verdict.outcomes
        ],
    }


def _complaint(verdict: "Verdict") -> str:
    if verdict.problem:
        return f"({verdict.problem})"
    bad = [f"{o.device} {o.precision}" for o in verdict.outcomes if not o.passed]
    return f"(results on {', '.join(bad)})"


def _print_table(table: "Table") -> None:
    # Off a terminal rich would squeeze everything into 80 columns.
    wide = None if console.data.is_terminal or "COLUMNS" in os.environ else 160
    console.data.print(table, soft_wrap=False, width=wide)
