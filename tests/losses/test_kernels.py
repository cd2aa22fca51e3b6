"""The Triton kernels against the formulas: on a GPU, or without one in Triton's interpreter."""

import os
import subprocess
import sys

import pytest
import torch
from losses import reference
from losses.test_fast import draw, formulas, summands

from anl_seg.losses import create, fast

kernels = pytest.importorskip("anl_seg.losses.kernels", reason="needs Triton")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(autouse=True)
def several_programs(monkeypatch):
    monkeypatch.setattr(kernels, "TILE", 64)


@pytest.fixture
def forced(monkeypatch):
    """Let `fast` use the kernels on whatever device there is."""
    monkeypatch.setattr(fast, "find_kernels", lambda logits: kernels)


def test_every_curve_has_its_constants():
    assert kernels.CURVES.keys() == fast.SLOPES.keys()


@pytest.mark.parametrize("name", reference.LOSSES)
@pytest.mark.parametrize(
    ("shape", "scale"), [((6, 10), 1.0), ((40, 2), 12.0), ((2, 3, 4, 5), 12.0)], ids=str
)
def test_value_and_gradient(name, shape, scale):
    logits, labels, weights = draw(shape, scale)
    terms = summands(name)
    expected = formulas(logits, labels, terms)
    (expected_slope,) = torch.autograd.grad(expected, logits, weights)
    z, y, w = (x.detach().to(DEVICE) for x in (logits, labels, weights))
    value, slope = kernels.loss(z, y, terms), kernels.gradient(z, y, terms, w)
    torch.testing.assert_close(value.cpu(), expected.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(slope.cpu(), expected_slope, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["anl-ce", "anl-fl", "gce", "phce", "tce", "nce+agce", "nce+aul"])
def test_extreme_logits_in_low_precision(name, dtype):
    scale = torch.tensor([1.0, 10.0, 100.0, 1e4])
    logits = (torch.tensor([1.0, -1.0, 0.5]) * scale[:, None]).repeat_interleave(3, 0).to(dtype)
    labels = torch.arange(3).repeat(4)
    terms = summands(name)
    exact = logits.double().requires_grad_()
    expected = formulas(exact, labels, terms)
    (expected_slope,) = torch.autograd.grad(expected.sum(), exact)
    z, y, ones = logits.to(DEVICE), labels.to(DEVICE), torch.ones(12, device=DEVICE)
    value, slope = kernels.loss(z, y, terms), kernels.gradient(z, y, terms, ones)
    assert (value.dtype, slope.dtype) == (torch.float32, dtype)
    torch.testing.assert_close(value.double().cpu(), expected.detach(), rtol=1e-5, atol=1e-5)
    tolerance = max(1e-5, torch.finfo(dtype).eps)
    torch.testing.assert_close(slope.double().cpu(), expected_slope, rtol=tolerance, atol=tolerance)


def test_confident_focal_pixels_have_small_gradients(monkeypatch):
    # log p and 1 - p round apart where p is close to 1; their quotient must not
    monkeypatch.setattr(kernels, "TILE", 4096)
    logits = torch.linspace(5, 25, 2001).unsqueeze(1) * torch.tensor([1.0, 0.0])
    labels = torch.zeros(2001, dtype=torch.int64)
    ones = torch.ones(2001, device=DEVICE)
    slope = kernels.gradient(logits.to(DEVICE), labels.to(DEVICE), summands("fl"), ones)
    assert slope.abs().max() < 0.01


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "change",
    [
        lambda z: z.to(memory_format=torch.channels_last),
        lambda z: z.transpose(2, 3).contiguous().transpose(2, 3),
        lambda z: torch.cat((z, z), 3)[..., :7],
    ],
    ids=["channels last", "transposed", "a part"],
)
def test_any_memory_layout(classes, change):
    logits, labels, weights = (x.detach().to(DEVICE) for x in draw((2, classes, 5, 7)))
    terms = summands("anl-ce")
    expected = kernels.gradient(logits, labels, terms, weights)
    slope = kernels.gradient(change(logits), labels, terms, weights)
    assert slope.shape == logits.shape
    torch.testing.assert_close(slope, expected)


