"""Versions, and what is missing or does not fit."""

import importlib
import platform
import subprocess
import sys
from collections.abc import Iterator

from dunrestore.diagnosis.findings import Finding
from dunrestore.errors import one_line
from dunrestore.stamps import version_of

ESSENTIAL = {
    "torch": "torch",
    "numpy": "numpy",
    "pillow": "PIL.Image",
    "tifffile": "tifffile",
    "imagecodecs": "imagecodecs",
    "simplejpeg": "simplejpeg",
    "safetensors": "safetensors.torch",
}
"""Packages without which nothing is restored, and what of them is imported to see that it works."""

OTHERS = ("typer", "rich", "torchvision", "lpips", "opencv-python-headless", "tensorboard")


def versions() -> Iterator[Finding]:
    """Python, this program, and the packages."""
    yield Finding("versions", "dunrestore", version_of("dunrestore") or "not installed")
    system = platform.platform()
    yield Finding("versions", "python", f"{platform.python_version()} on {system}")
    for name, module in ESSENTIAL.items():
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken shared library raises anything
            advice = f"`pip install --force-reinstall {name}`"
            yield Finding("versions", name, one_line(error), "broken", advice)
        else:
            yield Finding("versions", name, version_of(name) or "of unknown version")
    for name in OTHERS:
        if found := version_of(name):
            yield Finding("versions", name, found)


def extras() -> Iterator[Finding]:
    """What only some commands need."""
    yield from _gpu_kernels()
    yield _torchvision()
    yield _lpips_heads()
    for name, use in (
        ("opencv-python-headless", "the classical fills of `dunrestore bench`"),
        ("tensorboard", "curves of `dunrestore train`"),
    ):
        if not version_of(name):
            advice = f"`pip install {name}` for {use}"
            yield Finding("extras", name, "not installed", "note", advice)


def _gpu_kernels() -> Iterator[Finding]:
    import torch

    if not torch.cuda.is_available():
        return
    from dunrestore.models.passes import why_without_kernels

    if reason := why_without_kernels(torch.device("cuda", 0)):
        advice = (
            "networks take 1.2 to 1.6 times as long in half precision without them: they need"
            " `pip install triton` and a C compiler, such as gcc"
        )
        yield Finding("extras", "GPU kernels", reason, "note", advice)
    else:
        yield Finding("extras", "GPU kernels", "compiled")


def _torchvision() -> Finding:
    """In a process of its own: torchvision's libraries may be of another torch."""
    if not version_of("torchvision"):
        value = "not installed; dunrestore does not need it"
        return Finding("extras", "torchvision", value)
    done = subprocess.run(
        [sys.executable, "-c", "import torchvision"],
        capture_output=True,
        text=True,
        timeout=60,
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return Finding("extras", "torchvision", "fits the installed torch")
    last = ([line for line in done.stderr.splitlines() if line.strip()] or ["it crashes"])[-1]
    torch = version_of("torch").partition("+")[0]
    advice = (
        "it was built for another torch; dunrestore does without it, other programs here do not:"
        f' `pip install --force-reinstall torchvision "torch=={torch}"` gets one that fits'
    )
    return Finding("extras", "torchvision", last, "note", advice)


def _lpips_heads() -> Finding:
    from dunrestore.metrics.lpips import load_heads

    try:
        load_heads()
    except Exception as error:  # a broken package raises anything
        advice = "`pip install --force-reinstall --no-deps lpips`, for the metric LPIPS"
        return Finding("extras", "lpips", one_line(error), "problem", advice)
    return Finding("extras", "lpips", "its linear heads can be read")
