import numpy as np
import pytest
from scipy.ndimage import label

from dunrestore.degradations.random_walk import random_walk_mask


@pytest.mark.parametrize("coverage", [0.02, 0.1, 0.33])
def test_clusters_are_lacy(coverage):
    mask = random_walk_mask(256, 256, coverage, np.random.default_rng(0))
    assert mask.sum() == round(coverage * mask.size)
    edges = (mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum()
    assert edges / mask.sum() > 0.3, "blots, not lace"
    _, pieces = label(mask, np.ones((3, 3)))
    assert pieces < 0.05 * mask.sum(), "noise, not clusters"
