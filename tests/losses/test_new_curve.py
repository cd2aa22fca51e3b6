"""A new loss is one function, one row and one reference loop."""

import numpy as np
import pytest
import torch
from losses import reference

from anl_seg import losses
from anl_seg.losses import autograd, blocks, table
from anl_seg.losses.functional import weighted_sum
from anl_seg.losses.table import LossSpec, Parameter, Term

NAME = "made-up"


def brier(u, *, scale):
    """The new curve, l = scale (1 - p)^2."""
    return scale * torch.expm1(u).square()


def reference_loop(p, y, alpha, beta, scale, p_min):
    def curve(p, k, scale):
        return scale * (1 - p[k]) ** 2

    return (
        curve(p, y, scale)
        + alpha * reference.normalized(curve, p, y, scale=scale)
        + beta * reference.normalized_negative(curve, p, y, p_min, scale=scale)
    )


@pytest.fixture(autouse=True)
def row(monkeypatch):
    weight = Parameter(1.0, "[0, inf)")
    spec = LossSpec(
        formula="BS + alpha NBS + beta NNBS",
        source="this test",
        terms=(
            Term("plain", brier, takes=("scale",)),
            Term("normalized", brier, takes=("scale",), weight="alpha"),
            Term("normalized negative", brier, takes=("scale",), weight="beta"),
        ),
        parameters={
            "alpha": weight,
            "beta": weight,
            "scale": Parameter(2.0, "(0, inf)"),
            "p_min": Parameter(1e-3, "(0, 1)"),
        },
    )
    monkeypatch.setattr(table, "LOSSES", {**table.LOSSES, NAME: spec})
    monkeypatch.setitem(reference.LOSSES, NAME, reference_loop)
    monkeypatch.setattr(blocks, "BLOCK", 16)


def draw(shape):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64)
    return logits, torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)


@pytest.fixture(params=["blocks", "for compilers", "torch.func"])
def value_and_gradient(request, monkeypatch):
    def measure(loss, logits, labels):
        if request.param == "torch.func":
            return torch.func.grad_and_value(lambda z: loss(z, labels))(logits)[::-1]
        z = logits.clone().requires_grad_()
        value = loss(z, labels)
        return value.detach(), torch.autograd.grad(value, z)[0]

    if request.param == "for compilers":  # what torch.compile is given, not compiled
        monkeypatch.setattr(autograd, "is_compiling", lambda: True)
    return measure


@pytest.mark.parametrize("shape", [(9, 2), (2, 3, 5, 7)], ids=str)
def test_value_and_gradient(value_and_gradient, shape):
    logits, labels = draw(shape)
    loss = losses.create("Made_Up", alpha=2.0, beta=3.0)
    value, slope = value_and_gradient(loss, logits, labels)
    expected = reference.per_pixel(NAME, logits.numpy(), labels.numpy(), **loss.hyper_parameters)
    assert value.item() == pytest.approx(np.mean(expected), rel=1e-12)
    z = logits.clone().requires_grad_()
    weighted_sum(loss.summands, z.log_softmax(1), labels).mean().backward()
    torch.testing.assert_close(slope, z.grad, rtol=1e-10, atol=1e-14)


def test_second_derivative():
    logits, labels = draw((3, 3))
    loss = losses.create(NAME)
    torch.autograd.gradgradcheck(lambda z: loss(z, labels), logits.requires_grad_())


def test_it_compiles():
    logits, labels = draw((4, 3))
    loss = losses.create(NAME)
    torch._dynamo.reset()
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(logits, labels), loss(logits, labels))


def test_a_gpu_computes_it_in_blocks():
    kernels = pytest.importorskip("anl_seg.losses.kernels", reason="needs Triton")
    assert not kernels.takes(3, losses.create(NAME).summands)


def test_it_is_listed():
    assert losses.names()[-1] == NAME
    assert losses.describe(NAME).source == "this test"
