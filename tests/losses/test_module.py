"""Every row of the table: its numbers, and what the module adds to the pointwise functions."""

import numpy as np
import pytest
import torch
from losses import reference

from anl_seg import losses
from anl_seg.losses import autograd, blocks


@pytest.fixture(params=["for compilers", "blocks"], autouse=True)
def path(request, monkeypatch):
    """Force each of the ways to compute the losses; the kernels in Triton's interpreter."""
    if request.param == "for compilers":  # what torch.compile is given, not compiled
        monkeypatch.setattr(autograd, "is_compiling", lambda: True)
    if request.param == "kernels":
        kernels = pytest.importorskip("anl_seg.losses.kernels", reason="needs Triton")
        if torch.cuda.is_available():
            pytest.skip("Triton interprets where there is no GPU; test_kernels.py runs on one")
        monkeypatch.setattr(autograd, "find_kernels", lambda *arguments: kernels)
    monkeypatch.setattr(blocks, "BLOCK", 16)
    return request.param


SHAPES = [(8, 10), (2, 3, 5, 7), (2, 2, 3, 4, 5), (4, 2)]
POINTWISE = list(reference.LOSSES)

#: In a test without this they would say nothing new, slowly.
kernels_too = pytest.mark.parametrize("path", ["for compilers", "blocks", "kernels"], indirect=True)
every_loss = pytest.mark.parametrize("name", POINTWISE)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def draw(shape, *, scale=2.0, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
    return logits.to(dtype), labels


def gradient(loss, logits, labels):
    logits = logits.detach().clone().requires_grad_()
    value = loss(logits, labels)
    value.backward()
    return value.detach(), logits.grad


@kernels_too
@every_loss
@every_shape
@pytest.mark.parametrize("scale", [1.0, 12.0])  # 12: probabilities below p_min occur
def test_equals_the_reference(name, shape, scale):
    logits, labels = draw(shape, scale=scale)
    loss = losses.create(name, reduction="none")
    expected = reference.per_pixel(name, logits.numpy(), labels.numpy(), **loss.hyper_parameters)
    np.testing.assert_allclose(loss(logits, labels), expected, rtol=1e-12, atol=1e-12)


@every_loss
@every_shape
def test_pixel_equals_sample(name, shape):
    logits, labels = draw(shape)
    loss = losses.create(name, reduction="none")
    samples = logits.movedim(1, -1).reshape(-1, shape[1])
    expected = loss(samples, labels.flatten())
    torch.testing.assert_close(loss(logits, labels).flatten(), expected, rtol=1e-12, atol=1e-12)


@kernels_too
@every_loss
def test_ignoring_equals_dropping(name):
    logits, labels = draw((40, 4))
    keep = torch.rand(40, generator=torch.Generator().manual_seed(1)) < 0.6
    for reduction in ("mean", "sum"):
        ignoring = losses.create(name, ignore_index=9, reduction=reduction)
        dropping = losses.create(name, reduction=reduction)
        value, slope = gradient(ignoring, logits, labels.where(keep, 9))
        expected, expected_slope = gradient(dropping, logits[keep], labels[keep])
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(slope[keep], expected_slope)
        assert not slope[~keep].any()
    per_pixel = losses.create(name, ignore_index=9, reduction="none")(logits, labels.where(keep, 9))
    assert not per_pixel[~keep].any()


@kernels_too
@every_loss
def test_nothing_to_count_is_a_zero_with_a_graph(name):
    logits, labels = draw((2, 3, 5, 7))
    value, slope = gradient(
        losses.create(name, ignore_index=-1), logits, torch.full_like(labels, -1)
    )
    assert value == 0
    assert not slope.any()
    empty = torch.zeros(0, 3, requires_grad=True)
    losses.create(name)(empty, torch.zeros(0, dtype=torch.int64)).backward()
    assert empty.grad.shape == (0, 3)


@every_loss
@every_shape
def test_permuting_the_classes_changes_nothing(name, shape):
    logits, labels = draw(shape)
    order = torch.randperm(shape[1], generator=torch.Generator().manual_seed(3))
    loss = losses.create(name, reduction="none")
    torch.testing.assert_close(
        loss(logits[:, order], order.argsort()[labels]),
        loss(logits, labels),
        rtol=1e-12,
        atol=1e-12,
    )


@kernels_too
@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(8, 10), (2, 2, 3, 4, 5)], ids=str)
def test_huge_logits_stay_finite(name, dtype, shape):
    logits, labels = draw(shape, dtype=dtype)
    value, slope = gradient(losses.create(name), 1e4 * logits.sign(), labels)
    assert torch.isfinite(value)
    assert slope.dtype == dtype
    assert torch.isfinite(slope).all()


