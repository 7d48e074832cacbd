import threading
import time

import pytest

from dunrestore.datasets.prefetch import prefetched


def test_items_come_in_order_and_ahead_of_time():
    made = []

    def make(i):
        made.append((i, threading.current_thread().name))
        return i * i

    with prefetched(make, 3, 9, depth=2) as items:
        assert next(items) == 9
        time.sleep(0.05)
        assert [i for i, _ in made] == [3, 4, 5]
        assert list(items) == [16, 25, 36, 49, 64]
    assert all(name.startswith("prefetch") for _, name in made)


def test_an_error_is_raised_where_its_item_is_taken():
    def make(i):
        if i == 2:
            raise ValueError("third")
        return i

    with prefetched(make, 0, 5) as items:
        assert [next(items), next(items)] == [0, 1]
        with pytest.raises(ValueError, match="third"):
            next(items)


def test_leaving_early_does_not_wait_for_the_rest():
    made = []
    with prefetched(made.append, 0, 1000, depth=2) as items:
        next(items)
    assert len(made) < 10
