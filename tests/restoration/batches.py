"""Small scans, a toy model, and the command over them."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from dunrestore.checkpoints.load import Model
from dunrestore.cli.app import run as run_command
from dunrestore.provenance import record
from dunrestore.restoration.batch.run import BatchOptions, Run
from dunrestore.restoration.source import FileOptions
from tests.restoration.networks import Toy, fill_white

EPOCH = "1700000000"


def toy_model(function=fill_white, sha256="0" * 64):
    return Model("toy", "hinet", Toy(function), {"licence": "MIT"}, sha256, Path("toy"))


def scan(seed=0, height=24, width=32):
    """(H, W, 3) uint8, dark noise with a white loss."""
    picture = np.random.default_rng(seed).integers(0, 180, (height, width, 3), np.uint8)
    picture[height // 3 : height // 2, width // 4 : width // 2] = 255
    return picture


class Told:
    """Tells a function how far a file has come, and keeps what it raises to stop the run."""

    def __init__(self, progress):
        self.progress, self.raised = progress, None

    def start_picture(self, name):
        pass

    def advance(self, advance):
        try:
            self.progress(advance)
        except BaseException as error:
            self.raised = error
            raise


def restore_file(job, model, options, file_options=None, progress=lambda _: None, existing="abort"):
    """Restore one file as the command does; its result, or what went wrong."""
    told = Told(progress)
    batch = BatchOptions(existing)
    with Run(model, options, file_options or FileOptions(), batch, None, told) as run:
        outcomes = list(run.restore([job]))
    if told.raised is not None:
        raise told.raised
    (outcome,) = outcomes
    if outcome.error is not None:
        raise outcome.error
    return outcome.result


def make_scans(folder, names):
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scan(seed)).save(path)
    return folder


def use_toy(monkeypatch, model=None):
    """Let the command load a toy model, whatever it is called."""
    loaded = model or toy_model()
    monkeypatch.setattr("dunrestore.checkpoints.load.load", lambda *_, **__: loaded)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    return loaded


def restore(inputs, output, *more):
    """Exit code of the command, on the CPU in float32."""
    arguments = ["restore", str(inputs), "-o", str(output), "-r", "-d", "cpu"]
    return run_command([*arguments, "--precision", "fp32", *map(str, more)])


def remove(output):
    """Remove an output with its record."""
    output.unlink()
    record.path_of(output).unlink()


def pictures(folder):
    """Bytes of all restored pictures by their path inside the folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".png", ".tif", ".jpg") and ".changes" not in path.name
    }


def everything(folder):
    """Bytes of all files of a folder that is not to change."""
    return {
        os.fspath(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
