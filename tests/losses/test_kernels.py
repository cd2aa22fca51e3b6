"""The Triton kernels against the formulas: on a GPU, or without one in Triton's interpreter."""

import os
import subprocess
import sys

import pytest
import torch
from losses import reference
from losses.test_autograd import draw, formulas, summands

from anl_seg.losses import autograd, create, functional, sums
from anl_seg.losses.slopes import SLOPES
from anl_seg.losses.table import complete, describe

kernels = pytest.importorskip("anl_seg.losses.kernels", reason="needs Triton")

CHOOSE = kernels.tile_and_warps
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(autouse=True)
def several_programs(monkeypatch):
    monkeypatch.setattr(kernels, "tile_and_warps", lambda classes, pixels: (64, 1))


@pytest.fixture
def forced(monkeypatch):
    """Let `autograd` use the kernels on whatever device there is."""
    monkeypatch.setattr(autograd, "find_kernels", lambda *arguments: kernels)


@pytest.mark.parametrize("pixels", [1, 128, 10**4, 10**7])
def test_programs_hold_all_classes_and_fit_in_registers(pixels):
    for classes in range(2, kernels.MOST_CLASSES + 1):
        tile, warps = CHOOSE(classes, pixels)
        assert tile >= classes
        assert 4 <= tile / (32 * warps) <= 32


def test_every_curve_has_its_constants():
    assert kernels.CURVES.keys() == SLOPES.keys()


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
    monkeypatch.setattr(kernels, "tile_and_warps", lambda classes, pixels: (4096, 8))
    logits = torch.linspace(5, 25, 2001).unsqueeze(1) * torch.tensor([1.0, 0.0])
    labels = torch.zeros(2001, dtype=torch.int64)
    ones = torch.ones(2001, device=DEVICE)
    slope = kernels.gradient(logits.to(DEVICE), labels.to(DEVICE), summands("fl"), ones)
    assert slope.abs().max() < 0.01


@pytest.mark.parametrize("q", [1e-4, 1e-2, 0.3])
def test_powers_close_to_0_keep_their_digits(q):
    logits = torch.linspace(-30, 30, 601).unsqueeze(1) * torch.tensor([1.0, 0.0])
    labels = torch.zeros(601, dtype=torch.int64)
    (term,) = describe("gce").terms
    terms = [term.bind({"q": q})]
    value = kernels.loss(logits.to(DEVICE), labels.to(DEVICE), terms).cpu()
    torch.testing.assert_close(
        value.double(), formulas(logits.double(), labels, terms), rtol=1e-5, atol=1e-7
    )


def test_a_power_of_a_base_close_to_0_is_exact():
    logits = torch.tensor([[0.0, 40.0], [40.0, 0.0]])
    labels = torch.zeros(2, dtype=torch.int64)
    (term,) = describe("aul").terms
    terms, ones = [term.bind({"a": 1 + 1e-8, "q": 1.5})], torch.ones(2, device=DEVICE)
    slope = kernels.gradient(logits.to(DEVICE), labels.to(DEVICE), terms, ones)
    torch.testing.assert_close(slope.cpu(), torch.zeros(2, 2), rtol=0, atol=1e-6)


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
    exact = logits.clone().requires_grad_()
    (expected,) = torch.autograd.grad(formulas(exact, labels, terms), exact, weights)
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
    monkeypatch.delattr(autograd, "_blockwise")
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
    torch.autograd.gradgradcheck(lambda z: autograd.per_pixel(z, y, summands("anl-fl")), z)


