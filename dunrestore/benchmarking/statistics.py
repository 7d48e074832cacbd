"""Averages over pictures, and how sure a difference between two methods is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
"""Bootstrap samples; the 2.5th percentile then rests on 250 of them."""

FEWEST = 6
"""With fewer pairs of pictures no interval is given: it would be far too narrow."""

SEED = 20240226
"""Of the bootstrap: two runs over the same figures give the same intervals."""

Verdict = Literal["better", "worse", "no difference", "too few pictures"]


@dataclass(frozen=True)
class Summary:
    """One quantity of one method over the pictures that have it."""

    mean: float
    median: float
    count: int


@dataclass(frozen=True)
class Difference:
    """The paired difference of one quantity, first minus second method.

    Attributes:
        mean: over the pictures that both methods have.
        low: lower end of the 95 % bootstrap interval; None with fewer than ``FEWEST`` pictures.
        high: upper end.
        count: number of pictures.
        verdict: what may be said of the first method; never better or worse where the interval
            holds zero.
    """

    first: str
    second: str
    quantity: str
    mean: float
    low: float | None
    high: float | None
    count: int
    verdict: Verdict


def summarise(values: Sequence[float | None]) -> Summary | None:
    """Mean and median of the values that are there; None if none is."""
    there = np.array([value for value in values if value is not None])
    if not there.size:
        return None
    return Summary(float(there.mean()), float(np.median(there)), int(there.size))


def paired_differences(
    values: Mapping[str, Sequence[float | None]], quantity: str, *, higher_is_better: bool
) -> list[Difference]:
    """Compare every two methods on the pictures that both have.

    Percentile bootstrap over pictures (B. Efron and R. Tibshirani, "An Introduction to the
    Bootstrap", 1993). Pictures are taken as independent; crops of one wall are not, and then the
    interval is too narrow.

    Args:
        values: for each method its values, the pictures in the same order.
        quantity: the name that the differences carry.
        higher_is_better: whether more is better.
    """
    found: list[Difference] = []
    for first, second in combinations(values, 2):
        pairs = zip(values[first], values[second], strict=True)
        differences = np.array([a - b for a, b in pairs if a is not None and b is not None])
        if not differences.size:
            continue
        mean, count = float(differences.mean()), int(differences.size)
        if count < FEWEST:
            made = Difference(first, second, quantity, mean, None, None, count, "too few pictures")
        else:
            low, high = bootstrap_interval(differences)
            verdict = _verdict(low, high, higher_is_better=higher_is_better)
            made = Difference(first, second, quantity, mean, low, high, count, verdict)
        found.append(made)
    return found


def bootstrap_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % percentile interval of the mean of ``values`` (N,)."""
    means = _resampling_weights(values.size) @ values
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


@cache
def _resampling_weights(count: int) -> NDArray[np.float64]:
    """(RESAMPLES, count): how much each value counts in each resample's mean."""
    rng = np.random.default_rng(SEED)
    return rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count


def _verdict(low: float, high: float, *, higher_is_better: bool) -> Verdict:
    if low <= 0 <= high:
        return "no difference"
    return "better" if (low > 0) == higher_is_better else "worse"


def turned(difference: Difference) -> Difference:
    """The same difference seen from the second method."""
    mirror: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}
    low = None if difference.high is None else -difference.high
    high = None if difference.low is None else -difference.low
    return Difference(
        difference.second,
        difference.first,
        difference.quantity,
        -difference.mean,
        low,
        high,
        difference.count,
        mirror.get(difference.verdict, difference.verdict),
    )
