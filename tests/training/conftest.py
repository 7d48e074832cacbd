import pytest
import torch


@pytest.fixture(autouse=True)
def threads():
    """Runs may set the number of threads; other tests keep theirs."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
