"""The losses under `torch.func` and forward-mode differentiation, like cross entropy."""

import pytest
import torch
from torch.autograd import forward_ad
from torch.autograd.functional import hessian, jacobian
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vmap

from anl_seg import losses

every_loss = pytest.mark.parametrize("name", losses.names())
every_ignore_index = pytest.mark.parametrize("ignore_index", [None, 2])


def draw(shape):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64)
    return logits, torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)


def create(name, **options):
    return losses.create(name, **options).double()


def reductions(name):
    return ("mean",) if losses.describe(name).entropy else ("mean", "sum", "none")


def slopes(loss, logits, labels):
    """Jacobian by one backward pass for each value, without any transform."""
    z = logits.clone().requires_grad_()
    values = loss(z, labels).flatten()
    return torch.stack([torch.autograd.grad(value, z, retain_graph=True)[0] for value in values])


@every_loss
@every_ignore_index
def test_gradient(name, ignore_index):
    logits, labels = draw((4, 3, 2))
    for reduction in reductions(name):
        loss = create(name, ignore_index=ignore_index, reduction=reduction)
        found = grad(lambda z, loss=loss: loss(z, labels).sum())(logits)
        torch.testing.assert_close(found, slopes(loss, logits, labels).sum(0))


@every_loss
@every_ignore_index
def test_gradient_of_each_sample(name, ignore_index):
    logits, labels = draw((4, 3, 2))
    for reduction in reductions(name):
        loss = create(name, ignore_index=ignore_index, reduction=reduction)

        def of_sample(z, y, loss=loss):
            return loss(z[None], y[None]).sum()

        found = vmap(grad(of_sample))(logits, labels)
        for z, y, slope in zip(logits, labels, found, strict=True):
            torch.testing.assert_close(slope, slopes(loss, z[None], y[None]).sum(0)[0])


@every_loss
def test_ensemble(name):
    logits, labels = draw((4, 3, 2))
    members = torch.stack([logits, 2 * logits, -logits])
    for reduction in reductions(name):
        loss = create(name, ignore_index=2, reduction=reduction)
        found = vmap(loss, in_dims=(0, None))(members, labels)
        torch.testing.assert_close(found, torch.stack([loss(z, labels) for z in members]))


@every_loss
@pytest.mark.parametrize("shape", [(3, 2, 2), (3, 4)], ids=str)
def test_jacobian(name, shape):
    logits, labels = draw(shape)
    for reduction in reductions(name):
        loss = create(name, ignore_index=2, reduction=reduction)
        expected = slopes(loss, logits, labels)

        def of_logits(z, loss=loss):
            return loss(z, labels).flatten()

        for found in (
            jacobian(of_logits, logits, vectorize=True),
            jacobian(of_logits, logits, vectorize=True, strategy="forward-mode"),
            jacobian(of_logits, logits, vectorize=True, create_graph=True),
            jacrev(of_logits)(logits),
            jacfwd(of_logits)(logits),
        ):
            torch.testing.assert_close(found, expected)


@every_loss
def test_forward_mode(name):
    logits, labels = draw((4, 3, 2))
    direction = logits.flip(0)
    loss = create(name)
    value, slope = jvp(lambda z: loss(z, labels), (logits,), (direction,))
    expected = (slopes(loss, logits, labels)[0] * direction).sum()
    torch.testing.assert_close(value, loss(logits, labels))
    torch.testing.assert_close(slope, expected)
    with forward_ad.dual_level():
        dual = loss(forward_ad.make_dual(logits, direction), labels)
        torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent, expected)


@pytest.mark.parametrize("name", ["ce", "anl-ce", "anl-fl", "anl-ce*", "t-loss"])
def test_hessian(name):
    logits, labels = draw((3, 3))
    loss = create(name)

    def of_logits(z):
        return loss(z, labels)

    expected = hessian(of_logits, logits)
    torch.testing.assert_close(hessian(of_logits, logits, vectorize=True), expected)
    torch.testing.assert_close(torch.func.hessian(of_logits)(logits), expected)


def test_ensemble_of_t_losses():
    logits, labels = draw((4, 3, 2))
    loss = create("t-loss")
    log_nus = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64)

    def of_parameter(log_nu):
        return functional_call(loss, {"log_nu": log_nu}, (logits, labels))

    found = vmap(grad(of_parameter))(log_nus)
    torch.testing.assert_close(found, torch.stack([grad(of_parameter)(nu) for nu in log_nus]))
    assert len(found.unique()) == 3


@pytest.mark.parametrize("name", ["anl-ce", "anl-ce*", "t-loss"])
def test_half_precision(name):
    logits, labels = draw((4, 3, 2))
    loss = losses.create(name)
    half = logits.half()
    found = grad(lambda z: loss(z, labels))(half)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found, slopes(loss, half, labels)[0], rtol=2e-3, atol=1e-4)
    found = jacobian(lambda z: loss(z, labels)[None], half, vectorize=True)[0]
    assert found.dtype == torch.float16


@pytest.mark.parametrize("name", ["anl-ce", "anl-ce*", "t-loss"])
def test_compiled(name):
    logits, labels = draw((4, 3))
    loss = create(name)

    def of_sample(z, y):
        return loss(z[None], y[None])

    of_samples = vmap(grad(of_sample))
    torch._dynamo.reset()
    compiled = torch.compile(of_samples, backend="aot_eager")
    torch.testing.assert_close(compiled(logits, labels), of_samples(logits, labels))


def test_wrong_labels_are_named_inside_a_transform():
    logits, _ = draw((4, 3))
    loss = create("anl-ce")
    with pytest.raises(ValueError, match=r"labels must be in \[0, 3\).*found 0 to 3"):
        vmap(lambda z, y: loss(z[None], y[None]))(logits, torch.tensor([0, 1, 2, 3]))
