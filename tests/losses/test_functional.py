"""The formulas: gradients, and what the paper proves about them."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from losses import reference

from anl_seg import losses
from anl_seg.losses import functional as F
from anl_seg.losses.table import complete, describe

P_MIN = 1e-7
A = -math.log(P_MIN)
DETACHED = [
    n for n in reference.LOSSES if any(t.curve is F.focal_detached for t in describe(n).terms)
]
#: Curves that are 0 at p = 1, as a loss to be normalised should be.
BOUNDED_BELOW_BY_0 = [
    F.cross_entropy,
    partial(F.focal, gamma=0.5),
    partial(F.focal, gamma=2),
    partial(F.focal_detached, gamma=2),
    F.mean_absolute_error,
    partial(F.generalized_cross_entropy, q=0.7),
    partial(F.taylor_cross_entropy, t=3),
    partial(F.asymmetric_generalized_cross_entropy, a=6, q=1.5),
]


def name_of(curve):
    if not isinstance(curve, partial):
        return curve.__name__
    return " ".join([curve.func.__name__, *(f"{k}={v}" for k, v in curve.keywords.items())])


every_curve = pytest.mark.parametrize("curve", BOUNDED_BELOW_BY_0, ids=name_of)


def summands(name, **given):
    hyper_parameters = complete(name, given)
    return [term.bind(hyper_parameters) for term in describe(name).terms]


def draw(samples, classes, scale=3.0):
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(samples, classes, generator=generator, dtype=torch.float64)


def over_all_labels(form, logits):
    """The loss of each sample for each label, (B, K)."""
    labels = torch.arange(logits.shape[1]).expand(len(logits), -1)
    return torch.stack([form(logits.log_softmax(1), y.contiguous()) for y in labels.unbind(1)], 1)


@pytest.mark.parametrize("name", [name for name in reference.LOSSES if name not in DETACHED])
@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 2, 2), (3, 2)], ids=str)
def test_gradcheck(name, shape):
    logits = draw(math.prod(shape), 1).reshape(shape).requires_grad_()
    labels = torch.arange(shape[0] * math.prod(shape[2:])).reshape(shape[0], *shape[2:]) % shape[1]
    terms = summands(name)
    assert torch.autograd.gradcheck(
        lambda z: F.weighted_sum(terms, z.log_softmax(1), labels), logits, atol=1e-7
    )


@pytest.mark.parametrize("name", DETACHED)
def test_published_focal_gradient_holds_the_weights_constant(name):
    logits = draw(5, 4).requires_grad_()
    labels = torch.tensor([0, 1, 2, 3, 0])
    weights = (1 - logits.detach().softmax(1)) ** 0.5
    largest = -((1 - P_MIN) ** 0.5) * math.log(P_MIN)

    u = logits.log_softmax(1)
    focal = -weights * u
    of_label = focal[range(5), labels]
    flipped_label = largest - of_label
    nfl = of_label / focal.sum(1)
    nnfl = 1 - flipped_label / (largest - focal).sum(1)
    p_label = u[range(5), labels].exp()
    surrogates = {
        "fl-published": of_label,
        "nfl-published": nfl,
        "nnfl-published": nnfl,
        "nfl+mae-published": nfl + 1 - p_label,
        "nfl+rce-published": nfl - math.log(1e-4) * (1 - p_label),
        "anl-fl-published": nfl + nnfl,
    }
    (expected,) = torch.autograd.grad(surrogates[name].sum(), logits)
    loss = F.weighted_sum(summands(name), logits.log_softmax(1), labels)
    torch.testing.assert_close(torch.autograd.grad(loss.sum(), logits)[0], expected)


@pytest.mark.parametrize("name", ["mae", "nce", "nfl", "nnce", "nnfl", "anl-ce", "anl-fl"])
def test_two_classes_right_and_wrong_pixels_are_pulled_alike(name):
    # Theorem 1 with K = 2: L(t) + L(-t) is constant for a margin t, so its slope is even. What the
    # network has right is pulled as hard as what it has wrong; NNCE lets go beyond p_min only.
    margin = torch.linspace(0.5, 20, 40, dtype=torch.float64)
    slopes = []
    for t in (margin, -margin):
        logits = torch.stack((t, torch.zeros_like(t)), 1).requires_grad_()
        loss = F.weighted_sum(summands(name), logits.log_softmax(1), torch.zeros(40).long())
        slopes.append(torch.autograd.grad(loss.sum(), logits)[0][:, 0])
    torch.testing.assert_close(*slopes, rtol=1e-6, atol=1e-12)
    if name == "nnce":
        held = margin < -math.log(P_MIN)
        assert (slopes[0][held].diff() < 0).all()  # pulled ever harder
        assert (slopes[0][~held] == 0).all()


@every_curve
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_theorem_1_normalised_losses_are_symmetric_and_in_range(curve, classes):
    for scale in (1.0, 15.0):  # 15: clipped probabilities occur
        logits = draw(50, classes, scale)
        active = over_all_labels(partial(F.normalized, curve), logits)
        passive = over_all_labels(partial(F.normalized_negative, curve, p_min=P_MIN), logits)
        torch.testing.assert_close(active.sum(1), torch.ones(50, dtype=torch.float64))
        torch.testing.assert_close(passive.sum(1), torch.full((50,), classes - 1.0).double())
        for loss in (active, passive):
            assert loss.min() >= -1e-12
            assert loss.max() <= 1 + 1e-12


@every_curve
@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("noise_rate", [0.0, 0.2, 0.5, 0.8])
def test_theorem_2_risk_under_symmetric_noise(curve, classes, noise_rate):
    """R_noisy = (1 - rate K / (K - 1)) R + rate: below (K - 1) / K the same minimiser."""
    logits = draw(20, classes)
    clean = torch.arange(20) % classes
    loss = over_all_labels(partial(F.normalized_negative, curve, p_min=P_MIN), logits)
    transition = torch.full((classes, classes), noise_rate / (classes - 1), dtype=torch.float64)
    transition.fill_diagonal_(1 - noise_rate)
    noisy_risk = (transition[clean] * loss).sum(1)
    clean_risk = loss[torch.arange(20), clean]
    factor = 1 - noise_rate * classes / (classes - 1)
    torch.testing.assert_close(noisy_risk, factor * clean_risk + noise_rate)


def slope_in_p(curve_or_form, p, label):
    p = p.clone().requires_grad_()
    loss = curve_or_form(p.log().unsqueeze(0), torch.tensor([label]))
    return torch.autograd.grad(loss.sum(), p)[0]


def nnce_slope(p, label=0):
    return slope_in_p(partial(F.normalized_negative, F.cross_entropy, p_min=P_MIN), p, label)


def test_equation_15_gradient_of_mae():
    """The paper differentiates sum_k |p_k - q_k|; 2 (1 - p_y) is less by the constant sum_k p_k."""
    p = draw(1, 5).softmax(1)[0]
    expected = torch.ones(5, dtype=torch.float64)
    expected[2] = -1
    slope = slope_in_p(partial(F.plain, F.mean_absolute_error), p, 2)
    torch.testing.assert_close(slope, expected - 1)
    logits = p.log().unsqueeze(0).requires_grad_()
    by_definition = (logits.softmax(1) - torch.eye(5)[2]).abs().sum()
    ours = F.plain(F.mean_absolute_error, logits.log_softmax(1), torch.tensor([2])).sum()
    for_logits = [torch.autograd.grad(loss, logits)[0] for loss in (ours, by_definition)]
    torch.testing.assert_close(*for_logits)


@pytest.mark.parametrize("label", range(4))
def test_equation_16_gradient_of_nnce(label):
    p = draw(1, 4).softmax(1)[0]
    total = (A + p.log()).sum()
    expected = (A + p[label].log()) / p / total**2
    expected[label] = -(total - A - p[label].log()) / p[label] / total**2
    torch.testing.assert_close(nnce_slope(p, label), expected)


probabilities = st.lists(st.floats(1e-3, 1), min_size=4, max_size=8).map(
    lambda values: torch.tensor(values, dtype=torch.float64) / sum(values)
)


@given(probabilities)
@settings(max_examples=100, deadline=None)
def test_theorem_5_less_likely_classes_get_larger_gradients(p):
    slope = nnce_slope(p)
    order = p[1:].argsort()
    lower, higher = p[1:][order][:-1], p[1:][order][1:]
    distinct = higher > lower * (1 + 1e-9)
    falls = slope[1:][order][:-1] > slope[1:][order][1:]
    assert falls[distinct].all()


@given(probabilities, st.floats(0.01, 0.9))
@settings(max_examples=100, deadline=None)
def test_theorem_6_better_learned_samples_get_larger_gradients(p, share):
    p_2 = torch.cat((p.max().view(1), p[p.argsort()][:-1]))  # label 0 is the most likely
    p_1 = p_2.clone()
    p_1[2:] *= 1 - share  # class 1 is the benchmark j, the rest gives to the label
    p_1[0] = 1 - p_1[1:].sum()
    assert nnce_slope(p_1)[1] > nnce_slope(p_2)[1]


@pytest.mark.parametrize(
    ("name", "given", "other", "factor"),
    [
        ("gce", dict(q=1), "mae", 0.5),
        ("gce", dict(q=1e-9), "ce", 1),
        ("fl", dict(gamma=0), "ce", 1),
        ("nfl", dict(gamma=0), "nce", 1),
        ("nnfl", dict(gamma=0), "nnce", 1),
        ("anl-fl", dict(gamma=0), "anl-ce", 1),
        ("tce", dict(t=1), "mae", 0.5),
        ("tce", dict(t=4000), "ce", 1),
        ("phce", dict(tau=1e9), "ce", 1),
        ("rce", dict(q_min=math.exp(-2)), "mae", 1),
        ("sce", dict(alpha=0), "mae", -math.log(1e-4) / 2),
        ("agce", dict(q=1), "mae", 0.5),
        ("aul", dict(q=1), "mae", 0.5),
        ("mae-published", {}, "mae", 0.5),
        ("nrce", {}, "nmae", 1),
    ],
)
def test_special_cases(name, given, other, factor):
    logits = draw(30, 4, 1.0)
    labels = torch.arange(30) % 4
    loss = losses.create(name, reduction="none", **given)(logits, labels)
    expected = factor * losses.create(other, reduction="none")(logits, labels)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
