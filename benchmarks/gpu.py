"""How fast the networks run on a CUDA device, against the published way and the device's limits.

    python benchmarks/gpu.py [--networks hinet-64 car ...] [--side 2208] [--batches 1] [--profile]

The published way: the whole picture in float32, eager, NCHW, global statistics, as PyTorch runs it
by default; convolutions then use TensorFloat-32, and the ratio is also given without it. Ours: the
runners on tiles with local statistics, in bfloat16, with the copies to the device and back, as a
picture's tiles go through them one stack after the other. Medians, all of one run. The limits: the
network's convolutions alone, in bfloat16 on the same shapes, and what share of the device's
measured bfloat16 rate (of a matrix product) ours reaches. First the runner's results are compared
with the CPU's.
"""

import argparse
import statistics
import time
from collections import deque

import numpy as np
import torch
from inference import NETWORKS, build, convolutions, mural
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dunrestore.models.colours import Part
from dunrestore.models.facts import facts
from dunrestore.models.normalisation import set_window
from dunrestore.models.runner import Runner
from dunrestore.models.several_devices import Runners
from dunrestore.restoration.change import LARGEST_ON_GPU, WINDOW

STACKS = 8
"""Of tiles, which a picture has."""
CALLS = 8
"""Of a convolution alone."""
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
HEADER = (
    "| network | tiles at once | published Mpx/s | ours Mpx/s | ratio | without TF32 |"
    " network alone | replayed as a graph | convolutions alone | of the bf16 rate | peak MB |"
)


def seconds(work, repeats=9, budget=0.8):
    """Median seconds of ``work``; what it starts on the device is waited for."""
    times, begun = [], time.perf_counter()
    for turn in range(repeats + 2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        if turn > 1:
            times.append(time.perf_counter() - start)
        if len(times) > 2 and time.perf_counter() - begun > budget:
            break
    return statistics.median(times)


def device_limits():
    """Measured FLOP/s of a bfloat16 matrix product, and bytes a second of a copy."""
    a, b = (torch.randn(8192, 8192, device=CUDA, dtype=torch.bfloat16) for _ in range(2))
    rate = 2 * 8192**3 / seconds(lambda: a @ b)
    source = torch.empty(2**30, device=CUDA, dtype=torch.uint8).random_()
    goal = torch.empty_like(source)
    return rate, 2 * 2**30 / seconds(lambda: goal.copy_(source))


@torch.inference_mode()
def limit(network, x, dtype):
    """Seconds of every convolution alone, on the shapes it has for ``x``; the network's FLOPs.

    Several calls at a time: the start of one is not waited for, as in the network.
    """
    with FlopCounterMode(display=False) as counter:
        layers = convolutions(network, x)
    total = 0.0
    for layer, inputs in layers:
        weight = layer.weight.to(dtype, memory_format=torch.channels_last)
        function = torch.conv2d if isinstance(layer, nn.Conv2d) else torch.conv_transpose2d
        for shape in inputs:
            y = torch.rand(shape, device=CUDA).to(dtype, memory_format=torch.channels_last)

            def calls(y=y, w=weight, f=function, m=layer):
                for _ in range(CALLS):
                    f(y, w, None, stride=m.stride, padding=m.padding)

            total += seconds(calls, 3) / CALLS
    return total, counter.get_total_flops()


def replayed(run, x):
    """``run(x)`` captured as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            run(x)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run(x)
    return graph.replay


@torch.inference_mode()
def measure(name, side, tiles, rate, profile):
    network = build(name).to(CUDA)
    picture = np.ascontiguousarray(mural(side), np.float32)
    set_window(network, None)
    x = torch.from_numpy(picture).to(CUDA).permute(2, 0, 1)[None].contiguous()
    published = seconds(lambda: network(x))
    tf32 = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    strict = seconds(lambda: network(x))
    torch.backends.cudnn.allow_tf32 = tf32
    batch = x.repeat(tiles, 1, 1, 1).contiguous(memory_format=torch.channels_last)
    alone_limit, flops = limit(network, batch, torch.bfloat16)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    runners = Runners(network, [CUDA], torch.bfloat16, WINDOW)
    stack = np.repeat(picture[None], tiles, axis=0), [Part.whole(side, side)] * tiles, None
    ours = seconds(lambda: deque(runners.changes([stack] * STACKS), 0)) / STACKS

    def run(batch):
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            return network(batch)[-1]

    alone = seconds(lambda: run(batch))
    peak = torch.cuda.max_memory_allocated() / 1e6
    pixels = side**2 * tiles / 1e6
    graph = "-"
    if not facts(network).has_finder:  # else it asks what was found, which no graph can
        graph = f"{pixels / seconds(replayed(run, batch)):.1f}"
    print(
        f"| {name} | {tiles} | {pixels / tiles / published:.1f} | {pixels / ours:.1f} |"
        f" {published * tiles / ours:.2f} | {strict * tiles / ours:.2f} | {pixels / alone:.1f} |"
        f" {graph} | {pixels / alone_limit:.1f} | {flops / ours / rate:.1%} |"
        f" {peak:.0f} |",
        flush=True,
    )
    if profile:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as found:
            run(batch)
            torch.cuda.synchronize()
        kernels = sorted(found.key_averages(), key=lambda k: -k.self_device_time_total)
        total = sum(k.self_device_time_total for k in kernels) or 1
        for kernel in kernels[:7]:
            share = kernel.self_device_time_total / total
            print(f"    {share:6.1%} {kernel.count:5d} x {kernel.key[:100]}")


def compare(name):
    """The runner's changes on the device against the CPU's in float32."""
    tile = np.ascontiguousarray(mural(240), np.float32)[None]
    expected = Runner(build(name), CPU, torch.float32, WINDOW).change(tile)[..., :3]
    line = [f"{name}:"]
    tf32 = torch.backends.cudnn.allow_tf32
    for title, dtype, allowed in (
        ("float32 without tf32", torch.float32, False),
        ("float32", torch.float32, tf32),
        ("bfloat16", torch.bfloat16, tf32),
    ):
        torch.backends.cudnn.allow_tf32 = allowed
        change = Runner(build(name), CUDA, dtype, WINDOW).change(tile)[..., :3]
        error = np.abs(change - expected)
        psnr = -10 * np.log10(max(float(np.square(error).mean()), 1e-12))
        line.append(f"{title} {error.max() * 255:.3f}/255 at most, {psnr:.1f} dB;")
    torch.backends.cudnn.allow_tf32 = tf32
    print(*line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--side", type=int, default=LARGEST_ON_GPU)
    parser.add_argument("--batches", type=int, nargs="+", default=[1])
    parser.add_argument("--profile", action="store_true")
    chosen = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device here")
    rate, bandwidth = device_limits()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"bfloat16 product {rate / 1e12:.0f} TFLOP/s, copy {bandwidth / 1e12:.2f} TB/s\n")
    for name in chosen.networks:
        compare(name)
    print(f"\n{HEADER}\n{'|---' * 11}|", flush=True)
    for name in chosen.networks:
        for tiles in chosen.batches:
            last = tiles == chosen.batches[-1]
            measure(name, chosen.side, tiles, rate, chosen.profile and last)


if __name__ == "__main__":
    main()
