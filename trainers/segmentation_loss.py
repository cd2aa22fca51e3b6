"""Robust losses on nnU-Net's outputs and targets: deep supervision, regions, warm-up."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from torch import Tensor, nn

from anl_seg import losses
from anl_seg.trainers.settings import NNUNET_LOSS, TrainerSettings

#: Label of ignored pixels in a region, which is a problem with the classes 0 and 1.
REGION_IGNORE = 2

#: nnU-Net's soft Dice, a function of logits, target and mask of counted pixels that returns -Dice.
Dice = Callable[[Tensor, Tensor, Tensor | None], Tensor]

ROBUST_LOSS = "robust loss"
#: Names of the summands in the paper (eq. 4 and 11), by the name of their weight.
SUMMANDS = {"alpha": "active term", "beta": "passive term", None: ROBUST_LOSS}


def create_robust_loss(
    settings: TrainerSettings,
    labels: Any,  # noqa: ANN401 (nnU-Net carries no types)
    device: torch.device,
) -> nn.Module | None:
    """Create the loss of one output; None for nnU-Net's own loss.

    Args:
        settings: Settings of the training.
        labels: nnU-Net's label manager.
        device: Device of the training.
    """
    if settings.loss == NNUNET_LOSS:
        return None
    loss = losses.create(
        settings.loss, ignore_index=_ignore_index(labels), **settings.loss_parameters
    )
    return loss.to(device)


def _ignore_index(labels: Any) -> int | None:  # noqa: ANN401
    index: int | None = REGION_IGNORE if labels.has_regions else labels.ignore_label
    return index


def replace_loss(
    nnunet: Any,  # noqa: ANN401 (nnU-Net carries no types)
    robust: nn.Module | None,
    settings: TrainerSettings,
    labels: Any,  # noqa: ANN401
    epochs: int,
) -> nn.Module:
    """Replace Dice + cross entropy by our loss, inside nnU-Net's deep supervision.

    The weights of the scales remain nnU-Net's. Our loss has these layers, from the inside out, each
    only if the settings ask for it:

    - the robust loss with soft Dice and cross entropy beside it;
    - bootstrapping;
    - the warm-up.

    Args:
        nnunet: The loss that nnU-Net has built.
        robust: Loss from `anl_seg.losses.create`, or None to keep nnU-Net's own loss.
        settings: Settings of the training.
        labels: nnU-Net's label manager.
        epochs: Number of epochs of the training.

    Returns:
        The loss of the training.
    """
    deep = isinstance(nnunet, DeepSupervisionWrapper)
    if deep and len(nnunet.weight_factors) == 1:
        nnunet.weight_factors = (1.0,)  # nnU-Net's weight of the lowest scale is 0: 0/0 if single
    own = nnunet.loss if deep else nnunet
    loss: nn.Module = own if robust is None else _beside(robust, own.dc, settings, labels)
    if settings.bootstrap:
        loss = Bootstrapping(loss, settings.bootstrap, labels)
    if settings.warmup:
        loss = WarmUp(own, loss, settings.warmup_epochs(epochs))
    if not deep:
        return loss
    nnunet.loss = loss
    return nnunet


def not_finite_terms(loss: nn.Module, robust: nn.Module | None) -> list[str]:
    """List the terms of a training's loss that are not finite; empty if unknown.

    Args:
        loss: The loss of the training.
        robust: The robust loss inside it, or None.
    """
    parts = [part for part in loss.modules() if isinstance(part, SegmentationLoss)]
    terms = [term for part in parts for term in part.not_finite()]
    if robust and any(not parameter.isfinite().all() for parameter in robust.parameters()):
        terms.append("trained parameter of the loss")
    return terms


def _beside(robust: nn.Module, dice: Dice, settings: TrainerSettings, labels: Any) -> nn.Module:  # noqa: ANN401
    """Combine a robust loss with the soft Dice and the cross entropy in the settings."""
    make = RegionLoss if labels.has_regions else SegmentationLoss
    ce = losses.create("ce", ignore_index=_ignore_index(labels))
    return make(
        robust,
        ignore_label=labels.ignore_label,
        dice=dice if settings.dice_weight else None,
        dice_weight=settings.dice_weight or 0.0,
        cross_entropy=ce if settings.ce_weight else None,
        ce_weight=settings.ce_weight or 0.0,
    )


class WarmUp(nn.Module):
    """nnU-Net's own loss in the first epochs, then another loss.

    Networks fit correct labels first and memorise wrong ones later (Arpit et al., ICML 2017,
    arXiv:1706.05394). So the loss that learns fastest comes first.

    Args:
        first: Loss of the first epochs.
        then: Loss of all later epochs.
        epochs: Number of first epochs.
    """

    def __init__(self, first: nn.Module, then: nn.Module, epochs: int) -> None:
        super().__init__()
        self.first = first
        self.then = then
        self.epochs = epochs
        self.active = True

    def start_epoch(self, epoch: int) -> None:
        """Choose the loss of an epoch, counted from 0."""
        self.active = epoch < self.epochs

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of this epoch."""
        loss: Tensor = (self.first if self.active else self.then)(logits, target)
        return loss


