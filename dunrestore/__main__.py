"""``python -m dunrestore``, and the console script."""

import os
import sys

from dunrestore.allocator import begin_again


def main() -> None:
    """Run the command line; Ctrl-C ends it with one line from the first moment on."""
    for number in range(3):  # which no file of ours may take: a library's warnings would go there
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest one that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, who does not want to see it
            # It stays open to the end, so that a context manager has no place here.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    try:
        begin_again(sys.argv[1:])
        from dunrestore.cli.app import run  # takes a while
        from dunrestore.resources import limit_threads

        limit_threads()
        code = run()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
