"""The weights behind tests/data/*.npz, which anyone can draw again.

The files hold inputs and outputs of the public reference implementations. Their weights follow
from a seed alone: for every key of the state dict in sorted order, leaving out those that contain
``mean``, standard normal numbers r are drawn; a key ending in ``norm.weight`` becomes 1 + 0.1 r, a
key of more than one dimension r / sqrt(fan-in), any other 0.05 r.
"""

import math
from pathlib import Path

import numpy as np
import torch

DATA = Path(__file__).parent.parent / "data"


def draw_weights(network, seed):
    """Fill a network with the weights of ``seed``; return it in eval mode."""
    rng = np.random.default_rng(seed)
    state = network.state_dict()
    for key in sorted(state):
        if "mean" in key:
            continue
        shape = tuple(state[key].shape)
        r = rng.standard_normal(shape).astype(np.float32)
        if key.endswith("norm.weight"):
            r = 1 + 0.1 * r
        elif len(shape) > 1:
            r = r / math.sqrt(math.prod(shape[1:]))
        else:
            r = 0.05 * r
        state[key] = torch.from_numpy(r.astype(np.float32))
    network.load_state_dict(state)
    return network.eval()


def read_vectors(name):
    """A file's arrays as tensors, its numbers as int."""
    with np.load(DATA / name) as file:
        arrays = {key: file[key] for key in file.files}
    return {k: int(a) if a.ndim == 0 else torch.from_numpy(a) for k, a in arrays.items()}


def relative_error(got, expected):
    """Largest deviation over the expected output's largest magnitude."""
    return float((got - expected).abs().max() / expected.abs().max())