def test_nothing_to_do():
    logits = torch.empty((0, 3, 5), device=DEVICE)
    labels = torch.empty((0, 5), dtype=torch.int64, device=DEVICE)
    terms = summands("anl-ce")
    assert kernels.loss(logits, labels, terms).shape == labels.shape
    assert kernels.gradient(logits, labels, terms, labels.float()).shape == logits.shape


@pytest.mark.parametrize("shape", [(6, 5), (2, 3, 5, 7)], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_loss_goes_through_them(forced, monkeypatch, shape, reduction):
    monkeypatch.delattr(fast, "_blockwise")
    logits, labels, weights = draw(shape)
    loss = create("anl-ce", alpha=5.0, beta=2.0, reduction=reduction)
    expected = formulas(logits, labels, loss.summands)
    if reduction != "none":
        expected, weights = getattr(expected, reduction)(), weights[0].sum()
    z = logits.detach().to(DEVICE).requires_grad_()
    value = loss(z, labels.to(DEVICE))
    torch.testing.assert_close(value.cpu(), expected)
    for factor in (1, 2):  # the second time from a retained graph
        upstream = factor * weights
        (slope,) = torch.autograd.grad(value, z, upstream.to(DEVICE), retain_graph=True)
        (expected_slope,) = torch.autograd.grad(expected, logits, upstream, retain_graph=True)
        torch.testing.assert_close(slope.cpu(), expected_slope)


def test_second_derivative(forced):
    logits, labels, _ = draw((2, 2, 3))
    z, y = logits.detach().to(DEVICE).requires_grad_(), labels.to(DEVICE)
    torch.autograd.gradgradcheck(lambda z: fast.per_pixel(z, y, summands("anl-fl")), z)


def test_processors_and_too_many_classes_keep_to_the_blocks(monkeypatch):
    assert fast.find_kernels(torch.zeros(1, 2)) is None
    monkeypatch.setattr(fast, "_try_kernels", lambda device: kernels)
    fits = torch.zeros(1, kernels.MOST_CLASSES, device="meta")
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    assert fast.find_kernels(fits) is kernels
    assert fast.find_kernels(torch.cat((fits, fits), 1)) is None


def test_where_triton_fails_a_warning_says_so(monkeypatch):
    def fail(*arguments):
        raise RuntimeError("no C compiler")

    monkeypatch.setattr(kernels, "loss", fail)
    with pytest.warns(RuntimeWarning, match="slower path.*no C compiler"):
        assert fast._try_kernels.__wrapped__(torch.device(DEVICE)) is None


COMPILE = """
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from anl_seg.losses import kernels
from anl_seg.losses.functional import Summand
from anl_seg.losses.table import LOSSES, complete, describe

curves = {t.curve: t.bind(complete(n, {})).curve for n in LOSSES for t in describe(n).terms}
forms = ("plain", "normalized", "normalized negative")
summands = [Summand(form, curve, 1.0, 1e-7) for curve in curves.values() for form in forms]
for kernel in (kernels._loss, kernels._gradient):
    types = {"logits": "*fp16", "labels": "*i64", "slopes": "*fp16"}
    signature = {
        name: "i32" if name in ("classes", "pixels")
        else "constexpr" if name.isupper()
        else (types.get(name, "*fp32"), "i32", "i32", "i32")
        for name in kernel.arg_names
    }
    constants = {
        "SUMMANDS": tuple(map(kernels._describe, summands)), "PRECISION": tl.float32,
        "BLOCK_CLASSES": 16, "BLOCK_PIXELS": 64,
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    for capability in (75, 100):
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
        assert compiled.asm["cubin"]
"""


@pytest.mark.slow
def test_they_compile_for_a_gpu_that_is_not_there(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
