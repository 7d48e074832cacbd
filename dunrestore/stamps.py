"""What files say of how they were made: when, and with which versions."""

import os
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version


def now() -> str:
    """The time in UTC, ISO 8601; ``SOURCE_DATE_EPOCH`` stands in for it if it is set.

    Raises:
        ValueError, OverflowError, OSError: if that is no time.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    time = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    return time.isoformat(timespec="seconds")


def version_of(package: str) -> str:
    """An installed package's version; empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