@pytest.mark.parametrize("addend", kernels.ADDENDS, ids=lambda addend: addend.__name__)
@pytest.mark.parametrize("shape", [(6, 10), (40, 2), (2, 3, 4, 5), (2, 2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("name", [None, "anl-ce"])
@pytest.mark.parametrize("share", [None, 0.6])
def test_sums(forced, monkeypatch, addend, shape, name, share):
    monkeypatch.delattr(sums, "_SumInBlocks")
    logits, labels, weights = draw(shape, 3.0)
    counts = None if share is None else weights < share
    terms = summands(name) if name else ()
    expected = [sums._sum_block(addend, *sums._flatten(logits, labels, counts)).sum(0)]
    z, y, mask = (None if x is None else x.detach().to(DEVICE) for x in (logits, labels, counts))
    z.requires_grad_()
    if name:
        expected.append(formulas(logits, labels, terms))
        loss, total = sums.per_pixel_and_sums(terms, addend, z, y, mask)
        found = [total.sum(0), loss]
    else:
        found = [sums.sum_pixels(addend, z, y, mask).sum(0)]
    upstream = [torch.linspace(-1, 2, shape[1]).double(), weights][: len(found)]
    (slope,) = torch.autograd.grad(found, z, [x.to(DEVICE) for x in upstream])
    (expected_slope,) = torch.autograd.grad(expected, logits, upstream)
    for value, truth in zip(found, expected, strict=True):
        torch.testing.assert_close(value.cpu(), truth, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(slope.cpu(), expected_slope, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 3), (2, 2, 3)], ids=str)
def test_second_derivative_of_sums(forced, shape):
    logits, labels, _ = draw(shape)
    z, y = logits.detach().to(DEVICE).requires_grad_(), labels.to(DEVICE)

    def total(z):
        loss, total = sums.per_pixel_and_sums(summands("anl-ce"), functional.probability, z, y)
        return loss.sum() + total.square().sum()

    torch.autograd.gradgradcheck(total, z)
    torch.autograd.gradgradcheck(lambda z: sums.sum_pixels(functional.squared_error, z, y), z)


def test_cpus_use_the_blocks():
    assert autograd.find_kernels(torch.zeros(1, 2), summands("anl-ce")) is None


@pytest.mark.parametrize(
    ("classes", "name", "given", "taken"),
    [(4096, "anl-ce", {}, True), (4097, "anl-ce", {}, False), (2, "tce", {"t": 33}, False)],
)
def test_unsupported_summands_use_the_blocks(classes, name, given, taken):
    hyper_parameters = complete(name, given)
    terms = [term.bind(hyper_parameters) for term in describe(name).terms]
    assert kernels.takes(classes, terms) is taken


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_kernels_are_tried_with_their_own_loss(dtype):
    tried = autograd._try_kernels(torch.device(DEVICE), dtype, 3, summands("anl-fl"))
    assert tried is kernels


def test_if_triton_fails_there_is_a_warning_and_the_blocks_are_used(monkeypatch):
    def fail(*arguments):
        raise RuntimeError("no C compiler")

    monkeypatch.setattr(kernels, "_launch", fail)
    terms = summands("anl-ce")
    with pytest.warns(RuntimeWarning, match="slower path.*no C compiler"):
        assert autograd._try_kernels(torch.device(DEVICE), torch.float32, 3, terms) is None
    assert autograd._try_kernels(torch.device(DEVICE), torch.float32, 3, terms) is None  # no more


COMPILE = """
import itertools
import sys

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from anl_seg.losses import kernels
from anl_seg.losses.functional import Summand
from anl_seg.losses.table import LOSSES, complete, describe

curves = {t.curve: t.bind(complete(n, {})).curve for n in LOSSES for t in describe(n).terms}
forms = itertools.cycle(("plain", "normalized", "normalized negative"))
summands = [Summand(form, curve, 1.0, 1e-7) for curve, form in zip(curves.values(), forms)]
targets = (argument.split("/") for argument in sys.argv[1:])
for (capability, dtype, classes), kernel in itertools.product(
    targets, (kernels._loss, kernels._gradient)
):
    precise = "fp64" if dtype == "fp64" else "fp32"
    tile, warps = kernels.tile_and_warps(int(classes), 2**24)
    block = triton.next_power_of_2(int(classes))
    types = {"logits": dtype, "slopes": dtype, "labels": "i64", "counts": "i1"}
    signature, constants = {}, {
        "SUMMANDS": tuple(number for each in summands for number in kernels._numbers(each)),
        "ADDEND": kernels.SQUARED_ERROR.value,
        "PRECISION": tl.float64 if precise == "fp64" else tl.float32,
        "BLOCK_CLASSES": block,
        "BLOCK_PIXELS": tile // block,
    }
    for place, name in enumerate(kernel.arg_names):
        if name in ("classes", "pixels"):
            signature[name] = "i32"
        elif name.isupper():
            signature[name] = "constexpr"
        else:  # a tensor whose last stride is 1, which a launch makes a constant
            signature[name] = ("*" + types.get(name, precise), "i32", "i32", "constexpr")
            constants[place, 3] = 1
    compiled = triton.compile(
        ASTSource(fn=kernel, signature=signature, constexprs=constants),
        target=GPUTarget("cuda", int(capability), 32),
        options={
            "num_warps": warps,
            "debug": kernel is kernels._loss,
            "sanitize_overflow": False,
        },
    )
    assert compiled.asm["cubin"]
"""


@pytest.mark.slow
def test_kernels_compile_for_absent_gpus(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    targets = ["75/fp16/2", "90/bf16/14", "100/fp32/105", "80/fp64/2"]
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, *targets],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