class Bootstrapping(nn.Module):
    """A loss of labels mixed with the network's own prediction ("hard bootstrapping").

        (1 - w) L(f(x), y) + w L(f(x), argmax f(x))

    The prediction comes from the same forward pass, without a gradient. In validation the loss uses
    the labels alone.

    Args:
        loss: L, called with logits `(B, K, *S)` and nnU-Net's target.
        weight: w, in (0, 1).
        labels: nnU-Net's label manager.

    References:
        Reed et al., "Training Deep Neural Networks on Noisy Labels with Bootstrapping", ICLR 2015
        workshop, arXiv:1412.6596, eq. 6 (their beta is 1 - w).
    """

    def __init__(self, loss: nn.Module, weight: float, labels: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.loss = loss
        self.weight = weight
        self.regions = labels.has_regions
        self.ignore_label = labels.ignore_label

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar."""
        if not logits.requires_grad:
            loss: Tensor = self.loss(logits, target)
            return loss
        predicted = self.loss(logits, self.predict(logits.detach(), target))
        mixed: Tensor = (1 - self.weight) * self.loss(logits, target) + self.weight * predicted
        return mixed

    def predict(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the prediction in the form of `target`; ignored pixels stay ignored."""
        if self.regions:  # with an ignore label, the last channel of the target marks it
            regions = (logits > 0).to(target.dtype)
            return torch.cat([regions, target[:, logits.shape[1] :]], dim=1)
        predicted = logits.argmax(1, keepdim=True).to(target.dtype)
        if self.ignore_label is None:
            return predicted
        return predicted.where(target != self.ignore_label, target)


class SegmentationLoss(nn.Module):
    """A robust loss of labels, plus weighted soft Dice of nnU-Net and cross entropy.

    It is called with logits `(B, K, *S)` and labels `(B, 1, *S)` of any dtype. In training, `seen`
    keeps the last logits and labels of each scale for `not_finite`, until it is cleared.

    Args:
        loss: Loss from `anl_seg.losses.create`, with the ignore label if there is one.
        ignore_label: Label that does not count, or None.
        dice: nnU-Net's own Dice term, or None.
        dice_weight: Weight of the Dice term.
        cross_entropy: Plain cross entropy with the same ignore label as `loss`, or None.
        ce_weight: Weight of cross entropy.
    """

    def __init__(
        self,
        loss: nn.Module,
        *,
        ignore_label: int | None,
        dice: Dice | None = None,
        dice_weight: float = 0.0,
        cross_entropy: nn.Module | None = None,
        ce_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.ignore_label = ignore_label
        self.dice = dice
        self.dice_weight = dice_weight
        self.cross_entropy = cross_entropy
        self.ce_weight = ce_weight
        self.seen: dict[str, tuple[Tensor, Tensor]] = {}

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss over pixels that are not ignored, a float32 scalar."""
        if logits.requires_grad:
            self.seen["x".join(map(str, logits.shape[2:]))] = logits.detach(), target
        problems = self.problems(logits, target)
        loss = torch.stack([self.loss(*problem) for problem in problems]).mean()
        if self.cross_entropy is not None:
            values = torch.stack([self.cross_entropy(*problem) for problem in problems])
            loss = loss + self.ce_weight * values.mean()
        if self.dice is not None:
            loss = loss + self.dice_weight * self.dice(logits, *self.split(target))
        return loss

    def problems(self, logits: Tensor, target: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the logits and labels for the robust loss."""
        return [(logits, target[:, 0].long())]

    @torch.no_grad()
    def not_finite(self) -> list[str]:
        """List the causes of a loss of `seen` that is not finite: network output or loss terms.

        Soft Dice and the entropy term are not computed again, because they may wait for other
        processes. They are named if everything else is finite. If `seen` is empty, as in the
        warm-up, the result is empty.
        """
        found = []
        for scale, (logits, target) in self.seen.items():
            if not logits.isfinite().all():  # then no term is finite either
                found.append(f"network's output at {scale}")
                continue
            problems = self.problems(logits, target)
            for name, summand in self._summands().items():
                if not all(summand(*problem).isfinite() for problem in problems):
                    found.append(f"{name} at {scale}")
        return found or (["soft Dice or entropy term"] if self.seen else [])

    def _summands(self) -> Mapping[str, nn.Module]:
        """Return the summands of the loss by name, without soft Dice and the entropy term."""
        summands: dict[str, nn.Module] = {}
        if isinstance(self.loss, losses.RobustLoss):
            terms = losses.describe(self.loss.name).terms
            for term, summand in zip(terms, self.loss.summands, strict=True):
                alone = copy.copy(self.loss)
                alone.summands, alone.reduction = (summand,), "sum"
                summands[SUMMANDS[term.weight]] = alone
        else:
            summands[ROBUST_LOSS] = self.loss
        if self.cross_entropy is not None:
            summands["cross entropy"] = self.cross_entropy
        return summands

    def split(self, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the target without ignored labels, and a mask of counted pixels (None: all)."""
        if self.ignore_label is None:
            return target, None
        counts = target != self.ignore_label
        return target.where(counts, 0), counts


class RegionLoss(SegmentationLoss):
    """A robust loss of regions: each is a two-class problem with the probabilities 1 - p and p.

    It is called with logits `(B, R, *S)`, one per region, and targets `(B, R, *S)` of 0 and 1.
    Regions may overlap. With an ignore label, targets are `(B, R + 1, *S)`, and the last channel
    marks the ignored pixels. The loss is the mean over regions. Each region has the logits (0, z),
    whose softmax is the sigmoid of z. `loss` must ignore `REGION_IGNORE`.
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
        """Return the regions alone, and a mask of counted pixels, `(B, 1, *S)` (None: all)."""
        if self.ignore_label is None:
            return target, None
        return target[:, :-1], ~target[:, -1:].bool()
