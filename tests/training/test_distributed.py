import pytest

from dunrestore.errors import ConfigError
from dunrestore.training.distributed import World


def test_processes_share_a_batch_without_gap_or_overlap():
    parts = [World(rank, 3).share(7, 12, 2) for rank in range(3)]
    assert [list(r) for ranges in parts for r in ranges] == [
        [84, 85], [86, 87], [88, 89], [90, 91], [92, 93], [94, 95]
    ]  # fmt: skip
    assert World().share(7, 12, 1) == [range(84, 96)]


@pytest.mark.parametrize(("size", "batch", "parts"), [(3, 8, 1), (2, 4, 3), (5, 4, 1)])
def test_a_batch_that_cannot_be_shared_is_refused(size, batch, parts):
    with pytest.raises(ConfigError, match="cannot be shared"):
        World(0, size).share(0, batch, parts)
