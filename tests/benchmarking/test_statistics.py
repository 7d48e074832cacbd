import numpy as np
import pytest

from dunrestore.benchmarking.statistics import (
    bootstrap_interval,
    paired_differences,
    summarise,
    turned,
)


def test_mean_and_median_skip_what_is_missing():
    assert summarise([1.0, None, 2.0, 6.0]) == summarise([6.0, 2.0, 1.0])
    found = summarise([1.0, None, 2.0, 6.0])
    assert (found.mean, found.median, found.count) == (3.0, 2.0, 3)
    assert summarise([None, None]) is None


def test_the_interval_is_that_of_a_plain_bootstrap():
    values = np.random.default_rng(1).normal(0.3, 1, 40)
    rng = np.random.default_rng(2)
    means = [values[rng.integers(0, 40, 40)].mean() for _ in range(20_000)]
    low, high = bootstrap_interval(values)
    assert low == pytest.approx(np.percentile(means, 2.5), abs=0.02)
    assert high == pytest.approx(np.percentile(means, 97.5), abs=0.02)
    assert bootstrap_interval(values) == (low, high)


def test_it_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    intervals = [bootstrap_interval(rng.normal(1, 2, 40)) for _ in range(300)]
    covered = np.mean([low <= 1 <= high for low, high in intervals])
    assert 0.90 <= covered <= 0.98


def test_nothing_is_called_better_when_the_interval_holds_zero():
    rng = np.random.default_rng(0)
    base = rng.normal(30, 3, 30)
    values = {
        "base": base.tolist(),
        "same": (base + rng.normal(0, 1, 30)).tolist(),
        "higher": (base + 0.5 + rng.normal(0, 0.2, 30)).tolist(),
    }
    found = {
        (d.first, d.second): d for d in paired_differences(values, "psnr", higher_is_better=True)
    }
    same, higher = found["base", "same"], found["base", "higher"]
    assert same.low < 0 < same.high
    assert same.verdict == "no difference"
    assert higher.high < 0
    assert higher.verdict == "worse"
    assert turned(higher).verdict == "better"
    assert (turned(higher).low, turned(higher).high) == (-higher.high, -higher.low)
    lower_wins = paired_differences(values, "lpips", higher_is_better=False)
    assert next(d.verdict for d in lower_wins if d.second == "higher") == "better"


def test_equal_values_are_no_difference():
    (found,) = paired_differences({"a": [1.0] * 9, "b": [1.0] * 9}, "psnr", higher_is_better=True)
    assert (found.low, found.high, found.verdict) == (0, 0, "no difference")


def test_differences_are_paired_by_picture_and_need_enough_of_them():
    values = {"a": [1.0, 5.0, None, 9.0], "b": [0.0, None, 3.0, 8.0], "c": [None] * 4}
    (found,) = paired_differences(values, "psnr", higher_is_better=True)
    assert (found.mean, found.count) == (1.0, 2)
    assert (found.low, found.high, found.verdict) == (None, None, "too few pictures")
