import os
import threading
import time

import pytest

from dunrestore.imaging import in_bands
from dunrestore.imaging.in_bands import each_band, on_each_band, processors
from dunrestore.imaging.rows import AT_ONCE, bands

WIDTH = 1 << 15  # bands of 32 rows


@pytest.fixture(autouse=True)
def four_processors(monkeypatch):
    monkeypatch.setattr(in_bands, "processors", lambda: 4)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


class Crowd:
    """How many are inside at the same time, at most."""

    def __init__(self):
        self.inside = self.most = 0
        self._lock = threading.Lock()

    def __enter__(self):
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        return self

    def __exit__(self, *_):
        with self._lock:
            self.inside -= 1


def test_results_come_in_the_order_of_the_bands_though_later_ones_are_done_first():
    done = []

    def work(rows):
        time.sleep(0.05 if rows.start == 0 else 0)
        done.append(rows)
        return rows

    found = list(each_band(work, 1000, WIDTH, multiple=16))
    assert found == list(bands(1000, WIDTH, multiple=16))
    assert len(found) == 32
    assert done[0] != found[0]


def test_as_many_bands_are_worked_on_as_there_are_processors():
    crowd = Crowd()

    def work(_):
        with crowd:
            time.sleep(0.01)

    on_each_band(work, 1000, WIDTH)
    assert crowd.most == 4


@pytest.mark.parametrize(("width", "most"), [(4 * AT_ONCE // 32, 2), (16 * AT_ONCE // 32, 1)])
def test_wide_bands_take_turns_so_that_they_fit_the_memory(width, most):
    crowd = Crowd()

    def work(_):
        with crowd:
            time.sleep(0.01)

    on_each_band(work, 320, width)
    assert crowd.most == most


def test_a_failure_comes_up_in_its_turn_and_leaves_nothing_at_work():
    crowd = Crowd()

    def work(rows):
        with crowd:
            time.sleep(0.01)
            if rows.start == 64:
                raise ValueError("the third")
        return rows.start

    found = each_band(work, 32 * 100, WIDTH)
    assert (next(found), next(found)) == (0, 32)
    with pytest.raises(ValueError, match="the third"):
        next(found)
    assert crowd.inside == 0


def test_whoever_stops_listening_stops_the_work():
    begun = []

    def work(rows):
        time.sleep(0.01)
        begun.append(rows)

    for _ in each_band(work, 32 * 100, WIDTH):
        break
    count = len(begun)
    time.sleep(0.05)
    assert len(begun) == count < 10


def test_a_single_band_is_worked_on_by_the_caller():
    found = list(each_band(lambda _: threading.current_thread(), 20, 20))
    assert found == [threading.current_thread()]
    assert list(each_band(lambda rows: rows, 0, 20)) == []


def test_processors_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert processors() == 1
    for none in ("", "0", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", none)
        assert 1 <= processors() <= (os.cpu_count() or 1)
