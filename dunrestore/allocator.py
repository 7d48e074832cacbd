"""Start a program so that it wastes less memory; imports next to nothing, since it comes first.

PyTorch's tensors begin at multiples of 64 bytes. The scraps that the GNU C library before 2.39 cuts
off for that go to a cache of each thread, and there they keep freed blocks beside them from being
joined (its bug 30723): a third of what a restoration takes (docs/decisions.md). Without that cache
they are joined at once, but it can only be switched off before a program starts.
"""

import os
import sys
from collections.abc import Sequence

_TUNABLES = "GLIBC_TUNABLES"
"""The GNU C library's settings:
https://sourceware.org/glibc/manual/latest/html_node/Memory-Allocation-Tunables.html."""
_CACHED = "glibc.malloc.tcache_count"
_MENDED = (2, 39)
_WITH_NETWORKS = ("restore", "bench", "train")


def sparing_environment() -> dict[str, str] | None:
    """This one with that setting; None if it says so itself, or if there is no need."""
    own = os.environ.get(_TUNABLES, "")
    if _CACHED in own or not _wastes():
        return None
    return {**os.environ, _TUNABLES: ":".join(filter(None, (own, f"{_CACHED}=0")))}


def begin_again(arguments: Sequence[str]) -> None:
    """Replace this process, which has done nothing yet, by itself in that environment.

    Args:
        arguments: of the command line; commands that run no network go on as they are, and so does
            a program with another command line, which only uses this one.
    """
    is_own = arguments and sys.orig_argv[-len(arguments) :] == [*arguments]
    if not is_own or arguments[0] not in _WITH_NETWORKS:
        return
    environment = sparing_environment()
    if environment is not None:
        try:
            os.execve(sys.executable, sys.orig_argv, environment)
        except OSError:
            return  # it works without


def _wastes() -> bool:
    """Whether this is the GNU C library, and one of those versions."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        return name == "glibc" and tuple(map(int, version.split("."))) < _MENDED
    except (AttributeError, ValueError, OSError):  # another system
        return False
