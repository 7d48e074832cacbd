"""Random generators that depend on a seed and on what they are for, and on nothing else."""

import hashlib

import numpy as np


def generator_for(seed: int, *subject: str | bytes | int) -> np.random.Generator:
    """A generator of its own for every subject: a file's hash, a name, a step's number.

    Which other subjects there are, and in which order they come, makes no difference.

    Args:
        seed: the user's seed.
        subject: what the generator is for; texts, bytes or numbers.
    """
    digest = hashlib.sha256(f"{seed}".encode())
    for part in subject:
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(8, "little") + data)
    return np.random.default_rng(list(np.frombuffer(digest.digest(), dtype="<u4")))
