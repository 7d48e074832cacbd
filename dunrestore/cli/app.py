"""The command line's entrance, and the one place where errors become lines and exit codes."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dunrestore import __version__
from dunrestore.cli import bench, compare, console, doctor, models, noise, restore, train, verify
from dunrestore.cli.interrupts import noting, was_noted
from dunrestore.errors import ConfigError, ExitCode, FileAccessError, as_ours

_BOXES_FROM = {"train": 100}
"""Columns from which on the boxes of a command's help cut no option's name."""
_USUAL_BOXES_FROM = 76


def _without_boxes_where_narrow(commands: Mapping[str, Any]) -> None:
    for name, command in commands.items():
        if console.data.width < _BOXES_FROM.get(name, _USUAL_BOXES_FROM):
            command.rich_markup_mode = None
        _without_boxes_where_narrow(getattr(command, "commands", {}))


class _Plain(TyperGroup):
    """Commands and usage errors without boxes, whose imports take as long as all the rest."""

    def __init__(self, **settings: Any) -> None:
        settings["rich_markup_mode"] = None
        super().__init__(**settings)
        for command in self.commands.values():
            # Otherwise it is cut to one line.
            command.short_help = " ".join((command.help or "").partition("\n\n")[0].split())
        _without_boxes_where_narrow(self.commands)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for option in self.get_params(ctx):
            # To learn that a flag without a default is not set, typer imports pydantic.
            if option.default is None:
                option.default = False
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="dunrestore",
    help="Restore scanned murals. What was not damaged stays exactly as it was.",
    no_args_is_help=True,
    cls=_Plain,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.data.print(f"dunrestore {__version__}")
        raise typer.Exit


def _check_epoch() -> None:
    """Refuse a ``SOURCE_DATE_EPOCH`` that is no time before any work, and forget an empty one.

    Parts of NumPy read it when they are imported, and end with what is no number.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        os.environ.pop("SOURCE_DATE_EPOCH", None)
        return
    from dunrestore.stamps import now

    try:
        now()
    except (ValueError, OverflowError, OSError):
        raise ConfigError(
            f"SOURCE_DATE_EPOCH is {epoch!r}, which is no time",
            next_step="set it to whole seconds since 1970, or unset it",
        ) from None


@app.callback()
def _options(  # pyright: ignore[reportUnusedFunction]
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Restore scanned murals. What was not damaged stays exactly as it was."""
    _check_epoch()


app.command()(restore.restore)
app.command()(verify.verify)
# It says itself what to do with a second folder.
app.command(context_settings={"allow_extra_args": True})(bench.bench)
app.command()(compare.compare)
app.command("train")(train.train)
app.command()(noise.noise)
app.command()(doctor.doctor)
app.add_typer(models.app, name="models")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; nothing escapes as a traceback.

    Args:
        arguments: the command line without the program's name; ``sys.argv`` if None.
    """
    console.take_any_text()
    try:
        with noting():
            app(args=arguments, prog_name="dunrestore")
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else ExitCode.OK
        if isinstance(stop.__context__, BrokenPipeError):  # a help that nobody reads
            unread = console.not_written(stop.__context__)
            return _report(str(unread), unread.exit_code)
        # Typer turns Ctrl-C into an exit and says nothing.
        by_user = isinstance(getattr(stop.__context__, "__cause__", None), KeyboardInterrupt)
        return _report("interrupted", code) if by_user else code
    except KeyboardInterrupt:
        return _report("interrupted", ExitCode.INTERRUPTED)
    except Exception as error:  # none escapes as a traceback
        if was_noted():  # in the middle of an import, which made another error of it
            return _report("interrupted", ExitCode.INTERRUPTED)
        given = sys.argv[1:] if arguments is None else arguments
        helps = "-h" in given or "--help" in given  # and touches no file
        shown = as_ours(error, written="standard output" if helps else None)
        if "--json" in given:
            with suppress(FileAccessError):  # nobody reads it
                console.print_json(console.error_as_json(shown))
        return _report(str(shown), shown.exit_code)
    return ExitCode.OK


def _report(message: str, code: int) -> int:
    console.say("error: " + " ".join(message.splitlines()))
    return code
