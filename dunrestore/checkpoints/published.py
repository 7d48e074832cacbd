"""Published checkpoints: recognised by their keys and shapes, never by their names.

- HINet (arXiv 2105.06086): ``.pth``, the state dict under a top-level key ``params``.
- EDSR (arXiv 1707.02921): ``.pt``, a state dict; the authors' own works in the range 0..255.
- CAR (arXiv 1907.12904): a folder with ``kgn.pth`` and ``usn.pth``, every key prefixed ``module.``.
"""

import math
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from dunrestore.checkpoints.header import Description
from dunrestore.errors import ModelError, file_access_error
from dunrestore.models.car import STRIDE, CARConfig
from dunrestore.models.edsr import EDSRConfig
from dunrestore.models.hinet import HINetConfig

State = dict[str, Tensor]

KGN, USN = "kgn.pth", "usn.pth"
CAR_SUBFOLDERS = ("2x", "4x")


def read(path: Path) -> tuple[Description, State]:
    """Read a published file, or a folder with CAR's two.

    Returns:
        What the network is, and its state dict with our keys (which are the published ones without
        prefixes), for pictures in [0, 1].

    Raises:
        ModelError: if it is not a published checkpoint, with the reason.
        FileAccessError: if it cannot be opened.
    """
    if path.is_dir():
        return _read_car(path)
    content = _load_pickle(path)
    params = content.get("params")
    try:
        if isinstance(params, dict):
            return _hinet(_state(cast(dict[Any, Any], params), path))
        state = _state(content, path)
        if "head.0.weight" in state:
            return _edsr(state)
        if "kernels_weight.4.weight" in state:
            raise ModelError(
                "this is one half of CAR", path=path, next_step=f"name the folder with {KGN}, {USN}"
            )
        if "conv_01.weight" in state:
            return _hinet(state)
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise ModelError(f"a published checkpoint that lacks a part: {error}", path=path) from error
    raise ModelError("its keys are not those of HINet, EDSR or CAR", path=path)


def car_files(folder: Path) -> tuple[Path, Path]:
    """Where CAR's two files lie: in the folder, or in its subfolder ``2x`` or ``4x``.

    Raises:
        ModelError: if they are not there, or there twice.
    """
    pairs = [
        (place / KGN, place / USN)
        for place in (folder, *(folder / name for name in CAR_SUBFOLDERS))
        if (place / KGN).is_file() or (place / USN).is_file()
    ]
    if not pairs:
        raise ModelError(f"the folder holds no {KGN} and {USN}", path=folder)
    if len(pairs) > 1:
        raise ModelError(
            "the folder holds CAR twice",
            path=folder,
            next_step="name one: " + " or ".join(str(kgn.parent) for kgn, _ in pairs),
        )
    for part in pairs[0]:
        if not part.is_file():
            raise ModelError(f"{part.name} is missing", path=part.parent)
    return pairs[0]


def _read_car(folder: Path) -> tuple[Description, State]:
    kgn_path, usn_path = car_files(folder)
    kgn = _state(_load_pickle(kgn_path), kgn_path)
    usn = _state(_load_pickle(usn_path), usn_path)
    try:
        config = asdict(_car_config(kgn, _edsr_config(usn)))
        usn = _in_unit_range(usn)
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise ModelError(f"not CAR's published pair: {error}", path=folder) from error
    state = {f"kgn.{name}": t for name, t in kgn.items()}
    state |= {f"usn.{name}": t for name, t in usn.items()}
    return Description("car", config, {}), state


def _load_pickle(path: Path) -> dict[Any, Any]:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise file_access_error(error, path) from error
    if not start:
        raise ModelError("the file is empty", path=path)
    if start.lstrip()[:1] == b"<":
        raise ModelError("this is a web page, not a model", path=path)
    if start[:4] == b"PK\x03\x04":
        _refuse_packed(path, size)
    elif start[:1] != b"\x80":
        raise ModelError("neither a safetensors file nor a PyTorch checkpoint", path=path)
    try:
        # weights_only: the file may contain tensors and plain containers, and can run nothing.
        with warnings.catch_warnings(action="ignore"):  # of a file that is refused, or is good
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken pickle may raise whatever its bytes happen to say
        raise ModelError(
            "cannot be read as a PyTorch checkpoint: it is cut short, or holds more than numbers",
            path=path,
        ) from error
    if not isinstance(content, dict):
        raise ModelError("the PyTorch file holds no state dict", path=path)
    return cast(dict[Any, Any], content)


def _refuse_packed(path: Path, size: int) -> None:
    # PyTorch stores without compression; a compressed member can claim any size.
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(f"cut short or broken: {error}", path=path) from error
    if claimed > size:
        raise ModelError("the archive claims more data than it holds", path=path)


def _state(content: Mapping[Any, Any], path: Path) -> State:
    if bad := [str(k) for k, t in content.items() if not isinstance(t, Tensor)]:
        raise ModelError(f"holds something that is not a tensor: {bad[0]}", path=path)
    state = {str(key): cast(Tensor, tensor) for key, tensor in content.items()}
    # A view may claim to be larger than the numbers that are stored for it.
    if sum(t.numel() * t.element_size() for t in state.values()) > path.stat().st_size:
        raise ModelError("claims more weights than it holds", path=path)
    if state and all(key.startswith("module.") for key in state):
        return {key.removeprefix("module."): t for key, t in state.items()}
    return state


def _numbers(keys: Iterable[str], pattern: str) -> list[int]:
    found = (re.fullmatch(pattern, key) for key in keys)
    return sorted(int(match[1]) for match in found if match)


def _hinet(state: State) -> tuple[Description, State]:
    width, channels = state["conv_01.weight"].shape[:2]
    levels = _numbers(state, r"down_path_1\.(\d+)\.norm\.weight") or [1, 0]
    config = HINetConfig(
        width=width,
        depth=len(_numbers(state, r"down_path_1\.(\d+)\.identity\.weight")),
        hin_first=levels[0],
        hin_last=levels[-1],
        in_channels=channels,
    )
    return Description("hinet", asdict(config), {}), state


def _edsr(state: State) -> tuple[Description, State]:
    return Description("edsr", asdict(_edsr_config(state)), {}), _in_unit_range(state)


def _edsr_config(state: State) -> EDSRConfig:
    return EDSRConfig(
        blocks=len(_numbers(state, r"body\.(\d+)\.body\.0\.weight")),
        features=state["head.0.weight"].shape[0],
        scale=2 ** len(_numbers(state, r"tail\.0\.(\d+)\.weight")),
    )


def _in_unit_range(state: State) -> State:
    # sub_mean.bias is minus the mean colour, about 0.4 in [0, 1] and 110 in 0..255. EDSR without
    # its biases is positively homogeneous, so dividing every bias by 255 changes the range exactly.
    if state["sub_mean.bias"].abs().max() < 2:
        return state
    return {name: t / 255 if name.endswith("bias") else t for name, t in state.items()}


def _car_config(kgn: State, edsr: EDSRConfig) -> CARConfig:
    if kgn["sub_mean.bias"].abs().max() >= 2:
        raise ValueError("the kernel generator is not for pictures in [0, 1]")
    grown, channels = kgn["kernels_trunk.9.upsample.0.weight"].shape[:2]
    return CARConfig(
        kernel=math.isqrt(kgn["kernels_weight.4.weight"].shape[0]),
        scale=STRIDE // math.isqrt(grown // channels),
        width=kgn["ds_2.downsample.1.weight"].shape[0],
        residual_blocks=len(_numbers(kgn, r"res_4\.(\d+)\.transform\.1\.weight")),
        edsr=edsr,
    )
