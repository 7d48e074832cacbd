"""``dunrestore doctor``: what this machine has, how fast it is, and what is missing."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from dunrestore.cli import console, interrupts
from dunrestore.cli.options import CacheDir, Json
from dunrestore.cli.restore import DEFAULT_MODEL
from dunrestore.errors import ExitCode

if TYPE_CHECKING:
    from dunrestore.diagnosis.findings import Finding

_NARROW = 60
"""Columns below which names are folded."""
_SECONDS = 8.0
_COLOURS = {"ok": "green", "note": "yellow", "problem": "red", "broken": "bold red"}


def doctor(
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Measure the default model's speed.")
    ] = True,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Show devices, their speed, memory, models, versions, and what is missing."""
    from dunrestore.diagnosis.run import diagnose, exit_code

    console.set_up(quiet=True)
    findings: list[Finding] = []
    for finding in diagnose(DEFAULT_MODEL, cache_dir, _SECONDS if measure else None):
        findings.append(finding)
        if interrupts.was_noted():
            break
    if interrupts.was_noted():  # a check takes it for its own failure, or for none
        raise KeyboardInterrupt
    code = exit_code(findings)
    if as_json:
        listed = [finding.as_dict() for finding in findings]
        console.print_json({"works": code == ExitCode.OK, "findings": listed})
    else:
        _show(findings)
        broken = ", ".join(one.name for one in findings if one.state == "broken")
        problems = sum(one.state == "problem" for one in findings)
        plural = "s" if problems > 1 else ""
        also = f"; {problems} problem{plural}, see above" if problems else ""
        console.say(
            f"error: nothing can be restored: {broken}" if broken else f"restoring works{also}"
        )
    raise typer.Exit(code)


def _show(findings: "list[Finding]") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    # In a narrow terminal uncut names leave what was found no room.
    table.add_column("NAME", no_wrap=console.data.width >= _NARROW, overflow="fold")
    table.add_column("STATE", no_wrap=True)
    table.add_column("WHAT WAS FOUND", overflow="fold")
    section = ""
    for one in findings:
        title = one.section if one.section != section else ""
        section = one.section
        said = Text(one.value)
        if one.advice:
            said.append(f"\n{one.advice}", style="italic")
        state = Text(one.state, style=_COLOURS[one.state])
        table.add_row(Text(title, style="bold"), Text(one.name), state, said)
    # Off a terminal rich would squeeze everything into 80 columns.
    wide = None if console.data.is_terminal or "COLUMNS" in os.environ else 160
    console.data.print(table, soft_wrap=False, width=wide)
