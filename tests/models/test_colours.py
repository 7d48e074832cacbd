"""What the colours of certain losses tell of the rest, whatever parts a picture is cut into."""

import itertools

import pytest
import torch

from dunrestore.models import colours
from dunrestore.models.colours import (
    CAUTION,
    Evidence,
    Part,
    count_colours,
    number_of_counts,
    weigh_colours,
)
from dunrestore.models.guided import Guided, GuidedConfig
from dunrestore.models.hinet import HINetConfig

SMALL = GuidedConfig(finder_width=2, finder_depth=3, hinet=HINetConfig(width=2, in_channels=7))


def scan_with_a_loss():
    """Dark paint with a loss of light ground, and logits that see but half of the loss."""
    torch.manual_seed(0)
    x = 0.2 + 0.1 * torch.rand(3, 64, 64)
    x[:, 10:30, 10:30] = 0.8 + 0.02 * torch.rand(3, 20, 20)
    logits = torch.full((1, 64, 64), -3.0)
    logits[:, 10:30, 10:20] = 4
    logits[:, 10:30, 20:30] = -1
    return x, logits


SIZE = 64, 64
WHOLE = Part.whole(*SIZE)


def evidence_of(x, likely):
    return Evidence.of(count_colours(x, likely, WHOLE), SIZE)


def weighed(x, logits):
    return weigh_colours(x, logits, evidence_of(x, torch.sigmoid(logits[0])), WHOLE)


def test_colours_of_certain_losses_find_the_rest_and_nothing_else():
    found = weighed(*scan_with_a_loss()) > 0
    assert found[:, 10:30, 10:30].all()
    assert found.sum() == 400


def test_paint_of_another_colour_is_not_taken_for_a_loss():
    x, logits = scan_with_a_loss()
    logits[:, 40:50, 40:50] = 1  # the finder's doubt
    assert not (weighed(x, logits) > 0)[:, 40:50, 40:50].any()


def test_where_little_is_certain_colours_are_not_believed():
    x, logits = scan_with_a_loss()
    logits[:, 10:30, 10:20] = -3
    logits[:, 10:12, 10:12] = 4
    torch.testing.assert_close(weighed(x, logits), logits - CAUTION)


def parts_of(picture, across, down):
    """Parts that overlap by a pixel, which the first of both counts."""
    for top, bottom in itertools.pairwise(down):
        for left, right in itertools.pairwise(across):
            first, start = min(top, 1), min(left, 1)
            own = slice(first, bottom - top + first), slice(start, right - left + start)
            yield Part(picture, top - first, left - start, own)


@pytest.mark.parametrize("cell", [512, 20])
def test_counts_of_the_parts_sum_up_to_those_of_the_picture_in_any_order(monkeypatch, cell):
    monkeypatch.setattr(colours, "CELL", cell)
    x, logits = scan_with_a_loss()
    likely = torch.sigmoid(logits[0] + torch.rand(64, 64))
    counts = [
        count_colours(x[:, part.top :, part.left :], likely[part.top :, part.left :], part)
        for part in parts_of(SIZE, (0, 5, 40, 64), (0, 33, 64))
    ]
    whole = count_colours(x, likely, WHOLE)
    assert whole.shape == (number_of_counts(SIZE),) == (2 * 64**3 + (1 if cell == 512 else 9),)
    assert torch.equal(sum(counts), whole)
    assert torch.equal(sum(reversed(counts)), whole)
    assert whole[2 * 64**3 :].sum() == (likely > 0.9).sum()


def test_colours_are_believed_around_the_losses_of_a_large_picture(monkeypatch):
    monkeypatch.setattr(colours, "CELL", 16)
    likely = torch.zeros(128, 128)
    likely[2:6, 2:6] = 1
    part = Part.whole(128, 128)
    x = torch.rand(3, 128, 128)
    evidence = Evidence.of(count_colours(x, likely, part), (128, 128))
    belief = evidence.belief_in(part, 128, 128)
    assert (belief[:24, :24] == 1).all()
    assert (belief[40:] == 0).all()
    assert (belief[:, 40:] == 0).all()
    assert (belief.diff(dim=0).abs() <= 1 / 16).all()  # without a step
    assert (belief.diff(dim=1).abs() <= 1 / 16).all()
    inside = evidence.belief_in(Part((128, 128), 10, 20, (slice(0), slice(0))), 50, 60)
    torch.testing.assert_close(inside, belief[10:60, 20:80])
    weighed = weigh_colours(x, torch.zeros(1, 128, 128), evidence, part)
    torch.testing.assert_close(weighed[:, 40:], torch.full((1, 88, 128), -CAUTION))


