"""Drawn labels: rates to the label, own generator, the same for the same seed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import confusion_matrix

from anl_seg.errors import InputError
from anl_seg.noise import labels as label_noise

#: Ten classes of different sizes, in mixed order.
SIZES = (200, 180, 160, 140, 120, 100, 90, 77, 51, 33)
CLEAN = np.random.default_rng(0).permutation(np.repeat(np.arange(10), SIZES))
CIFAR100 = np.random.default_rng(1).permutation(np.repeat(np.arange(100), 500))


def draw(labels=CLEAN, *, kind="symmetric", eta=0.4, n_classes=10, **rest):
    return label_noise.draw(labels, kind=kind, eta=eta, n_classes=n_classes, **rest)


@pytest.mark.parametrize("kind", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("eta", [0.0, 0.1, 0.2, 0.35, 0.4, 0.6, 0.8, 1.0])
def test_exact_draw_flips_exactly_the_rounded_share_of_each_class(kind, eta):
    noisy = draw(kind=kind, eta=eta, dataset="cifar10")
    for label, size in enumerate(SIZES):
        flips = np.count_nonzero(noisy.labels[label == CLEAN] != label)
        stays = kind == "asymmetric" and label not in {9, 2, 4, 3, 5}
        assert flips == (0 if stays else round(eta * size))


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    eta=st.floats(0, 1),
    seed=st.integers(),
)
def test_any_labels_any_rate_any_seed(labels, eta, seed):
    noisy = draw(labels, eta=eta, n_classes=5, seed=seed)
    for label in range(5):
        row = noisy.confusion[label]
        assert row.sum() - row[label] == round(eta * labels.count(label))
        others = np.delete(row, label)
        assert others.max() - others.min() <= 1


@pytest.mark.parametrize("eta", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
def test_cifar100_symmetric_is_not_truncated(eta):
    """FIELD.md D2: published code turns 0.1 into 0.0 and 0.7 into 0.594 by cutting each cell."""
    noisy = draw(CIFAR100, eta=eta, n_classes=100)
    wrong = np.bincount(CIFAR100[noisy.mislabelled], minlength=100)
    assert set(wrong) == {int(500 * Fraction(str(eta)))}
    assert noisy.rate == pytest.approx(eta, abs=1e-12)


def test_exact_symmetric_draw_deals_evenly():
    confusion = draw(CIFAR100, eta=0.6, n_classes=100).confusion
    np.testing.assert_array_equal(np.diag(confusion), 200)
    off_diagonal = confusion[~np.eye(100, dtype=bool)]
    assert set(off_diagonal) == {3, 4}  # 300 flips of a class to 99 others


def test_cat_and_dog_swap_without_moving_a_label_twice():
    """FIELD.md D2: flips one after another count labels that have been moved already."""
    confusion = draw(kind="asymmetric", eta=0.4, dataset="cifar10").confusion
    assert (confusion[3, 3], confusion[3, 5]) == (140 - 56, 56)
    assert (confusion[5, 5], confusion[5, 3]) == (100 - 40, 40)


def test_published_asymmetric_cifar100():
    noisy = draw(CIFAR100, kind="asymmetric-published", n_classes=100, dataset="cifar100")
    wrong = noisy.mislabelled
    assert np.bincount(CIFAR100[wrong]).tolist() == [200] * 100
    np.testing.assert_array_equal(noisy.labels[wrong] // 5, CIFAR100[wrong] // 5)


def test_bernoulli_draw_follows_the_matrix():
    noisy = draw(CIFAR100 % 10, eta=0.6, draw="bernoulli")
    for label in range(10):
        row = noisy.confusion[label]
        _, p = stats.chisquare(row, row.sum() * noisy.matrix[label])
        assert p > 1e-4
    exact_flips = round(0.6 * 5000)
    assert any(5000 - noisy.confusion[label, label] != exact_flips for label in range(10))


@pytest.mark.parametrize("kind", ["symmetric", "asymmetric"])
def test_bernoulli_draw_at_the_ends(kind):
    assert not draw(kind=kind, eta=0.0, dataset="mnist", draw="bernoulli").mislabelled.any()
    full = draw(kind=kind, eta=1.0, dataset="mnist", draw="bernoulli")
    flipped = range(10) if kind == "symmetric" else (2, 3, 5, 6, 7)
    np.testing.assert_array_equal(full.mislabelled, np.isin(CLEAN, flipped))


def test_exact_draw_at_a_larger_rate_flips_the_same_and_more():
    low, high = draw(eta=0.2), draw(eta=0.6)
    assert low.mislabelled.sum() < high.mislabelled.sum()
    np.testing.assert_array_equal(low.labels[low.mislabelled], high.labels[low.mislabelled])


def test_seed_decides():
    assert draw(seed=1).sha256 == draw(seed=1).sha256
    assert draw(seed=1).sha256 != draw(seed=2).sha256


def test_same_labels_on_any_machine():
    """A pinned hash: it tells if a release of NumPy changes its streams."""
    assert draw(seed=1).sha256.startswith("10eaf28f")


@pytest.mark.parametrize("kind", ["symmetric", "instance"])
def test_global_generators_are_neither_used_nor_moved(kind):
    """FIELD.md D2: noise drawn from the training's generator ties the two seeds."""
    torch = pytest.importorskip("torch")
    images = np.zeros((len(CLEAN), 2, 2), np.uint8)
    before = np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
    first = draw(kind=kind, images=images)
    after = np.random.get_state()[1], torch.random.get_rng_state()  # noqa: NPY002
    np.testing.assert_array_equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    np.random.seed(99)  # noqa: NPY002
    torch.manual_seed(99)
    assert draw(kind=kind, images=images).sha256 == first.sha256


