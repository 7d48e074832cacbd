"""What a check finds, and how a check that fails becomes a finding."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dunrestore.errors import one_line

State = Literal["ok", "note", "problem", "broken"]


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis."""

    section: str
    """devices, speed, memory, cache, models, versions or extras."""
    name: str
    value: str
    state: State = "ok"
    """``problem``: something does not work; ``broken``: nothing can be restored."""
    advice: str = ""
    """What to do about it."""
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    """The figures behind ``value``, for programs."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def isolated(section: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """What a check finds; if it fails, that is the last finding."""
    try:
        yield from check()
    except Exception as error:  # a broken installation raises anything
        yield Finding(section, section, one_line(error), "problem")
