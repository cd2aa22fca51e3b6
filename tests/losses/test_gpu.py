"""The losses on a GPU, as a training uses them, against the formulas in float64 on the CPU.

Without a GPU the other tests run the same kernels in Triton's interpreter, or only compile them.
"""

import subprocess
import sys

import pytest
import torch
from losses.test_autograd import draw, formulas

from anl_seg import losses
from anl_seg.losses import autograd, regularizers, sums

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

TYPES = [torch.float32, torch.float16, torch.bfloat16]
every_type = pytest.mark.parametrize("dtype", TYPES, ids=str)
some_losses = pytest.mark.parametrize("name", ["anl-ce", "anl-ce*", "gce", "t-loss"])


@pytest.fixture(autouse=True)
def only_kernels(monkeypatch):
    """Fail if anything on the GPU is computed in blocks instead."""
    monkeypatch.delattr(autograd, "_blockwise")
    monkeypatch.delattr(sums, "_SumInBlocks")


def on_gpu(logits, labels, dtype=torch.float32, device="cuda"):
    return logits.detach().to(device, dtype).requires_grad_(), labels.to(device)


def truth(name, logits, labels, ignore_index=None):
    """Value and gradient of the mean, in float64 on the CPU, by autograd of the formulas."""
    loss = losses.create(name, ignore_index=ignore_index)
    z = logits.detach().cpu().double().requires_grad_()
    y = labels.cpu()
    if name.startswith("t-loss"):
        slope, value = torch.func.grad_and_value(loss.double())(z.detach(), y)
        return value.detach(), slope
    counts = torch.ones_like(y, dtype=torch.bool) if ignore_index is None else y != ignore_index
    per_pixel = formulas(z, y.where(counts, 0), loss.summands).where(counts, 0)
    value = per_pixel.sum() / counts.sum()
    if losses.describe(name).entropy:
        p = z.softmax(1).movedim(1, -1)[counts]
        value = value + loss._entropy_weight * regularizers.entropy_of_sums(p, len(p))
    return value.detach(), torch.autograd.grad(value, z)[0]


def assert_true(name, logits, labels, ignore_index=None, **options):
    """Compare a loss and its gradient with the truth for the same, rounded, logits."""
    loss = losses.create(name, ignore_index=ignore_index, **options).to(logits.device)
    value = loss(logits, labels)
    (slope,) = torch.autograd.grad(value, logits)
    expected, expected_slope = truth(name, logits, labels, ignore_index)
    assert (value.dtype, slope.dtype) == (torch.float32, logits.dtype)
    torch.testing.assert_close(value.detach().cpu().double(), expected, rtol=2e-5, atol=1e-6)
    precision = torch.finfo(logits.dtype)
    rounding = max(1e-5, precision.eps)
    # gradients of a mean are small: float16 has no numbers between 0 and the second limit
    atol = max(rounding * expected_slope.abs().max().item(), precision.tiny * precision.eps)
    torch.testing.assert_close(slope.cpu().double(), expected_slope, rtol=rounding, atol=atol)


@every_type
@pytest.mark.parametrize("name", losses.names())
def test_every_loss(name, dtype):
    logits, labels, _ = draw((2, 5, 16, 32), 3.0)
    assert_true(name, *on_gpu(logits, labels, dtype))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*(("anl-ce", dtype) for dtype in TYPES), ("anl-ce*", TYPES[1]), ("t-loss", TYPES[1])],
    ids=str,
)
@pytest.mark.parametrize(
    "shape", [(3, 2, 37, 53), (2, 14, 9, 11, 13), (2, 105, 33, 17), (130, 10), (7, 1000)], ids=str
)
def test_odd_sizes(name, dtype, shape):
    logits, labels, _ = draw(shape, 3.0)
    assert_true(name, *on_gpu(logits, labels, dtype))


@some_losses
@pytest.mark.parametrize(
    "change",
    [
        lambda z: z.to(memory_format=torch.channels_last),
        lambda z: z.transpose(2, 3).contiguous().transpose(2, 3),
        lambda z: torch.cat((z, z), 3)[..., : z.shape[3]],
        lambda z: torch.cat((z, z))[::2],
    ],
    ids=["channels last", "transposed", "a part", "every second sample"],
)
def test_any_memory_layout(name, change):
    logits, labels, _ = draw((2, 3, 24, 40))
    z, y = on_gpu(logits, labels, torch.float16)
    assert_true(name, change(z.detach()).requires_grad_(), y)


@some_losses
@pytest.mark.parametrize("shape", [(64, 10), (2, 3, 24, 40)], ids=str)
def test_ignored_pixels(name, shape):
    logits, labels, weights = draw(shape)
    labels[weights < 0.4] = 255
    assert_true(name, *on_gpu(logits, labels), ignore_index=255)


