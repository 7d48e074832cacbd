import ctypes
import json
import subprocess
import sys

import pytest
import torch

from dunrestore.models.allocation import is_out_of_memory

glibc = pytest.mark.skipif(
    not (sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")),
    reason="only glibc can be told to keep freed memory",
)

SCRIPT = """
import json, resource, sys
from pathlib import Path
import torch
from torch import nn
from dunrestore.models.allocation import hand_back_memory, keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def anonymous():
    (line,) = (l for l in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in l)
    return int(line.split()[1])

torch.set_num_threads(1)
kept = sys.argv[1] == "keep" and keep_freed_memory()
layers = [nn.Sequential(nn.Conv2d(4, 4, 1), nn.LeakyReLU()) for _ in range(3)]
x = torch.rand(1, 4, 1500, 1500)  # 36 MB

def run():
    y = x
    for layer in layers:
        y = y + layer(y)

with torch.inference_mode():
    run(), run(), run(), run(), run()  # until the heap has found its shape
    begun = faults()
    run()
begun, before = faults() - begun, anonymous()
hand_back_memory()
print(json.dumps({"kept": kept, "faults": begun, "returned": before - anonymous()}))
"""


def measured(mode):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, mode], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@glibc
def test_freed_blocks_are_used_again_and_handed_back_when_asked():
    plain, kept = measured("leave"), measured("keep")
    assert kept["kept"]
    assert kept["faults"] < 0.3 * plain["faults"]
    assert kept["returned"] > 20_000 > plain["returned"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: not enough memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"),
    ],
    ids=str,
)
def test_errors_of_too_little_memory_are_known(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        torch.AcceleratorError("CUDA error: device-side assert triggered"),
        OSError(28, "out of memory on the device"),
        KeyError("out of memory"),
    ],
    ids=str,
)
def test_other_errors_are_not(error):
    assert not is_out_of_memory(error)
