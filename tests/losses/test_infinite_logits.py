"""A logit of -inf: value and gradient are the limits for a logit that falls without bound.

The limit is taken from the formulas, at a logit so low that it differs by less than a rounding.
"""

import pytest
import torch
from losses.test_module import kernels_too, path  # noqa: F401

from anl_seg import losses
from anl_seg.losses.functional import weighted_sum

INF = float("inf")
LOW = -1e25
POINTWISE = [name for name in losses.names() if losses.describe(name).terms]
UNBOUNDED = {"ce", "fl", "sce", "fl-published"}

every_loss = pytest.mark.parametrize("name", POINTWISE)
every_number_of_classes = pytest.mark.parametrize("classes", [2, 5])
every_place = pytest.mark.parametrize("place", ["one other class", "all others", "the label"])


def draw(classes, place="one other class"):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((6, classes), generator=generator).half().double()
    labels = torch.arange(6) % classes
    label = torch.nn.functional.one_hot(labels, classes).bool()
    masked = {"one other class": label.roll(1, 1), "all others": ~label, "the label": label}
    return logits.masked_fill(masked[place], -INF), labels


def limit(name, logits, labels):
    """Value and gradient by autograd of the formulas."""
    z = logits.nan_to_num(neginf=LOW).requires_grad_()
    value = weighted_sum(losses.create(name).summands, z.log_softmax(1), labels)
    value.sum().backward()
    if name in UNBOUNDED:
        value = value.where(value < -LOW / 1e3, INF)
    return value.detach(), z.grad


def measure(name, logits, labels, dtype=torch.float64):
    z = logits.to(dtype, copy=True).requires_grad_()
    if losses.describe(name).entropy:  # without the term that belongs to the batch
        loss = losses.create(name, lambda_=0)
        values = torch.stack([loss(a[None], y[None]) for a, y in zip(z, labels, strict=True)])
    else:
        values = losses.create(name, reduction="none")(z, labels)
    values.sum().backward()
    return values.detach(), z.grad


@kernels_too
@every_loss
@every_number_of_classes
@every_place
def test_limit(name, classes, place):
    logits, labels = draw(classes, place)
    expected, expected_slope = limit(name, logits, labels)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float16, 2e-3)):
        value, slope = measure(name, logits, labels, dtype)
        rtol = min(tolerance, 1e-5)  # the value is in float32 even if the logits are not
        torch.testing.assert_close(value.double(), expected, rtol=rtol, atol=rtol)
        torch.testing.assert_close(slope.double(), expected_slope, rtol=tolerance, atol=tolerance)


@every_loss
@every_number_of_classes
@every_place
def test_limit_of_the_formulas(name, classes, place):
    logits, labels = draw(classes, place)
    expected, expected_slope = limit(name, logits, labels)
    z = logits.requires_grad_()
    value = weighted_sum(losses.create(name).summands, z.log_softmax(1), labels)
    (slope,) = torch.autograd.grad(value.sum(), z)
    torch.testing.assert_close(value.detach(), expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(slope, expected_slope, rtol=1e-9, atol=1e-12)


@kernels_too
@every_loss
def test_impossible_label_beside_another_impossible_class(name):
    """The label counts as the less likely of the two: a normalised form is 1."""
    logits, labels = draw(3, "the label")
    other = (labels + 1) % 3
    logits[torch.arange(6), other] = -INF
    lower = logits.clone()
    lower[torch.arange(6), labels] = 1e5 * LOW
    lower[torch.arange(6), other] = -1e15
    expected, _ = limit(name, lower, labels)
    value, slope = measure(name, logits, labels)
    torch.testing.assert_close(value, expected)
    assert torch.isfinite(slope).all()


@pytest.mark.parametrize("place", ["one other class", "all others", "the label"])
def test_cross_entropy_is_that_of_torch(place):
    logits, labels = draw(3, place)
    z = logits.clone().requires_grad_()
    expected = torch.nn.functional.cross_entropy(z, labels, reduction="none")
    expected.sum().backward()
    value, slope = measure("ce", logits, labels)
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(slope, z.grad)


@pytest.mark.parametrize("name", ["t-loss", "anl-ce*", "anl-fl*"])
def test_losses_of_a_whole_image_or_batch(name):
    logits, labels = draw(3)
    loss = losses.create(name).double()
    gone, low = (z.requires_grad_() for z in (logits, logits.nan_to_num(neginf=LOW)))
    value, expected = loss(gone, labels), loss(low, labels)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(torch.autograd.grad(value, gone), torch.autograd.grad(expected, low))
