"""The analytic backward against autograd of the formulas that it stands for."""

import shutil

import pytest
import torch
from losses import reference

from anl_seg import losses
from anl_seg.losses import autograd, blocks, functional
from anl_seg.losses.table import complete, describe


@pytest.fixture(autouse=True)
def several_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 16)


def summands(name, **values):
    hyper_parameters = complete(name, values)
    return tuple(term.bind(hyper_parameters) for term in describe(name).terms)


def draw(shape, scale=2.0):
    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
    weights = torch.rand(labels.shape, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), labels, weights


def formulas(logits, labels, terms):
    return functional.weighted_sum(terms, logits.log_softmax(1), labels)


def assert_like_the_formulas(logits, labels, weights, terms):
    loss = autograd.per_pixel(logits, labels, terms)
    expected = formulas(logits, labels, terms)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    (slope,) = torch.autograd.grad(loss, logits, weights)
    (expected_slope,) = torch.autograd.grad(expected, logits, weights)
    torch.testing.assert_close(slope, expected_slope, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", reference.LOSSES)
@pytest.mark.parametrize("shape", [(8, 10), (9, 2), (2, 3, 5, 7), (2, 2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("scale", [1.0, 12.0])
def test_value_and_gradient(name, shape, scale):
    assert_like_the_formulas(*draw(shape, scale), summands(name))


@pytest.mark.parametrize("shape", [(4, 3), (2, 2, 3)], ids=str)
def test_second_derivative(shape):
    logits, labels, _ = draw(shape)
    torch.autograd.gradgradcheck(
        lambda z: autograd.per_pixel(z, labels, summands("anl-fl")), logits
    )


def test_retained_graph_can_be_used_again():
    logits, labels, weights = draw((2, 3, 5, 7))
    loss = autograd.per_pixel(logits, labels, summands("anl-ce"))
    first, second = (
        torch.autograd.grad(loss, logits, factor * weights, retain_graph=True)[0]
        for factor in (1, 2)
    )
    torch.testing.assert_close(second, 2 * first)


@pytest.mark.parametrize("classes", [2, 3])
def test_any_memory_layout(classes):
    logits, labels, weights = draw((2, classes, 5, 7))
    terms = summands("anl-ce")
    (expected,) = torch.autograd.grad(autograd.per_pixel(logits, labels, terms), logits, weights)
    for change in (
        lambda z: z.to(memory_format=torch.channels_last),
        lambda z: z.transpose(2, 3).contiguous().transpose(2, 3),
        lambda z: torch.cat((z, z), 3)[..., :7],
    ):
        other = change(logits.detach()).requires_grad_()
        loss = autograd.per_pixel(other, labels, terms)
        torch.testing.assert_close(torch.autograd.grad(loss, other, weights)[0], expected)


def test_without_gradient_the_value_is_the_same():
    logits, labels, _ = draw((2, 3, 5, 7))
    terms = summands("anl-ce")
    with torch.no_grad():
        value = autograd.per_pixel(logits, labels, terms)
    torch.testing.assert_close(value, autograd.per_pixel(logits, labels, terms).detach())


def test_gradients_keep_the_precision_of_the_logits():
    logits, labels, _ = draw((2, 3, 5, 7))
    half = logits.detach().half().requires_grad_()
    loss = autograd.per_pixel(half, labels, summands("anl-ce"))
    assert loss.dtype == torch.float32
    loss.sum().backward()
    assert half.grad.dtype == torch.float16


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *(("fl", {"gamma": gamma}) for gamma in (0, 1, 2, 5)),
        *(("anl-fl", {"gamma": gamma, "p_min": 0.49}) for gamma in (0, 2)),
        ("anl-ce", {"alpha": 0, "p_min": 0.49}),
        ("anl-ce", {"beta": 0}),
        ("gce", {"q": 1}),
        ("phce", {"tau": 1.01}),
        ("tce", {"t": 1}),
        ("agce", {"a": 0.1, "q": 3}),
        ("aul", {"a": 1.01, "q": 0.5}),
    ],
    ids=str,
)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("way", ["_blockwise", "_ForCompilers"])
def test_hyper_parameters_at_their_ends(name, values, classes, way, monkeypatch):
    if name.startswith("anl") and "p_min" in values and classes == 3:
        values = values | {"p_min": 0.33}
    monkeypatch.setattr(autograd, "is_compiling", lambda: way == "_ForCompilers")
    assert_like_the_formulas(*draw((30, classes, 4), 6.0), summands(name, **values))


def compile_or_skip(loss, backend, **options):
    if backend == "inductor" and not shutil.which("g++"):
        pytest.skip("torch.compile for CPUs needs a C++ compiler")
    if not autograd.FUSES:
        pytest.skip("this torch compiles the formulas")
    torch._dynamo.reset()  # it gives up on code that was compiled often
    return torch.compile(loss, backend=backend, fullgraph=True, **options)


@pytest.mark.parametrize(
    ("name", "classes", "backend"),
    [
        ("anl-ce", 2, "aot_eager"),
        ("anl-ce", 3, "aot_eager"),
        *(
            pytest.param(*case, "inductor", marks=pytest.mark.slow)
            for case in (("anl-ce*", 2), ("anl-ce*", 3), ("nfl+rce", 2), ("gce", 2))
        ),
    ],
)
def test_compiles_in_one_piece(name, classes, backend):
    logits, labels, _ = draw((2, classes, 5, 7))
    loss = losses.create(name, ignore_index=0)
    expected = loss(logits, labels)
    value = compile_or_skip(loss, backend)(logits, labels)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad(result, logits)[0] for result in (value, expected))
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_compiled_once_for_many_sizes_and_without_gradient(classes):
    loss = losses.create("anl-ce")
    compiled = compile_or_skip(loss, "aot_eager", dynamic=True)
    for shape in ((2, classes, 5, 7), (3, classes, 6, 5)):
        logits, labels, _ = draw(shape)
        half = logits.detach().half().requires_grad_()
        (slope,) = torch.autograd.grad(compiled(half, labels), half)
        assert slope.dtype == torch.float16
        torch.testing.assert_close(slope, torch.autograd.grad(loss(half, labels), half)[0])
        with torch.no_grad():
            torch.testing.assert_close(compiled(half, labels), loss(half, labels))


@pytest.mark.parametrize("classes", [2, 3])
def test_labels_that_do_not_exist_stop_compiled_code(classes):
    logits, labels, _ = draw((2, classes, 5, 7))
    compiled = compile_or_skip(losses.create("anl-ce"), "aot_eager")
    for wrong in (-1, classes, 255):
        labels[0, 0, 0] = wrong
        with pytest.raises(RuntimeError, match=rf"labels must be in \[0, {classes}\)"):
            compiled(logits, labels)


def test_created_whatever_the_default_device():
    with torch.device("meta"):
        loss = losses.create("anl-ce")
    assert torch.isfinite(loss(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64)))
