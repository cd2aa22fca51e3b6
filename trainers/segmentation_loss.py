"""Robust losses on what nnU-Net trains with: targets with a channel, regions, soft Dice beside."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

#: The label of ignored pixels of a region, which is a problem of the classes 0 and 1.
REGION_IGNORE = 2

#: nnU-Net's soft Dice: logits, target and which pixels count -> minus Dice.
Dice = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class SegmentationLoss(nn.Module):
    """A robust loss of labels, and nnU-Net's soft Dice times a weight where there is one.

    Called with logits `(B, K, *S)` and labels `(B, 1, *S)`, of any dtype. What each term last came
    to at each scale is in `terms`, for the message when one of them is not finite.

    Args:
        loss: From `anl_seg.losses.create`, with the ignore label if there is one.
        ignore_label: Label that does not count, or None.
        dice: nnU-Net's own Dice term, or None for none.
        dice_weight: Its weight.
    """

    def __init__(
        self,
        loss: nn.Module,
        *,
        ignore_label: int | None,
        dice: Dice | None = None,
        dice_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.ignore_label = ignore_label
        self.dice = dice
        self.dice_weight = dice_weight
        self.terms: dict[str, Tensor] = {}

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss over pixels that are not ignored, a float32 scalar."""
        loss = self.robust(logits, target)
        scale = "x".join(map(str, logits.shape[2:]))
        self.terms[f"robust loss at {scale}"] = loss.detach()
        if self.dice is None:
            return loss
        dice = self.dice_weight * self.dice(logits, *self.split(target))
        self.terms[f"soft Dice at {scale}"] = dice.detach()
        return loss + dice

    def robust(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the robust loss alone."""
        return self.loss(logits, target[:, 0].long())

    def split(self, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the target without ignored labels, and which pixels count (None: all)."""
        if self.ignore_label is None:
            return target, None
        counts = target != self.ignore_label
        return target.where(counts, 0), counts


class RegionLoss(SegmentationLoss):
    """The same for regions: each is a two-class problem on its sigmoid, the probabilities p, 1 - p.

    Called with logits `(B, R, *S)`, one a region, which may overlap, and targets `(B, R, *S)` of 0
    and 1, or `(B, R + 1, *S)` where the last channel says what is ignored. The loss is the mean
    over regions; the softmax of the logits (0, z) is the sigmoid of z. `loss` must ignore
    `REGION_IGNORE`.
    """

    def robust(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the robust loss alone."""
        labels, counts = self.split(target)
        labels = labels.long()
        if counts is not None:
            labels = labels.where(counts, REGION_IGNORE)
        two_class = torch.stack([torch.zeros_like(logits), logits], dim=1)
        regions = range(logits.shape[1])
        return torch.stack([self.loss(two_class[:, :, r], labels[:, r]) for r in regions]).mean()

    def split(self, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the regions alone, and which pixels count, `(B, 1, *S)` (None: all)."""
        if self.ignore_label is None:
            return target, None
        return target[:, :-1], ~target[:, -1:].bool()
