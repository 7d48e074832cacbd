"""What training makes small: stages of pictures against the truth, weighted inside the losses."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from dunrestore.training.config import TrainConfig

EPS = 1e-3
"""Charbonnier's rounding of the corner at zero."""


def stages_loss(
    stages: Sequence[Tensor], target: Tensor, mask: Tensor, config: TrainConfig
) -> Tensor:
    """The loss over all the pictures that a stage of training supervises.

    A mean over samples and pixels without any normalisation by the batch, so that parts of a
    batch on several processes average to the whole batch's.

    Args:
        stages: what the network returned: pictures (B, 3, H, W); logits (B, 1, H, W) of where the
            picture is lost, if there are any, count as found against the mask.
        target: (B, 3, H, W) RGB in [0, 1].
        mask: (B, 1, H, W), 1 where the input is damaged.
        config: says which loss and how it is weighted.
    """
    weight = config.sound_weight + (config.mask_weight - config.sound_weight) * mask
    total = target.new_zeros(())
    for number, stage in enumerate(stages):
        share = 1.0 if number == len(stages) - 1 else config.first_stage_weight
        if stage.shape[1] == 1:
            found = F.binary_cross_entropy_with_logits(stage.float(), mask)
            total = total + config.finder_weight * found
        elif share:
            kind, floor = config.loss, config.psnr_floor
            total = total + share * picture_loss(stage.float(), target, weight, kind, floor)
    return total


def picture_loss(
    picture: Tensor, target: Tensor, weight: Tensor, kind: str, floor: float = 1e-8
) -> Tensor:
    """One picture's loss.

    Args:
        picture: (B, 3, H, W).
        target: (B, 3, H, W).
        weight: (B, 1, H, W), every pixel's weight.
        kind: ``l1``; ``charbonnier``, its smooth form; ``psnr``, HINet's: half the negative
            peak signal-to-noise ratio in dB, of the weighted mean error.
        floor: with ``psnr``, the mean squared error below which little more is gained.
    """
    difference = picture - target
    if kind == "l1":
        return (difference.abs() * weight).mean()
    if kind == "charbonnier":
        return (torch.sqrt(difference.square() + EPS**2) * weight).mean()
    total = weight.mean(dim=(1, 2, 3)).clamp_min(1e-8)  # a sound patch may weigh nothing
    error = (difference.square() * weight).mean(dim=(1, 2, 3)) / total
    return 0.5 * 10 / math.log(10) * torch.log(error + floor).mean()
