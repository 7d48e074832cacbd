"""``dunrestore train``: a folder of pictures in, a model file out."""

import inspect
import shlex
import types
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer

from dunrestore.cli import console
from dunrestore.errors import ConfigError
from dunrestore.training.config import TrainConfig, make_config, read_toml, said_of_file, to_toml

DEFAULT_FOLDER = Path("training")


def _train(
    *,
    output: Path,
    config_file: Path | None,
    print_config: bool,
    resume: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    no_progress: bool,
    log_file: Path | None,
    **given: Any,
) -> None:
    """Train a model on your own pictures; several GPUs or machines: the same under torchrun.

    In brackets: what holds where stage and preset say nothing else; --print-config shows the values
    of a stage.
    """
    console.set_up(quiet=quiet, verbose=verbose, log_file=log_file)
    in_file = {} if config_file is None else read_toml(config_file)
    options = {name: value for name, value in given.items() if value is not None}
    try:
        config = make_config(_saved(output) if resume else {}, in_file, options)
    except ConfigError as error:
        if config_file is None:
            raise
        raise said_of_file(error, config_file, in_file) from None
    if print_config:
        console.data.print(to_toml(config), end="", markup=False)
        return
    from dunrestore.cli.train_progress import TrainingProgress
    from dunrestore.training.distributed import joined_world
    from dunrestore.training.run import train
    from dunrestore.training.state import FILE

    with joined_world() as world:

        def watchers(start: int) -> list[TrainingProgress]:
            shown = world.leads and not quiet
            bar = shown and not no_progress
            if shown:
                console.say(f"training {config.stage}, {config.iterations} steps, into {output}")
            return [TrainingProgress(config.iterations, start, bar=bar, lines=shown)]

        try:
            result = train(config, output, resume=resume, observers=watchers, world=world)
        except KeyboardInterrupt:
            if world.leads and (output / FILE).exists():
                folder = shlex.quote(str(output))
                console.say(f"stopped; go on with: dunrestore train --resume -o {folder}")
            raise
        if not world.leads:
            return
        if as_json:
            figures = result.figures.as_dict() if result.figures else None
            console.print_json(
                {"model": str(result.model), "iterations": result.iterations, "figures": figures}
            )
        elif not quiet:
            console.say(f"{result.model}: {result.iterations} iterations")


def _saved(folder: Path) -> Mapping[str, Any]:
    from dunrestore.training.run import saved_config  # imports torch

    return saved_config(folder)


def _parameter(name: str, hint: Any, *declarations: Any, default: Any = None, **more: Any) -> Any:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[hint, typer.Option(*declarations, **more)],
    )


def _config_parameter(name: str, hint: Any, text: str, default: Any) -> inspect.Parameter:
    """A field of the configuration as an option; None stands for not given."""
    options = get_args(hint) if get_origin(hint) in (types.UnionType, Union) else (hint,)
    kind = next(o for o in options if o is not type(None))
    flag = f"--{name.replace('_', '-')}"
    shown = f" [{default}]" if default not in (None, "", ()) else ""
    more: dict[str, Any] = {"help": text + shown, "show_default": False}
    if kind is bool:
        return _parameter(name, bool | None, f"{flag}/--no-{flag[2:]}", **more)
    if get_origin(kind) is tuple:
        metavar = "PART" if name == "freeze" else "NAME|FILE"
        return _parameter(name, list[str] | None, flag, metavar=metavar, **more)
    return _parameter(name, kind | None, flag, **more)


def _options() -> list[inspect.Parameter]:
    hints = get_type_hints(TrainConfig)
    own = [
        _parameter("output", Path, "--output", "-o", metavar="FOLDER", default=DEFAULT_FOLDER,
                   help="Where state, records and models go."),
        _parameter("config_file", Path | None, "--config", "-c", metavar="FILE",
                   help="Values from a TOML file; options go before it."),
        _parameter("print_config", bool, "--print-config", default=False,
                   help="Show the resulting configuration as TOML, and stop."),
        _parameter("resume", bool, "--resume", default=False,
                   help="Go on from the state in the output folder."),
        _parameter("as_json", bool, "--json", default=False, help="The result as JSON on stdout."),
        _parameter("quiet", bool, "--quiet", "-q", default=False, help="Say errors only."),
        _parameter("verbose", bool, "--verbose", "-v", default=False, help="Say more."),
        _parameter("no_progress", bool, "--no-progress", default=False, help="No progress bar."),
        _parameter("log_file", Path | None, "--log-file", metavar="FILE", help="Keep a log."),
    ]  # fmt: skip
    return own + [
        _config_parameter(f.name, hints[f.name], f.metadata["help"], f.default)
        for f in fields(TrainConfig)
    ]


def _with_options(function: Callable[..., None]) -> Callable[..., None]:
    """The function with every field of the configuration among its options."""

    def command(**options: Any) -> None:
        function(**options)

    parameters = _options()
    command.__doc__ = function.__doc__
    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


train = _with_options(_train)
