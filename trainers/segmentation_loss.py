"""Robust losses on nnU-Net's outputs and targets: deep supervision, regions, soft Dice."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from torch import Tensor, nn

from anl_seg import losses
from anl_seg.trainers.settings import TrainerSettings

#: The label of ignored pixels of a region, which is a problem of the classes 0 and 1.
REGION_IGNORE = 2

#: nnU-Net's soft Dice: logits, target and which pixels count -> minus Dice.
Dice = Callable[[Tensor, Tensor, Tensor | None], Tensor]

ROBUST_LOSS = "robust loss"
#: Name of the weight of a summand -> what the paper calls the summand (eq. 4 and 11).
SUMMANDS = {"alpha": "active term", "beta": "passive term", None: ROBUST_LOSS}


def replace_loss(
    nnunet: Any,  # noqa: ANN401 (nnU-Net carries no types)
    robust: nn.Module | None,
    settings: TrainerSettings,
    labels: Any,  # noqa: ANN401
) -> nn.Module:
    """Put a robust loss in the place of Dice + cross entropy, inside nnU-Net's deep supervision.

    The weights of the scales stay nnU-Net's.

    Args:
        nnunet: The loss that nnU-Net has built.
        robust: From `anl_seg.losses.create`, or None to keep nnU-Net's own loss.
        settings: Of the training.
        labels: nnU-Net's label manager.

    Returns:
        The loss of the training.
    """
    deep = isinstance(nnunet, DeepSupervisionWrapper)
    if deep and len(nnunet.weight_factors) == 1:
        nnunet.weight_factors = (1.0,)  # nnU-Net gives the lowest scale 0, so a single one 0/0
    if robust is None:
        return nnunet
    make = RegionLoss if labels.has_regions else SegmentationLoss
    one_scale = make(
        robust,
        ignore_label=labels.ignore_label,
        dice=(nnunet.loss if deep else nnunet).dc if settings.dice_weight > 0 else None,
        dice_weight=settings.dice_weight,
    )
    if not deep:
        return one_scale
    nnunet.loss = one_scale
    return nnunet


class SegmentationLoss(nn.Module):
    """A robust loss of labels, plus nnU-Net's soft Dice times a weight.

    Called with logits `(B, K, *S)` and labels `(B, 1, *S)`, of any dtype. `seen` keeps the last
    logits and labels of each scale in training, for `not_finite`, until it is cleared.

    Args:
        loss: From `anl_seg.losses.create`, with the ignore label if there is one.
        ignore_label: Label that does not count, or None.
        dice: nnU-Net's own Dice term, or None.
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
        self.seen: dict[str, tuple[Tensor, Tensor]] = {}

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss over pixels that are not ignored, a float32 scalar."""
        if logits.requires_grad:
            self.seen["x".join(map(str, logits.shape[2:]))] = logits.detach(), target
        loss = torch.stack([self.loss(*problem) for problem in self.problems(logits, target)])
        if self.dice is None:
            return loss.mean()
        return loss.mean() + self.dice_weight * self.dice(logits, *self.split(target))

    def problems(self, logits: Tensor, target: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the logits and labels that the robust loss is called with."""
        return [(logits, target[:, 0].long())]

    @torch.no_grad()
    def not_finite(self) -> list[str]:
        """Name what made the loss of `seen` not finite: the network's output, or terms of the loss.

        Soft Dice and the entropy term may wait for other processes, so they are not computed again.
        They are named if everything else is finite.
        """
        found = []
        for scale, (logits, target) in self.seen.items():
            if not logits.isfinite().all():  # then no term is
                found.append(f"network's output at {scale}")
                continue
            problems = self.problems(logits, target)
            for name, summand in self._summands().items():
                if not all(summand(*problem).isfinite() for problem in problems):
                    found.append(f"{name} at {scale}")
        return found or ["soft Dice or entropy term"]

    def _summands(self) -> Mapping[str, nn.Module]:
        """The summands of the robust loss by name, without the entropy term."""
        if not isinstance(self.loss, losses.RobustLoss):
            return {ROBUST_LOSS: self.loss}
        summands = {}
        terms = losses.describe(self.loss.name).terms
        for term, summand in zip(terms, self.loss.summands, strict=True):
            alone = copy.copy(self.loss)
            alone.summands, alone.reduction = (summand,), "sum"
            summands[SUMMANDS[term.weight]] = alone
        return summands

    def split(self, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the target without ignored labels, and which pixels count (None: all)."""
        if self.ignore_label is None:
            return target, None
        counts = target != self.ignore_label
        return target.where(counts, 0), counts


class RegionLoss(SegmentationLoss):
    """A robust loss of regions: each is a two-class problem with the probabilities 1 - p and p.

    Called with logits `(B, R, *S)`, one per region, and targets `(B, R, *S)` of 0 and 1. Regions
    may overlap. With an ignore label, targets are `(B, R + 1, *S)` and the last channel marks the
    ignored pixels. The loss is the mean over regions. The softmax of the logits (0, z) is the
    sigmoid of z. `loss` must ignore `REGION_IGNORE`.
    """

    def problems(self, logits: Tensor, target: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the logits and labels of each region."""
        labels, counts = self.split(target)
        labels = labels.long()
        if counts is not None:
            labels = labels.where(counts, REGION_IGNORE)
        two_class = torch.stack([torch.zeros_like(logits), logits], dim=1)
        return [(two_class[:, :, r], labels[:, r]) for r in range(logits.shape[1])]

    def split(self, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the regions alone, and which pixels count, `(B, 1, *S)` (None: all)."""
        if self.ignore_label is None:
            return target, None
        return target[:, :-1], ~target[:, -1:].bool()