@kernels_too
@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_low_precision_is_computed_in_float32(name, dtype):
    logits, labels = draw((2, 3, 5, 7), dtype=dtype)
    loss = losses.create(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(logits, labels)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(logits.float(), labels))


@every_loss
def test_reductions_agree(name):
    logits, labels = draw((2, 3, 5, 7))
    none, mean, total = (
        losses.create(name, reduction=reduction)(logits, labels)
        for reduction in ("none", "mean", "sum")
    )
    torch.testing.assert_close(mean, none.mean())
    torch.testing.assert_close(total, none.sum())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(logits=torch.zeros(2)), "logits must be"),
        (dict(logits=torch.zeros(2, 1, 4)), "at least K = 2 classes"),
        (dict(logits=torch.zeros(2, 3, 4, dtype=torch.int64)), "floating point"),
        (dict(labels=torch.zeros(2, 3, 4)), r"labels must be \(2, 4\) or \(2, 1, 4\) for .* got"),
        (dict(labels=torch.zeros(2, dtype=torch.int64)), r"got \(2,\)"),
        (dict(labels=torch.zeros(2, 4)), r"integers or bool, got torch.float32; use labels.long"),
        (dict(labels=torch.full((2, 4), 3)), r"\[0, 3\).*found 3 to 3"),
        (dict(labels=torch.full((2, 4), -100)), r"found -100"),
    ],
)
def test_bad_input_is_named(change, message):
    inputs = dict(logits=torch.zeros(2, 3, 4), labels=torch.zeros(2, 4, dtype=torch.int64)) | change
    with pytest.raises(ValueError, match=message):
        losses.create("anl-ce")(inputs["logits"], inputs["labels"])


@pytest.mark.parametrize("name", [*POINTWISE, "anl-ce*", "t-loss"])
@pytest.mark.parametrize("shape", [(8, 3), (2, 3, 5, 7), (2, 3, 1, 1), (2, 3, 1)], ids=str)
def test_labels_with_a_channel(name, shape):
    logits, labels = draw(shape)
    loss = losses.create(name, ignore_index=2)
    assert torch.equal(loss(logits, labels.unsqueeze(1)), loss(logits, labels))


INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16]


@pytest.mark.parametrize("name", ["ce", "anl-ce", "anl-ce*", "t-loss"])
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_labels_of_any_integer_type(name, dtype):
    logits, labels = draw((2, 3, 5, 7))
    loss = losses.create(name, ignore_index=2)
    assert torch.equal(loss(logits, labels.to(dtype)), loss(logits, labels))


@pytest.mark.parametrize("name", ["ce", "anl-ce", "anl-ce*", "t-loss"])
def test_masks_of_type_bool(name):
    logits, labels = draw((2, 2, 5, 7))
    loss = losses.create(name)
    assert torch.equal(loss(logits, labels.bool()), loss(logits, labels))


@pytest.mark.parametrize("name", ["anl-ce", "t-loss"])
def test_arguments_that_are_not_tensors_are_named(name):
    logits, labels = draw((2, 3))
    loss = losses.create(name)
    with pytest.raises(TypeError, match=r"labels must be a torch.Tensor, got numpy.ndarray; conv"):
        loss(logits, labels.numpy())
    with pytest.raises(TypeError, match=r"logits must be a torch.Tensor, got numpy.ndarray"):
        loss(logits.numpy(), labels)
    with pytest.raises(TypeError, match=r"got builtins\.list"):
        loss(logits, labels.tolist())


def test_p_min_must_be_below_one_class_in_k():
    loss = losses.create("anl-ce", p_min=0.4)
    loss(torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"below 1/K = 1/3, got 0\.4"):
        loss(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))


@kernels_too
@pytest.mark.parametrize(("name", "without"), [("anl-ce*", "anl-ce"), ("anl-fl*", "anl-fl")])
def test_entropy_term(name, without):
    logits, labels = draw((40, 4))
    weight = losses.create(name, lambda_=0.3, ignore_index=0)(logits, labels)
    base = losses.create(without, ignore_index=0)(logits, labels)
    p = np.stack([reference.softmax(z) for z in logits.numpy()[labels.numpy() != 0]])
    torch.testing.assert_close(weight, base + 0.3 * reference.entropy(p))
    assert losses.create(name, lambda_=0, ignore_index=0)(logits, labels) == base
    value, slope = gradient(losses.create(name, ignore_index=9), logits, torch.full_like(labels, 9))
    assert value == 0
    assert not slope.any()
    with pytest.raises(ValueError, match=r"reduction of .* must be mean"):
        losses.create(name, reduction="none")


def test_repr_tells_the_settings():
    text = repr(losses.create("anl-ce", alpha=5, ignore_index=2))
    assert "anl-ce" in text
    assert "alpha=5" in text
    assert "ignore_index=2" in text
