"""A network with a finder that the package does not know: what its config declares is enough."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from dunrestore.models.colours import count_colours
from dunrestore.restoration.change import plan_tiles
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.picture import restore_picture
from tests.restoration.networks import ToyConfig


@dataclass(frozen=True)
class FindsWhiteConfig(ToyConfig):
    has_finder = True
    overlap = 96


class FindsWhite(torch.nn.Module):
    """Paints over what is white, or lost; it remembers whether it knew the whole picture."""

    def __init__(self):
        super().__init__()
        self.config, self.seen = FindsWhiteConfig(), []

    def look(self, x, lost, parts):
        logits = (x.amin(1, keepdim=True) - 0.95) * 400 if lost is None else None
        likely = torch.sigmoid(logits) if lost is None else lost
        return torch.stack(list(map(count_colours, x, likely[:, 0], parts))).sum(0), logits

    def find(self, x, lost=None, parts=None, evidence=None, found=None):
        self.seen.append(evidence is not None)
        if found is None:
            _, found = self.look(x, None, parts)
        return found, (found > 0 if lost is None else lost).float(), None

    def refine(self, x, mask, ground):
        return (torch.where(mask > 0, 0.4, x),)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("tile", [96, 0])
def test_it_looks_first_takes_a_mask_and_says_what_it_found(tile, given):
    picture = np.random.default_rng(0).random((150, 210, 3), np.float32) * 0.9
    lost = np.zeros((150, 210), bool)
    lost[20:50, 60:150] = True
    if not given:
        picture[lost] = 1
    options = RestoreOptions(tile=tile, device="cpu", precision="fp32", preserve="always")
    network = FindsWhite()
    found = restore_picture(picture, network, options, lost=lost if given else None)
    assert np.allclose((picture + found.proposal.change)[lost], 0.4)
    assert np.array_equal(found.losses & lost, lost)
    assert found.proposal.damage is not None
    assert network.seen == [True] * len(network.seen)


def test_its_own_overlap_counts():
    _, overlap = plan_tiles((1000, 1000), FindsWhite(), RestoreOptions(tile=480), 480)
    assert overlap == 96
