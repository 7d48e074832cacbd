"""All checks in order, each isolated from the others."""

from collections.abc import Callable, Iterable
from pathlib import Path

from dunrestore.diagnosis.findings import Finding, isolated
from dunrestore.errors import ExitCode


def diagnose(default: str, cache_dir: Path | None, seconds: float | None) -> list[Finding]:
    """Check everything; nothing is raised.

    Args:
        default: the model that ``restore`` takes.
        cache_dir: where models lie, as in ``store.cache_folder``.
        seconds: that measuring speeds may take, about; None shows stored ones.
    """
    checks: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("versions", _versions),
        ("devices", _devices),
        ("memory", _memory),
        ("cache", lambda: _cache(cache_dir)),
        ("models", lambda: _models(default, cache_dir)),
        ("speed", lambda: _speeds(default, cache_dir, seconds)),
        ("extras", _extras),
    ]
    return [finding for section, check in checks for finding in isolated(section, check)]


def exit_code(findings: list[Finding]) -> ExitCode:
    """0 if restoring can work, else what stands in its way."""
    broken = [one.section for one in findings if one.state == "broken"]
    if not broken:
        return ExitCode.OK
    return ExitCode.MODEL if set(broken) == {"models"} else ExitCode.CONFIG


# Imported inside the checks: where a library is broken, importing is what fails.


def _versions() -> Iterable[Finding]:
    from dunrestore.diagnosis.software import versions

    return versions()


def _devices() -> Iterable[Finding]:
    from dunrestore.diagnosis.machine import devices

    return devices()


def _memory() -> Iterable[Finding]:
    from dunrestore.diagnosis.machine import memory

    return memory()


def _cache(cache_dir: Path | None) -> Iterable[Finding]:
    from dunrestore.diagnosis.machine import cache

    return cache(cache_dir)


def _models(default: str, cache_dir: Path | None) -> Iterable[Finding]:
    from dunrestore.diagnosis.models import models

    return models(default, cache_dir)


def _speeds(default: str, cache_dir: Path | None, seconds: float | None) -> Iterable[Finding]:
    from dunrestore.diagnosis.models import speeds

    return speeds(default, cache_dir, seconds)


def _extras() -> Iterable[Finding]:
    from dunrestore.diagnosis.software import extras

    return extras()
