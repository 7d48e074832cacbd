"""All checks in order, each isolated from the others.

They import libraries only when they run: where one is broken, importing is what fails.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dunrestore.diagnosis import machine, models, software
from dunrestore.diagnosis.findings import Finding, isolated
from dunrestore.errors import ExitCode


def diagnose(default: str, cache_dir: Path | None, seconds: float | None) -> Iterator[Finding]:
    """Check everything, one thing after another; nothing is raised.

    Args:
        default: the model that ``restore`` takes.
        cache_dir: where models lie, as in ``store.cache_folder``.
        seconds: that measuring speeds may take, about; None shows stored ones.
    """
    checks: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("versions", software.versions),
        ("devices", machine.devices),
        ("memory", machine.memory),
        ("cache", lambda: machine.cache(cache_dir)),
        ("models", lambda: models.models(default, cache_dir)),
        ("speed", lambda: models.speeds(default, cache_dir, seconds)),
        ("extras", software.extras),
    ]
    for section, check in checks:
        yield from isolated(section, check)


def exit_code(findings: list[Finding]) -> ExitCode:
    """0 if restoring can work, else what stands in its way."""
    broken = [one.section for one in findings if one.state == "broken"]
    if not broken:
        return ExitCode.OK
    return ExitCode.MODEL if set(broken) == {"models"} else ExitCode.CONFIG