@some_losses
def test_the_same_result_each_time(name):
    z, y = on_gpu(*draw((2, 14, 64, 96))[:2])
    loss = losses.create(name).cuda()
    values = [loss(z, y) for _ in range(3)]
    slopes = [torch.autograd.grad(value, z)[0] for value in values]
    assert all(torch.equal(values[0], value) for value in values)
    assert all(torch.equal(slopes[0], slope) for slope in slopes)


@some_losses
@pytest.mark.parametrize("dtype", TYPES[1:], ids=str)
def test_autocast_and_gradient_scaler(name, dtype):
    torch.manual_seed(0)
    network = torch.nn.Conv2d(3, 4, 3, padding=1).cuda()
    loss = losses.create(name).cuda()
    x = torch.randn(2, 3, 32, 48, device="cuda")
    y = torch.randint(4, (2, 32, 48), device="cuda")
    with torch.autocast("cuda", dtype=dtype):
        logits = network(x)
        value = loss(logits, y)
    assert logits.dtype == dtype
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(logits.float(), y))
    torch.amp.GradScaler("cuda").scale(value).backward()
    assert all(torch.isfinite(w.grad).all() and w.grad.any() for w in network.parameters())


@some_losses
@pytest.mark.parametrize("shape", [(128, 10), (2, 3, 48, 64)], ids=str)
@pytest.mark.parametrize("ignore_index", [None, 0])
def test_a_cuda_graph_captures_loss_and_backward(name, shape, ignore_index):
    logits, labels, _ = draw(shape)
    z, y = on_gpu(logits, labels)
    loss = losses.create(name, ignore_index=ignore_index).cuda()

    def work():
        value = loss(z, y)
        return value.detach(), torch.autograd.grad(value, z)[0]

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = work()
    with torch.no_grad():
        z.copy_(2 * z.flip(0))
        y.copy_(y.flip(0))
    graph.replay()
    for found, expected in zip(captured, work(), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["anl-ce", "anl-ce*"])
@pytest.mark.parametrize("classes", [2, 5])
def test_compiled(name, classes):
    logits, labels, _ = draw((2, classes, 24, 40))
    torch._dynamo.reset()
    loss = losses.create(name).cuda()
    compiled = torch.compile(loss, fullgraph=True)
    z, y = on_gpu(logits, labels)
    value = compiled(z, y)
    expected, expected_slope = truth(name, logits, labels)
    torch.testing.assert_close(value.detach().cpu().double(), expected, rtol=2e-5, atol=1e-6)
    (slope,) = torch.autograd.grad(value, z)
    torch.testing.assert_close(slope.cpu().double(), expected_slope, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("shape", [(5, 2, 2**28), (1_100_000, 2048)], ids=str)
def test_more_logits_than_32_bits_count(shape):
    """The last pixels of a huge tensor get what they get alone."""
    if torch.cuda.mem_get_info()[0] < 40 * 2**30:
        pytest.skip("needs 40 GiB of free GPU memory")
    torch.manual_seed(0)
    logits = torch.randn(shape, device="cuda", dtype=torch.float16, requires_grad=True)
    assert logits.numel() > 2**31
    labels = torch.randint(shape[1], (shape[0], *shape[2:]), device="cuda")
    last = logits[-64:] if logits.ndim == 2 else logits[-1:, :, -64:]
    few = last.detach().requires_grad_()
    few_labels = labels[-64:] if logits.ndim == 2 else labels[-1:, -64:]
    loss = losses.create("anl-ce", reduction="none")
    found, expected = loss(logits, labels), loss(few, few_labels)
    torch.testing.assert_close(found.flatten()[-64:], expected.flatten())
    (slope,) = torch.autograd.grad(found, logits, torch.ones((), device="cuda").expand_as(found))
    (expected_slope,) = torch.autograd.grad(expected.sum(), few)
    slope = slope[-64:] if logits.ndim == 2 else slope[-1:, :, -64:]
    torch.testing.assert_close(slope, expected_slope)


@some_losses
def test_second_device(name):
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    assert torch.cuda.current_device() == 0
    logits, labels, _ = draw((2, 3, 24, 40))
    assert_true(name, *on_gpu(logits, labels, device="cuda:1"))


LABELS_THAT_DO_NOT_EXIST = """
import torch
from anl_seg import losses
logits = torch.zeros(2, 3, 16, device="cuda", requires_grad=True)
losses.create("anl-ce")(logits, torch.full((2, 16), 3, device="cuda")).backward()
torch.cuda.synchronize()
"""


def test_labels_that_do_not_exist_stop_the_program(tmp_path):
    """In a process of its own, because the assertion ends its use of the device."""
    done = subprocess.run(
        [sys.executable, "-c", LABELS_THAT_DO_NOT_EXIST],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "device-side assert" in done.stderr
    assert "labels must be in [0, K)" in done.stdout + done.stderr
