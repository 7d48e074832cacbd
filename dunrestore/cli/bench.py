"""``dunrestore bench``: how good models are, and whether the differences mean anything."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dunrestore.cli import console
from dunrestore.cli.options import CacheDir, NoProgress, Offline, Quiet, Verbose, least_tile
from dunrestore.degradations.names import Fill

if TYPE_CHECKING:
    from dunrestore.benchmarking.session import Outcome

TILE = 1056
"""Pixels. Fixed, because tiles that follow the free memory would change the figures."""


def bench(
    context: typer.Context,
    testset: Annotated[
        Path,
        typer.Argument(metavar="TESTSET", help="Folder of pairs, or of clean pictures to damage."),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME|PATH",
            help="Model by name or file; repeat it. Without it: every embedded model.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option("--protocol", metavar="murals", help="A fixed run: damage, seeds and noise."),
    ] = None,
    damage: Annotated[
        str | None,
        typer.Option(
            "--damage", metavar="RECIPE|KIND", help="Damage clean pictures first, with a seed."
        ),
    ] = None,
    fill: Annotated[
        Fill | None,
        typer.Option("--fill", help="What losses are filled with."),
    ] = None,
    coverage: Annotated[
        str | None,
        typer.Option(
            "--coverage", metavar="PERCENT|LOW-HIGH", help="Share of the pixels that is lost."
        ),
    ] = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(
            "--noise", metavar="KIND-AMOUNT", help="gaussian-8, jpeg-60, none ...; repeat it."
        ),
    ] = None,
    noise_suite: Annotated[
        bool,
        typer.Option("--noise-suite", help="The paper's Table III: none, and its four noises."),
    ] = False,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of damage and noise.")] = None,
    block: Annotated[
        list[str] | None,
        typer.Option("--block", metavar="NAME", help="Only this block of the run; repeat it."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, metavar="N", help="Only N pictures, spread over the set."),
    ] = None,
    baselines: Annotated[
        Literal["auto", "all", "none"],
        typer.Option(
            "--baselines", help="auto: OpenCV's two fills, or the biharmonic one without OpenCV."
        ),
    ] = "auto",
    raw: Annotated[
        bool, typer.Option("--raw", help="Also measure the networks' own output.")
    ] = False,
    lpips: Annotated[bool, typer.Option("--lpips/--no-lpips", help="Measure LPIPS.")] = True,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Write tables, results and a page; resumes."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Forget what DIR holds of an earlier run.")
    ] = False,
    tile: Annotated[
        int,
        typer.Option(
            "--tile",
            "-t",
            min=0,
            metavar="N|0",
            callback=least_tile,
            help="Side of a tile in pixels; 0 for the whole picture at once.",
        ),
    ] = TILE,
    device: Annotated[
        str, typer.Option("--device", "-d", metavar="auto|cpu|cuda[:N]|mps", help="Where to run.")
    ] = "auto",
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"],
        typer.Option("--precision", help="What convolutions compute in."),
    ] = "fp32",
    preserve: Annotated[
        Literal["auto", "always", "never"],
        typer.Option("--preserve", help="As in `restore`: keep what was not damaged."),
    ] = "auto",
    cache_dir: CacheDir = None,
    offline: Offline = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The results as one JSON object on stdout.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    no_progress: NoProgress = False,
) -> None:
    """Measure restoration: PSNR, SSIM, LPIPS, CIEDE2000, inside and outside the damage.

    TESTSET is a folder of pairs, or of clean pictures that --damage or --protocol damages. Models
    stand beside the damaged input and what a user could do without any network.
    """
    console.set_up(quiet=quiet, verbose=verbose)
    from dunrestore.benchmarking.planning import Wishes, plan
    from dunrestore.benchmarking.session import Request, measure
    from dunrestore.cli.bench_progress import BenchProgress
    from dunrestore.errors import UsageError
    from dunrestore.restoration.options import RestoreOptions

    if context.args:
        raise UsageError(
            f"one TESTSET is measured at a time, not {1 + len(context.args)}",
            next_step="to measure restored pictures against the truth, use `dunrestore compare`",
        )
    wishes = Wishes(
        protocol=protocol,
        damage=damage,
        fill=fill,
        coverage=coverage,
        noises=tuple(noise or ()),
        noise_suite=noise_suite,
        seed=seed,
        blocks=tuple(block or ()),
    )
    request = Request(
        folder=testset,
        protocol=plan(wishes),
        models=tuple(model or ()),
        options=RestoreOptions(tile=tile, device=device, precision=precision, preserve=preserve),
        baselines=baselines,
        raw=raw,
        lpips=lpips,
        limit=limit,
        output=output,
        overwrite=overwrite,
        cache_dir=cache_dir,
        offline=offline,
    )
    try:
        with BenchProgress(enabled=not (quiet or no_progress)) as bar:
            outcome = measure(request, bar.start)
    except KeyboardInterrupt:
        if output is not None:
            anew = " without --overwrite" if overwrite else ""
            console.say(f"stopped; run it again{anew} to go on")
        raise
    _report(outcome, output, as_json=as_json, quiet=quiet)


def _report(outcome: "Outcome", output: Path | None, *, as_json: bool, quiet: bool) -> None:
    from dunrestore.benchmarking.findings import as_dict
    from dunrestore.errors import ExitCode

    for line in outcome.results.left_out:
        console.say(console.one_line(f"left out: {line}"))
    for line in _failures(outcome):
        console.say(console.one_line(f"error: {line}"))
    if as_json:
        console.print_json(as_dict(outcome.results, outcome.findings))
    else:
        _show(outcome)
    if not quiet:
        for note in outcome.results.notes:
            console.say(note)
        if output is not None:
            console.say(f"written to {output}: {output / 'report.html'}")
    raise typer.Exit(ExitCode.OK if outcome.complete else ExitCode.PARTIAL)


def _failures(outcome: "Outcome") -> list[str]:
    """A line for each failure; one alone for a picture that nobody could be given."""
    results = outcome.results
    rows = [row for row in results.rows if row.error is not None]
    failed: dict[tuple[str, str | None], set[str]] = {}
    for row in rows:
        failed.setdefault((row.image, row.error), set()).add(row.method)
    everybody = {method.name for method in results.methods}
    lines = (
        f"{row.error}"
        if failed[row.image, row.error] == everybody
        else f"{row.image}, {row.block}, {row.method}: {row.error}"
        for row in rows
    )
    return list(dict.fromkeys(lines))


def _show(outcome: "Outcome") -> None:
    from dunrestore.benchmarking import tables
    from dunrestore.cli.tables import show

    for found in outcome.findings:
        show(tables.quality(found, tables.SHORT))
        key = "psnr_inside" if tables.has_parts(found) else "psnr"
        if (differences := tables.differences(found, key)) is not None:
            show(differences, text_columns=(0, 1))
    for key in tables.NOISE_KEYS:
        if (noise := tables.noise(outcome.findings, [key])) is not None:
            show(noise)
    if (speed := tables.speed(outcome.results.speed)) is not None:
        show(speed)
    show(tables.published()[0])
    console.data.print(tables.legend(len(outcome.results.images)), markup=False)
