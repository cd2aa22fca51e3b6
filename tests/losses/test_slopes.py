"""Slopes of the curves, in closed form and by autograd."""

from functools import partial

import pytest
import torch
from losses import reference

from anl_seg.losses.slopes import SLOPES, value_and_slope
from anl_seg.losses.table import complete, describe

CURVES = {
    term.curve: (name, term.takes) for name in reference.LOSSES for term in describe(name).terms
}
every_curve = pytest.mark.parametrize("curve", SLOPES, ids=lambda curve: curve.__name__)


def bound(curve):
    name, takes = CURVES[curve]
    return partial(curve, **{key: complete(name, {})[key] for key in takes})


@every_curve
def test_slopes_of_the_curves(curve):
    u = torch.linspace(-20, 0, 201, dtype=torch.float64, requires_grad=True)
    p = u.detach().exp()
    value, slope = value_and_slope(bound(curve), u.detach(), p, lambda: 1 - p)
    expected = bound(curve)(u)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-14)
    (expected_slope,) = torch.autograd.grad(expected.sum(), u)
    slope = torch.as_tensor(slope, dtype=u.dtype).expand_as(u)
    torch.testing.assert_close(slope, expected_slope, rtol=1e-10, atol=1e-14)


@every_curve
def test_curves_only_read_what_they_are_given(curve):
    u = torch.linspace(-20, 0, 201)
    p = u.exp()
    value_and_slope(bound(curve), u, p, lambda: 1 - p)
    assert torch.equal(u, torch.linspace(-20, 0, 201))
    assert torch.equal(p, u.exp())


@pytest.mark.parametrize("grad_enabled", [True, False])
def test_a_curve_without_a_closed_form_is_differentiated(grad_enabled):
    def squared(u, *, scale):
        return scale * u.expm1().square()

    u = torch.linspace(-20, 0, 201, dtype=torch.float64)
    p = u.exp()
    with torch.set_grad_enabled(grad_enabled):
        value, slope = value_and_slope(partial(squared, scale=3), u, p, lambda: 1 - p)
    assert not value.requires_grad
    torch.testing.assert_close(value, 3 * (1 - p) ** 2)
    torch.testing.assert_close(slope, -6 * (1 - p) * p)
