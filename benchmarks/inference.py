"""How fast the networks run on this processor, against the published way of running them.

    python benchmarks/inference.py [--networks hinet-64 car ...] [--megapixels 1] [--repeats 2]

The published way: the whole picture in float32, eager, NCHW, global statistics. Ours: the runner on
tiles with local statistics in the given precision. Blocks of both take turns in each network's own
processes; the best of each counts. Seconds are processor time of one thread unless --threads says
otherwise, so that other work on the machine falls out of the ratio. The limit: every convolution of
the network alone, in the same precision, channels last, on the shapes of our tiles.
"""

import argparse
import multiprocessing
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dunrestore.checkpoints.load import load
from dunrestore.datasets.painter import paint_mural
from dunrestore.degradations.recipes import RECIPES, degrade
from dunrestore.imaging import tiling
from dunrestore.models.car import CAR, CARConfig
from dunrestore.models.devices import DTYPES
from dunrestore.models.guided import Guided, GuidedConfig
from dunrestore.models.hinet import HINet, HINetConfig
from dunrestore.models.normalisation import set_window
from dunrestore.models.runner import Runner
from dunrestore.restoration.change import LARGEST_TILE, WINDOW, plan_tiles
from dunrestore.restoration.options import RestoreOptions

CPU = torch.device("cpu")
NETWORKS = {
    "hinet-64": lambda: HINet(HINetConfig()),
    "car": lambda: CAR(CARConfig()),
    "hinet-db": lambda: load("hinet-db").network,
    "arin": lambda: load("arin").network,
    "guided-16": lambda: Guided(GuidedConfig(hinet=HINetConfig(width=16, in_channels=7))),
    "guided-32": lambda: Guided(GuidedConfig(16, 5, hinet=HINetConfig(32, 4, in_channels=7))),
}
HEADER = "| network | precision | tile | Mpx/s | ratio | PSNR (dB) | of limit | peak MB (theirs) |"


def build(name: str) -> nn.Module:
    torch.manual_seed(0)  # the two without published weights here: drawn ones
    return NETWORKS[name]().eval().requires_grad_(False)


def mural(side: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return degrade(paint_mural(side, side, rng), RECIPES["challenge"], rng).picture


@torch.inference_mode()
def published(network: nn.Module, picture: np.ndarray) -> np.ndarray:
    set_window(network, None)
    x = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None].contiguous()
    return network(x)[-1].clamp(0, 1)[0].permute(1, 2, 0).numpy()


def ours(runner: Runner, picture: np.ndarray, tile: int) -> np.ndarray:
    whole = max(picture.shape) <= tile
    set_window(runner.network, None if whole else WINDOW)
    plan, _ = plan_tiles(picture.shape[:2], runner.network, RestoreOptions(tile=tile), tile)
    changes = ((t, runner.change(tiling.extract(picture, t)[None])[0]) for t in plan.tiles())
    change = tiling.blend(plan, changes)[..., :3]
    return picture + change


def convolutions(network: nn.Module, x: torch.Tensor) -> list[tuple[nn.Module, list[torch.Size]]]:
    """Every convolution of the network, and the shapes of what it gets when the network gets x."""
    shapes: dict[int, tuple[nn.Module, list[torch.Size]]] = {}

    def note(layer, inputs, _output) -> None:
        shapes.setdefault(id(layer), (layer, []))[1].append(inputs[0].shape)

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    network(x)
    for hook in hooks:
        hook.remove()
    return list(shapes.values())


@torch.inference_mode()
def limit(network: nn.Module, side: int, dtype: torch.dtype, repeats: int) -> float:
    """Processor seconds of every convolution alone, on its shapes in one tile."""
    total = 0.0
    for layer, inputs in convolutions(network, torch.rand(1, 3, side, side)):
        weight = layer.weight.to(dtype, memory_format=torch.channels_last)
        bias = None if layer.bias is None else layer.bias.to(dtype)
        function = torch.conv2d if isinstance(layer, nn.Conv2d) else torch.conv_transpose2d
        for shape in inputs:
            x = torch.rand(shape).to(dtype, memory_format=torch.channels_last)
            total += best(
                lambda x=x, w=weight, b=bias, f=function, m=layer: f(
                    x, w, b, stride=m.stride, padding=m.padding
                ),
                repeats + 1,
            )
    return total


def seconds(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def best(work, repeats: int) -> float:
    return min(seconds(work) for _ in range(repeats))


def peak() -> float:
    """Largest resident memory of this process in MB (ru_maxrss would begin with the parent's)."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) / 1024


def serve(pipe, name, way, precision, side, tile, threads) -> None:
    """One way of running a network in a process of its own, so that its peak memory is its own."""
    torch.set_num_threads(threads)
    network, picture = build(name), mural(side).astype(np.float32)
    before = peak()
    if way == "published":
        work = lambda: published(network, picture)  # noqa: E731
    else:
        runner = Runner(network, CPU, DTYPES[precision])
        work = lambda: ours(runner, picture, tile)  # noqa: E731
    while pipe.recv():
        start = time.process_time()
        result = work()
        pipe.send((time.process_time() - start, result, peak() - before))
    pipe.close()


def measure(name, precision, side, tile, threads, repeats) -> str:
    context = multiprocessing.get_context("spawn")
    took, results, peaks = {}, {}, {}
    workers = {}
    for way in ("published", "ours"):
        here, there = context.Pipe()
        arguments = (there, name, way, precision, side, tile, threads)
        workers[way] = (context.Process(target=serve, args=arguments, daemon=True), here)
        workers[way][0].start()
    for _ in range(repeats):
        for way, (_, pipe) in workers.items():
            pipe.send(True)
            spent, results[way], peaks[way] = pipe.recv()
            took[way] = min(took.get(way, spent), spent)
    for process, pipe in workers.values():
        pipe.send(False)
        process.join()
    mse = np.square(results["ours"] - results["published"]).mean()
    one = ours_tile_share(side, tile, name)
    alone = limit(build(name), min(tile, one[1]), DTYPES[precision], repeats)
    fraction = alone * one[0] / took["ours"]
    return (
        f"| {name} | {precision} | {tile} | {side**2 / 1e6 / took['ours']:.3f} |"
        f" {took['published'] / took['ours']:.2f} | {-10 * np.log10(max(mse, 1e-10)):.1f} |"
        f" {fraction:.0%} | {peaks['ours']:.0f} ({peaks['published']:.0f}) |"
    )


def ours_tile_share(side: int, tile: int, name: str) -> tuple[int, int]:
    """How many tiles our way computes, and their side."""
    plan, _ = plan_tiles((side, side), build(name), RestoreOptions(tile=tile), tile)
    return plan.count, plan.largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=["bf16"])
    parser.add_argument("--megapixels", type=float, default=1.0)
    parser.add_argument("--tile", type=int, default=LARGEST_TILE)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    side = round((chosen.megapixels * 1e6) ** 0.5 / 48) * 48
    print(f"{side} x {side} pixels, {chosen.threads} threads, best of {chosen.repeats}\n\n{HEADER}")
    print("|---" * 8 + "|", flush=True)
    for name in chosen.networks:
        for precision in chosen.precisions:
            print(
                measure(name, precision, side, chosen.tile, chosen.threads, chosen.repeats),
                flush=True,
            )


if __name__ == "__main__":
    main()
