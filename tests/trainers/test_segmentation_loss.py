"""Losses on nnU-Net's targets against sums written out over pixels, labels and regions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anl_seg import losses
from anl_seg.trainers.segmentation_loss import REGION_IGNORE, RegionLoss, SegmentationLoss


def anl_ce_of_two(p, alpha, beta, p_min=1e-7):
    """ANL-CE (eq. 3, 8, 11) of a two-class pixel whose label has the probability p."""
    logs = np.log([p, 1 - p])
    shifted = np.maximum(logs, np.log(p_min)) - np.log(p_min)
    return alpha * logs[0] / logs.sum() + beta * (1 - shifted[0] / shifted.sum())


@pytest.fixture
def regions():
    """Two overlapping regions on 3 x 4 pixels, two images, some pixels ignored."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 3, 3, 4, generator=generator) < 0.4
    assert target[:, -1].any()
    assert (target[:, 0] & target[:, 1]).any()
    return logits, target


@pytest.mark.parametrize("with_ignore", [False, True])
def test_a_region_is_a_two_class_problem_on_its_sigmoid(regions, with_ignore):
    logits, target = regions
    robust = losses.create("anl-ce", alpha=2, beta=3, ignore_index=REGION_IGNORE)
    loss = RegionLoss(robust, ignore_label=3 if with_ignore else None)
    value = loss(logits, target if with_ignore else target[:, :2])
    p = 1 / (1 + np.exp(-logits.detach().numpy()))
    expected = [
        anl_ce_of_two(p[b, r, y, x] if target[b, r, y, x] else 1 - p[b, r, y, x], 2, 3)
        for b, r, y, x in np.ndindex(2, 2, 3, 4)
        if not (with_ignore and target[b, -1, y, x])
    ]
    assert value.item() == pytest.approx(np.mean(expected), rel=1e-9)
    value.backward()
    if with_ignore:
        ignored = target[:, -1:].expand_as(logits)
        assert logits.grad[ignored].abs().max() == 0
        assert logits.grad[~ignored].abs().min() > 0


def test_targets_of_regions_may_be_numbers(regions):
    logits, target = regions
    loss = RegionLoss(losses.create("mae", ignore_index=REGION_IGNORE), ignore_label=3)
    assert loss(logits, target).item() == loss(logits, target.to(torch.int16)).item()
    assert loss(logits, target).item() == loss(logits, target.float()).item()


def test_an_ignored_patch_of_regions_gives_zero_with_a_graph(regions):
    logits, target = regions
    target[:, -1] = True
    loss = RegionLoss(losses.create("gce", ignore_index=REGION_IGNORE), ignore_label=3)
    value = loss(logits, target)
    assert value.item() == 0
    value.backward()
    assert logits.grad.abs().max() == 0


def test_a_softmax_of_two_is_a_sigmoid_of_one(regions):
    logits, target = regions
    robust = losses.create("sce", ignore_index=REGION_IGNORE)
    labels = SegmentationLoss(robust, ignore_label=None)
    one = logits[:, :1]
    both = torch.cat([torch.zeros_like(one), one], 1)
    expected = labels(both, target[:, :1])
    assert RegionLoss(robust, ignore_label=None)(one, target[:, :1]).item() == expected.item()


def soft_dice(p, target, counts):
    """Dice of one class, one image after the other, as nnU-Net has it: smoothed by 1e-5."""
    both = [
        (2 * (p * t * c).sum() + 1e-5) / ((p * c).sum() + (t * c).sum() + 1e-5)
        for p, t, c in zip(p, target, counts, strict=True)
    ]
    return np.mean(both)


def test_soft_dice_joins_with_its_weight(make_trainer):
    labels = {"background": 0, "lesion": 1, "ignore": 2}
    trainer = make_trainer({"loss": "mae", "dice_weight": 0.5}, labels=labels)
    trainer.initialize()
    loss = trainer.loss.loss
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 2, 8, 8, generator=generator)
    target = torch.randint(0, 3, (2, 1, 8, 8), generator=generator).to(torch.int16)
    p = torch.softmax(logits, 1)[:, 1].double().numpy()
    truth, counts = (target[:, 0] == 1).numpy(), (target[:, 0] != 2).numpy()
    mae = 2 * np.where(truth, 1 - p, p)[counts].mean()
    expected = mae - 0.5 * soft_dice(p, truth, counts)
    assert loss(logits, target).item() == pytest.approx(expected, rel=1e-5)


def test_soft_dice_of_regions(make_trainer):
    labels = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    trainer = make_trainer({"loss": "mae", "dice_weight": 0.5}, labels=labels)
    trainer.initialize()
    loss = trainer.loss.loss
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 2, 8, 8, generator=generator)
    target = torch.rand(2, 3, 8, 8, generator=generator) < 0.4
    p = torch.sigmoid(logits).double().numpy()
    counts = ~target[:, -1].numpy()
    regions = [(p[:, r], target[:, r].numpy()) for r in (0, 1)]
    mae = np.mean([2 * np.where(truth, 1 - p, p)[counts].mean() for p, truth in regions])
    dice = np.mean([soft_dice(p, truth, counts) for p, truth in regions])
    assert loss(logits, target).item() == pytest.approx(mae - 0.5 * dice, rel=1e-5)


def not_finite(loss, *logits):
    for each in logits:
        side = each.shape[-1]
        loss(each.requires_grad_(), torch.ones(1, 1, side, side))
    return loss.not_finite()


def test_an_output_that_is_not_finite_is_named_with_its_scale():
    loss = SegmentationLoss(losses.create("ce"), ignore_label=None)
    broken = torch.full((1, 2, 2, 2), torch.nan)
    assert not_finite(loss, torch.zeros(1, 2, 4, 4), broken) == ["network's output at 2x2"]


@pytest.mark.parametrize(
    ("name", "parameters", "term"),
    [
        ("anl-ce", {"alpha": 1e38}, "active term"),
        ("anl-fl*", {"beta": 1e38}, "passive term"),
        ("nce+rce", {"beta": 1e38}, "passive term"),
        ("ce", {}, "robust loss"),
        ("t-loss", {"nu": 1e39}, "robust loss"),
        ("anl-ce*", {"lambda_": 1e39}, "soft Dice or entropy term"),
    ],
)
def test_a_term_that_is_not_finite_is_named(name, parameters, term):
    loss = SegmentationLoss(losses.create(name, **parameters), ignore_label=None)
    logits = torch.zeros(1, 2, 4, 4)
    logits[:, 0] = 3e38 if name == "ce" else 20
    (found,) = not_finite(loss, logits)
    assert found.removesuffix(" at 4x4") == term


def test_what_is_only_validated_is_not_kept():
    loss = SegmentationLoss(losses.create("ce"), ignore_label=None)
    loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 4, 4))
    assert not loss.seen
