"""L1, L2, Jacobian and entropy regularisation against autograd, exact Jacobians and one process."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from losses import reference
from torch import nn

from anl_seg import losses


def network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    net[0].bias.requires_grad_(False)
    return net


@pytest.mark.parametrize(
    ("add", "penalty"),
    [
        (losses.add_l1_gradient, lambda weights: losses.l1_norm(weights)),
        (losses.add_l2_gradient, lambda weights: losses.l2_norm_squared(weights) / 2),
    ],
)
@pytest.mark.parametrize("after_backward", [True, False])
def test_gradients_of_weight_penalties(add, penalty, after_backward):
    expected, ours = network(), network()
    x = torch.ones(2, 5, dtype=torch.float64)
    if after_backward:
        expected(x).sum().backward()
        ours(x).sum().backward()
    (0.3 * penalty(expected.parameters())).backward()
    add(ours.parameters(), 0.3)
    for weight, other in zip(ours.parameters(), expected.parameters(), strict=True):
        if weight.requires_grad:
            torch.testing.assert_close(weight.grad, other.grad)
        else:
            assert weight.grad is None


def test_jacobian_of_one_logit_is_exact():
    net = nn.Linear(6, 1).double()
    x = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    norm = losses.jacobian_norm_squared(x, net(x))
    torch.testing.assert_close(norm, net.weight.square().sum())
    norm.backward()
    torch.testing.assert_close(net.weight.grad, 2 * net.weight.detach())


def test_jacobian_is_estimated_without_bias():
    net = network()
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    exact = sum(torch.autograd.functional.jacobian(net, row).square().sum() for row in x) / len(x)
    estimate = losses.jacobian_norm_squared(
        x, net(x), projections=3000, generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(estimate, exact, rtol=0.03, atol=0)


def test_jacobian_of_masks():
    net = nn.Conv2d(1, 2, 1, bias=False).double()
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    exact = 16 * net.weight.square().sum()
    estimate = losses.jacobian_norm_squared(
        x, net(x), projections=2000, generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(estimate, exact, rtol=0.03, atol=0)


@pytest.mark.parametrize("shape", [(20, 3), (2, 4, 5, 6)], ids=str)
def test_entropy_equals_equation_13(shape):
    logits = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    samples = logits.detach().movedim(1, -1).reshape(-1, shape[1]).numpy()
    expected = reference.entropy(np.stack([reference.softmax(z) for z in samples]))
    assert losses.entropy(logits).item() == pytest.approx(expected, abs=1e-12)
    assert torch.autograd.gradcheck(losses.entropy, logits)


def test_entropy_at_its_ends():
    assert losses.entropy(torch.zeros(4, 3)).item() == pytest.approx(0, abs=1e-6)
    certain = torch.tensor([[1e4, -1e4, -1e4]]).requires_grad_()
    value = losses.entropy(certain)
    value.backward()
    assert value.item() == pytest.approx(math.log(3))
    assert torch.isfinite(certain.grad).all()
    assert losses.entropy(torch.zeros(0, 3)).item() == 0  # no pixel counts


RANK = """
import sys, torch, torch.distributed as dist
from anl_seg import losses
rank, file = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
logits = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
some = torch.arange(12) % 5 != 0
part = slice(0, 4) if rank == 0 else slice(4, 12)  # ranks may differ in size
for counts in (some, None):
    mine = logits[part].clone().requires_grad_()
    value = losses.entropy(mine, None if counts is None else counts[part])
    value.backward()
    whole = logits.clone().requires_grad_()
    p = whole.softmax(1)[slice(None) if counts is None else counts].mean(0)
    expected = torch.log(torch.tensor(3.0)) + (p * p.log()).sum()
    expected.backward()
    torch.testing.assert_close(value, expected)
    # DDP averages what the ranks have: each must have as many times the gradient as ranks exist.
    torch.testing.assert_close(mine.grad / 2, whole.grad[part])
dist.destroy_process_group()
"""


def test_entropy_of_two_ranks_is_that_of_the_global_batch(tmp_path):
    ranks = [
        subprocess.Popen([sys.executable, "-c", RANK, str(rank), str(tmp_path / "store")])
        for rank in range(2)
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
