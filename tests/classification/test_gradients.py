"""Gradients of normalised negative losses against autograd and eq. 16; boxes as matplotlib's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib import cbook

from anl_seg import losses
from anl_seg.classification.gradients import describe_boxes, largest_gradients, negative_summand


def logits(scale, n=40, classes=7):
    generator = torch.Generator().manual_seed(0)
    x = scale * torch.randn(n, classes, generator=generator, dtype=torch.float64)
    return x, torch.randint(classes, (n,), generator=generator)


def by_autograd(part, probs, labels):
    """Derivative of eq. 7 by every clipped probability, each a variable of its own."""
    probs = probs.clamp(min=part.p_min).requires_grad_()
    largest = part.curve(torch.tensor(math.log(part.p_min), dtype=torch.float64))
    flipped = largest - part.curve(probs.log())
    own = flipped[torch.arange(len(labels)), labels]
    (gradient,) = torch.autograd.grad((1 - own / flipped.sum(1)).sum(), probs)
    return gradient


@pytest.mark.parametrize("name", ["nnce", "anl-ce", "anl-ce*", "nnfl", "anl-fl"])
@pytest.mark.parametrize("scale", [1, 5, 20])  # up to probabilities far below p_min
def test_largest_gradient_of_the_other_classes(name, scale):
    part = negative_summand(losses.create(name))
    x, labels = logits(scale)
    gradient = by_autograd(part, x.softmax(1), labels)
    gradient[torch.arange(len(labels)), labels] = -torch.inf
    found = largest_gradients(part, x, labels)
    torch.testing.assert_close(found, gradient.amax(1), rtol=1e-6, atol=1e-9)


def test_equation_16_by_hand():
    p = [0.5, 0.3, 0.2]  # the label is class 0; the largest gradient is that of class 2
    a = -math.log(1e-7)
    expected = 1 / 0.2 * (a + math.log(0.5)) / sum(a + math.log(q) for q in p) ** 2
    x = torch.tensor([p]).double().log()
    found = largest_gradients(negative_summand(losses.create("nnce")), x, torch.tensor([0]))
    assert found.item() == pytest.approx(expected)


def test_a_label_below_the_clip_has_no_gradient_in_float32_either():
    x = torch.tensor([[0.0, 50.0, 0.0]])
    for name in ("nnce", "nnfl"):
        part = negative_summand(losses.create(name))
        assert largest_gradients(part, x, torch.tensor([0])).item() == 0
        assert largest_gradients(part, x, torch.tensor([1])).item() > 1e5


def test_other_losses_have_no_negative_part():
    for name in ("ce", "nce+rce", "t-loss"):
        assert negative_summand(losses.create(name)) is None


def test_boxes_as_matplotlib_draws_them():
    rng = np.random.default_rng(0)
    values = np.exp(3 * rng.standard_normal(301)).astype(np.float32)
    wrong = rng.random(301) < 0.3
    boxes = describe_boxes(values, wrong)
    for name, group in {"clean": values[~wrong], "mislabelled": values[wrong]}.items():
        (expected,) = cbook.boxplot_stats(group.astype(float))
        names = {"mean": "mean", "med": "median", "q1": "q1", "q3": "q3"}
        names |= {"whislo": "low", "whishi": "high"}
        for theirs, ours in names.items():
            assert boxes[name][ours] == pytest.approx(expected[theirs])
        assert boxes[name]["n"] == len(group)


def test_groups_without_samples_and_values_that_are_not_finite_are_left_out():
    values = np.array([1.0, np.nan, 3.0, np.inf])
    boxes = describe_boxes(values, np.array([False, False, False, True]))
    assert set(boxes) == {"clean"}
    assert (boxes["clean"]["n"], boxes["clean"]["mean"]) == (2, 2.0)
