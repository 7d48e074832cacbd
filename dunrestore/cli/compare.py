"""``dunrestore compare``: metrics between pictures that exist already."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dunrestore.cli import console
from dunrestore.cli.options import CacheDir, Offline, Quiet, Verbose

if TYPE_CHECKING:
    from dunrestore.benchmarking.comparing import Compared


def compare(
    restored: Annotated[
        Path, typer.Argument(metavar="RESTORED", help="Picture, or folder of pictures.")
    ],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="What it should be.")],
    mask: Annotated[
        Path | None,
        typer.Option(
            "--mask", metavar="PATH", help="What was damaged, in white: picture or folder."
        ),
    ] = None,
    suffix: Annotated[
        str,
        typer.Option("--suffix", metavar="TEXT", help="What RESTORED's names carry after TRUTH's."),
    ] = "",
    lpips: Annotated[bool, typer.Option("--lpips/--no-lpips", help="Measure LPIPS.")] = True,
    cache_dir: CacheDir = None,
    offline: Offline = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per pair.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure existing pictures against the truth, whatever tool made them.

    Folders are matched by name. PSNR, SSIM, DSSIM, LPIPS and CIEDE2000.
    """
    console.set_up(quiet=quiet, verbose=verbose)
    from dunrestore.benchmarking.comparing import compare_pairs
    from dunrestore.benchmarking.pairing import pair_up
    from dunrestore.benchmarking.perceptual import load_lpips
    from dunrestore.errors import ExitCode

    pairing = pair_up(restored, truth, mask, suffix)
    metric, note = load_lpips(cache_dir, offline=offline) if lpips else (None, "")
    if note and not quiet:
        console.say(note)
    compared: list[Compared] = []
    for one in compare_pairs(pairing.pairs, metric):
        compared.append(one)
        if one.error is not None:
            console.say(f"error: {one.error}")
        if as_json:
            console.print_json(_as_json(one))
    for line in pairing.left_out:
        console.say(console.one_line(f"left out: {line}"))
    if not as_json and any(one.error is None for one in compared):
        _show(compared)
    failed = [one.error for one in compared if one.error is not None]
    if len(failed) == len(compared) == 1:
        raise typer.Exit(failed[0].exit_code)
    raise typer.Exit(ExitCode.PARTIAL if failed or pairing.left_out else ExitCode.OK)


def _show(compared: list["Compared"]) -> None:
    from dunrestore.benchmarking import quantities
    from dunrestore.benchmarking.statistics import summarise
    from dunrestore.benchmarking.tables import Cell, Table
    from dunrestore.cli import tables

    measured = {key for one in compared for key, v in one.values.items() if v is not None}
    keys = quantities.without_empty(quantities.QUANTITIES, measured)
    rows = [
        (
            Cell(one.name),
            *(Cell(quantities.show(key, one.values.get(key))) for key in keys),
        )
        for one in compared
    ]
    if len(compared) > 1:
        for statistic in ("mean", "median"):
            summaries = [summarise([one.values.get(key) for one in compared]) for key in keys]
            values = [None if s is None else getattr(s, statistic) for s in summaries]
            shown = (quantities.show(k, v) for k, v in zip(keys, values, strict=True))
            rows.append((Cell(statistic, True), *(Cell(text, True) for text in shown)))
    titles = (quantities.QUANTITIES[key].title for key in keys)
    tables.show(Table("", ("Picture", *titles), tuple(rows)))


def _as_json(one: "Compared") -> dict[str, object]:
    if one.error is not None:
        return {"picture": one.name, **console.error_as_json(one.error)}
    return {"picture": one.name, "status": "done", **one.values}