def test_ground_is_the_mean_colour_of_what_is_sound():
    x, _ = scan_with_a_loss()
    lost = torch.zeros(64, 64)
    lost[10:30, 10:30] = 1
    ground = evidence_of(x, lost).ground
    expected = x[:, lost == 0].mean(dim=1).view(3, 1, 1)
    torch.testing.assert_close(ground, expected, atol=0.002, rtol=0)


def test_pictures_of_a_batch_are_weighed_by_themselves():
    network = Guided(SMALL).eval()
    network.finder = SeesHalf()
    x, _ = scan_with_a_loss()
    with torch.no_grad():
        both = network(torch.stack([x, 1 - x]))
        each = [network(one[None]) for one in (x, 1 - x)]
    for together, alone in zip(both, zip(*each, strict=True), strict=True):
        torch.testing.assert_close(together, torch.cat(alone))


def test_padding_is_no_evidence():
    network = Guided(SMALL).eval()
    network.finder = SeesHalf()
    x, _ = scan_with_a_loss()
    padded = torch.full((3, 64, 96), 0.8)
    padded[:, :, :64] = x
    with torch.no_grad():
        alone, *_ = network(x[None])
        logits, *_ = network.find(padded[None], parts=[WHOLE])
        others, *_ = network(padded[None])
    assert torch.equal(logits[..., :64], alone)
    assert not torch.equal(others[..., :64], alone)


def test_a_part_with_the_evidence_of_the_whole_is_as_in_the_whole():
    network = Guided(SMALL).eval()
    network.finder = SeesHalf()
    x, _ = scan_with_a_loss()
    with torch.no_grad():
        whole, *_ = network(x[None])
        counts, logits = network.look(x[None], None, [WHOLE])
        evidence = Evidence.of(counts, SIZE)
        upper = Part(SIZE, 0, 0, (slice(0, 32), slice(0, 64)))
        part, *_ = network.find(x[None, :, :32], None, [upper], evidence)
        seen, *_ = network.find(x[None, :, :32], None, [upper], evidence, logits[..., :32, :])
        alone, *_ = network(x[None, :, :32])
    assert torch.equal(part, whole[..., :32, :])
    assert torch.equal(seen, part)
    assert not torch.equal(alone, part)


class SeesHalf(torch.nn.Module):
    """Finds the left half of the loss of ``scan_with_a_loss``, in any part that begins alike."""

    def forward(self, x):
        _, logits = scan_with_a_loss()
        seen = torch.full((len(x), 1, *x.shape[-2:]), -3.0)
        rows, columns = (min(a, b) for a, b in zip(seen.shape[-2:], (64, 64), strict=True))
        seen[..., :rows, :columns] = logits[:, :rows, :columns]
        return seen


def scan_with_few_losses(sound=0, certain=120):
    """A large picture with white losses in less than 1 % of it, of which so many pixels are certain
    and 30 doubtful, far away; and with so many sound pixels of that white."""
    x = torch.full((3, 600, 600), 0.3)
    logits = torch.full((1, 600, 600), -3.0)
    for row, number, logit in ((10, certain, 5.0), (500, 30, 1.0), (300, sound, -3.0)):
        x[:, row, :number] = 1
        logits[:, row, :number] = logit
    return x, logits


def found_few(x, logits):
    part = Part.whole(600, 600)
    evidence = Evidence.of(count_colours(x, torch.sigmoid(logits[0]), part), part.picture)
    assert not evidence.belief.any()
    return weigh_colours(x, logits, evidence, part)[0] > 0


def test_a_colour_that_is_mostly_lost_needs_no_caution_wherever_it_lies():
    found = found_few(*scan_with_few_losses())
    assert found.sum() == 150
    assert found[500, :30].all()


@pytest.mark.parametrize(("sound", "certain"), [(500, 120), (0, 90)])
def test_a_colour_of_sound_paint_or_of_few_pixels_does(sound, certain):
    found = found_few(*scan_with_few_losses(sound, certain))
    assert found.sum() == certain
    assert not found[500].any()


def test_doubtful_pixels_of_another_colour_need_caution_all_the_same():
    x, logits = scan_with_few_losses()
    x[:, 500, :30] = 0.9
    assert not found_few(x, logits)[500].any()
