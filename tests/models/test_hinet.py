import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dunrestore.models.hinet import HINet, HINetConfig


class Living(TorchDispatchMode):
    """Counts the bytes of the tensors that exist at the same time, at most."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self._holders = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                key, size = storage.data_ptr(), storage.nbytes()
                if key not in self._holders:
                    self._holders[key] = 0
                    self.now += size
                self._holders[key] += 1
                weakref.finalize(tensor, self._let_go, key, size)
        self.most = max(self.most, self.now)
        return out

    def _let_go(self, key, size):
        self._holders[key] -= 1
        if not self._holders[key]:
            del self._holders[key]
            self.now -= size


def test_what_the_second_stage_has_used_does_not_stay_until_the_end():
    width, side = 8, 64
    network = HINet(HINetConfig(width=width)).eval()
    with torch.inference_mode(), Living() as living:
        network(torch.zeros(1, 3, side, side))
    maps = living.most / (4 * width * side * side)
    # Kept until the end, the first stage's two paths alone (3.8 maps) would make it 11 and more.
    assert 7 < maps < 10
