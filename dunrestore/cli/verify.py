"""``dunrestore verify``: restored files against their records."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dunrestore.cli import console
from dunrestore.cli.options import Quiet
from dunrestore.errors import ExitCode


def verify(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where restored files and their records lie.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per file.")] = False,
    quiet: Quiet = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Name the sound files.")] = False,
) -> None:
    """Check restored files: every one against its record and manifest-sha256.txt.

    Folders inside are checked as well. A file that is missing or has other bytes ends in exit
    code 4.
    """
    # First, so that -v shows why an import fails.
    console.set_up(quiet=quiet, verbose=verbose)
    from dunrestore.provenance.verify import verify as verify_folder

    good = bad = 0
    for checked in verify_folder(folder):
        if as_json:
            console.print_json({**asdict(checked), "path": str(checked.path)})
        if checked.verdict == "ok":
            good += 1
            if verbose:
                console.say(console.one_line(f"{checked.path}: ok"))
        else:
            bad += 1
            shown = console.one_line(f"{checked.path}: {checked.verdict}: {checked.explanation}")
            console.say(f"error: {shown}")
    if not quiet:
        console.say(f"{good} {'check' if good == 1 else 'checks'} passed, {bad} failed")
    raise typer.Exit(ExitCode.OUTPUT_CHECK if bad else ExitCode.OK)