def test_clean_labels():
    noisy = draw(kind="clean", eta=None)
    np.testing.assert_array_equal(noisy.labels, CLEAN)
    assert (noisy.rate, noisy.seed, noisy.draw, noisy.matrix) == (0, None, None, None)


def test_human_labels_are_taken_as_they_are():
    human = (CLEAN + (np.arange(len(CLEAN)) % 4 == 0)) % 10
    noisy = draw(kind="human", eta=None, human=human)
    np.testing.assert_array_equal(noisy.labels, human)
    assert noisy.rate == np.mean(np.arange(len(CLEAN)) % 4 == 0)


def test_confusion_and_rate_are_scikit_learns():
    noisy = draw(eta=0.3)
    expected = confusion_matrix(CLEAN, noisy.labels)
    np.testing.assert_array_equal(noisy.confusion, expected)
    assert noisy.rate == pytest.approx(1 - np.trace(expected) / expected.sum())


def test_settings_are_recorded_and_the_input_is_unchanged():
    clean = CLEAN.astype(np.uint8)
    noisy = draw(clean, seed=7)
    np.testing.assert_array_equal(clean, CLEAN)
    assert (noisy.kind, noisy.eta, noisy.seed, noisy.draw) == ("symmetric", 0.4, 7, "exact")
    assert noisy.labels.dtype == noisy.clean.dtype == np.int64
    np.testing.assert_allclose(noisy.matrix.sum(axis=1), 1)


def test_class_without_members():
    noisy = draw([0, 0, 0, 0, 0, 2, 2], n_classes=3, eta=0.4)
    assert noisy.confusion.sum(axis=1).tolist() == [5, 0, 2]
    assert noisy.mislabelled.sum() == 2 + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"kind": "pairflip"},
            r"noise \(--noise\) must be one of clean, .*; got 'pairflip'",
        ),
        ({"draw": "quota"}, r"draw \(--draw\) must be one of exact, bernoulli; got 'quota'"),
        ({"eta": None}, "symmetric needs a rate"),
        ({"eta": 1.1}, r"eta \(--eta\) must be in \[0, 1\] .*, got 1.1"),
        ({"eta": -0.1}, r"eta \(--eta\) must be in \[0, 1\]"),
        ({"eta": float("nan")}, r"eta \(--eta\) must be in \[0, 1\]"),
        ({"kind": "clean"}, "noise clean has no rate to choose"),
        ({"kind": "human"}, "noise human has no rate to choose"),
        ({"kind": "human", "eta": None}, "give the file of CIFAR-N"),
        ({"kind": "human", "eta": None, "human": [1, 2]}, "clean labels, but 2 human labels"),
        ({"human": CLEAN}, r"human labels \(--human\) need --noise human"),
        ({"kind": "asymmetric"}, "asymmetric noise is not defined for the data set None"),
        ({"labels": [0.5, 1.0]}, "labels must be a list of whole numbers, got float64"),
        ({"labels": [[1, 2]]}, r"whole numbers, got int64 of shape \(1, 2\)"),
        ({"labels": []}, r"of shape \(0,\)"),
        ({"labels": [0, 10]}, r"labels must be in 0..9, got 0 to 10"),
        ({"labels": [-1, 1]}, r"labels must be in 0..9, got -1 to 1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        draw(**arguments)
