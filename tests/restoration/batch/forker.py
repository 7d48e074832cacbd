"""Import once, then run one batch in a child for every line on stdin.

A line holds the inputs, the output folder, and after how many seconds to kill the child (or
nothing); the answer is how many seconds it took and the status that it ended with. Run by
test_kill.py.
"""

import os
import signal
import sys
import time

import torch

from dunrestore.checkpoints import load
from dunrestore.cli import app
from dunrestore.restoration.batch import run as imported_before_forking
from tests.restoration.batches import restore, toy_model


def main():
    assert imported_before_forking
    assert app
    torch.set_num_threads(1)  # threads of the parent would be missing in the child
    model = toy_model()
    load.load = lambda *_, **__: model
    for line in sys.stdin:
        scans, out, kill_after = line.rstrip("\n").split("\t")
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            os._exit(restore(scans, out, "--existing", "skip", "--change-map", "-q"))
        if kill_after:
            time.sleep(float(kill_after))
            os.kill(child, signal.SIGKILL)  # it is there, if only as a zombie: nobody waited yet
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{time.perf_counter() - start} {status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
