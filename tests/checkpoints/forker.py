"""Import once, then run one download in a child for every line on stdin.

A line holds catalogue, cache, and after how many seconds to kill the child (or nothing); the answer
is how many seconds it took and the status that it ended with. Run by test_kill.py.
"""

import os
import signal
import sys
import time

from dunrestore.checkpoints import download, formats, pull, store
from dunrestore.checkpoints.http import Patience


def main():
    download.PATIENCE = Patience(attempts=3, pause=0.01)
    assert formats.SAFETENSORS
    for line in sys.stdin:
        catalog, cache, kill_after = line.rstrip("\n").split("\t")
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            pull.pull(store.Store(cache, store.read_catalogue(catalog)), "m")
            os._exit(0)
        if kill_after:
            time.sleep(float(kill_after))
            os.kill(child, signal.SIGKILL)  # it is there, if only as a zombie: nobody waited yet
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{time.perf_counter() - start} {status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
