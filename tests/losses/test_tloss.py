"""T-Loss against scipy's multivariate Student-t distribution."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from anl_seg import losses


def draw(shape, scale=2.0):
    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
    return logits, torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)


def student_t(errors, nu, precision):
    size = len(errors)
    distribution = scipy.stats.multivariate_t(np.zeros(size), np.eye(size) / precision, df=nu)
    return -distribution.logpdf(errors) / size


@pytest.mark.parametrize("shape", [(3, 2), (2, 2, 5, 7), (2, 4, 3, 4, 5)], ids=str)
@pytest.mark.parametrize(("name", "precision"), [("t-loss", 1), ("t-loss-published", math.e)])
def test_is_the_likelihood_of_the_student_t_distribution(shape, name, precision):
    logits, labels = draw(shape)
    for ignore_index in (None, shape[1] - 1):
        loss = losses.create(name, nu=3.7, reduction="none", ignore_index=ignore_index).double()
        nu = loss.nu.item()
        for p, y, value in zip(
            logits.softmax(1).numpy(), labels.numpy(), loss(logits, labels), strict=True
        ):
            counts = np.asarray(y != ignore_index)
            errors = [np.atleast_1d((p[c] - (y == c))[counts]) for c in range(1, shape[1])]
            expected = sum(student_t(e, nu, precision) for e in errors) if counts.any() else 0
            assert value.item() == pytest.approx(expected, rel=1e-10)


def test_gradient_of_logits_and_of_nu():
    logits, labels = draw((2, 3, 2, 2))
    loss = losses.create("t-loss").double()

    def function(z, log_nu):
        return torch.func.functional_call(loss, {"log_nu": log_nu}, (z, labels))

    inputs = logits.requires_grad_(), loss.log_nu.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(function, inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_perfect_predictions_of_empty_images_do_not_diverge(dtype):
    """Such images draw nu to 0, where float32 divided 0 by 0 before."""
    logits = torch.zeros(2, 2, 16, 16, dtype=dtype)
    logits[:, 0] = 120
    logits.requires_grad_()
    labels = torch.zeros(2, 16, 16, dtype=torch.int64)
    loss = losses.create("t-loss").to(dtype)
    optimizer = torch.optim.SGD(loss.parameters(), lr=10)
    for _ in range(50):
        optimizer.zero_grad()
        value = loss(logits, labels)
        value.backward()
        optimizer.step()
    assert loss.log_nu < math.log(1e-8)
    assert loss.nu.item() == pytest.approx(1e-8)
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_nu_is_trained_and_saved():
    logits, labels = draw((2, 2, 8, 8))
    loss = losses.create("t-loss", nu=2)
    assert loss.nu.item() == pytest.approx(2)
    optimizer = torch.optim.SGD(loss.parameters(), lr=1)
    loss(logits, labels).backward()
    optimizer.step()
    assert loss.nu.item() != pytest.approx(2)
    restored = losses.create("t-loss")
    restored.load_state_dict(loss.state_dict())
    assert restored.nu == loss.nu


def test_image_size_does_not_change_the_step():
    """With four times the pixels of the same picture, the sum of the gradients stays the same."""
    logits, labels = draw((1, 2, 32, 32))
    loss = losses.create("t-loss")

    def pull(times):
        z = logits.repeat_interleave(times, 2).repeat_interleave(times, 3).requires_grad_()
        loss(z, labels.repeat_interleave(times, 1).repeat_interleave(times, 2)).backward()
        return z.grad[0, 1].sum()

    torch.testing.assert_close(pull(2), pull(1), rtol=0.02, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_huge_logits_stay_finite(dtype):
    logits, labels = draw((2, 3, 16, 16))
    logits = (1e4 * logits.sign()).to(dtype).requires_grad_()
    value = losses.create("t-loss")(logits, labels)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_serves_a_classifier():
    logits, labels = draw((5, 3))
    per_sample = losses.create("t-loss", reduction="none")(logits, labels)
    torch.testing.assert_close(losses.create("t-loss")(logits, labels), per_sample.mean())


def test_reductions_count_images_with_something_to_learn():
    logits, labels = draw((3, 2, 4, 4))
    labels[1] = 9
    per_image, mean, total = (
        losses.create("t-loss", ignore_index=9, reduction=reduction)(logits, labels)
        for reduction in ("none", "mean", "sum")
    )
    assert per_image[1] == 0
    torch.testing.assert_close(mean, (per_image[0] + per_image[2]) / 2)
    torch.testing.assert_close(total, per_image.sum())
    value = losses.create("t-loss", ignore_index=9)(
        logits.requires_grad_(), torch.full_like(labels, 9)
    )
    value.backward()
    assert value == 0
    assert not logits.grad.any()


def test_repr_tells_nu():
    assert "'t-loss', nu=1 (trained)" in repr(losses.create("t-loss"))
