"""Possible wrong classes, and transition matrices."""

from __future__ import annotations

import numpy as np
import pytest

from anl_seg.cifar100 import CLASSES, SUPERCLASSES
from anl_seg.errors import InputError
from anl_seg.noise.labels import matrices

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SUPERCLASS_OF = {name: group for group, members in SUPERCLASSES.items() for name in members}


def named_pairs(targets, names):
    return {(names[label], names[other]) for label, row in enumerate(targets) for other in row}


def test_cifar10_pairs_are_the_papers():
    assert named_pairs(matrices.asymmetric("cifar10", 10), CIFAR10) == {
        ("truck", "automobile"),
        ("bird", "airplane"),
        ("deer", "horse"),
        ("cat", "dog"),
        ("dog", "cat"),
    }


@pytest.mark.parametrize("dataset", ["mnist", "digits"])
def test_pairs_of_digits(dataset):
    pairs = named_pairs(matrices.asymmetric(dataset, 10), range(10))
    assert pairs == {(7, 1), (2, 7), (3, 8), (5, 6), (6, 5)}


def test_cifar100_goes_round_every_superclass():
    following = dict(named_pairs(matrices.asymmetric("cifar100", 100), CLASSES))
    for members in SUPERCLASSES.values():
        walk = [members[0]]
        while following[walk[-1]] != walk[0]:
            walk.append(following[walk[-1]])
        assert sorted(walk) == sorted(members)


def test_cifar100_next_class_is_the_next_label_of_its_superclass():
    following = dict(named_pairs(matrices.asymmetric("cifar100", 100), CLASSES))
    assert following["beaver"] == "dolphin"  # labels 4 and 30
    assert following["whale"] == "beaver"  # labels 95 and 4
    assert following["apple"] == "mushroom"  # labels 0 and 51


def test_published_cifar100_leaves_the_superclass_94_times_of_100():
    """FIELD.md D2: blocks of five indices, though indices are alphabetical."""
    pairs = named_pairs(matrices.asymmetric_published("cifar100", 100), CLASSES)
    inside = [pair for pair in pairs if SUPERCLASS_OF[pair[0]] == SUPERCLASS_OF[pair[1]]]
    assert (len(pairs), len(inside)) == (100, 6)
    assert {("apple", "aquarium_fish"), ("bear", "beaver"), ("beaver", "apple")} <= pairs


def test_published_cifar100_shifts_inside_blocks():
    targets = matrices.asymmetric_published("cifar100", 100)
    for label, (other,) in enumerate(targets):
        assert other == (label + 1 if label % 5 < 4 else label - 4)


@pytest.mark.parametrize("n_classes", [2, 10, 100])
def test_symmetric_names_every_other_class_and_never_itself(n_classes):
    """FIELD.md D2: published code has symmetric noise with and without the class itself."""
    matrix = matrices.transition_matrix(matrices.symmetric(n_classes), 0.4)
    np.testing.assert_allclose(np.diag(matrix), 0.6)
    off_diagonal = matrix[~np.eye(n_classes, dtype=bool)]
    np.testing.assert_allclose(off_diagonal, 0.4 / (n_classes - 1))


def test_matrix_rows_of_classes_that_stay():
    matrix = matrices.transition_matrix([[1], [], [0, 1]], 0.5)
    np.testing.assert_array_equal(matrix, [[0.5, 0.5, 0], [0, 1, 0], [0.25, 0.25, 0.5]])


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([0.5, 0.5], "square"),
        ([[0.5, 0.5]], "square"),
        ([[0.5, 0.6], [0, 1]], "sum to 1"),
        ([[0.5, 0], [0.5, 1]], "sum to 1"),  # column-stochastic
        ([[1.5, -0.5], [0, 1]], "negative"),
        ([[np.nan, 1], [0, 1]], "NaN"),
    ],
)
def test_matrices_that_are_not_row_stochastic(matrix, message):
    with pytest.raises(ValueError, match=message):
        matrices.checked(np.array(matrix))


@pytest.mark.parametrize("dataset", [None, "animal10n"])
def test_asymmetric_noise_of_other_data_sets(dataset):
    with pytest.raises(InputError, match="only for cifar10, cifar100, digits, mnist"):
        matrices.asymmetric(dataset, 10)


def test_published_blocks_are_for_cifar100_only():
    with pytest.raises(InputError, match="for cifar100 only, got 'cifar10'"):
        matrices.asymmetric_published("cifar10", 10)


@pytest.mark.parametrize(("dataset", "n_classes"), [("cifar10", 100), ("cifar100", 10)])
def test_wrong_number_of_classes(dataset, n_classes):
    with pytest.raises(InputError, match=f"{dataset} has .* classes, got n_classes={n_classes}"):
        matrices.asymmetric(dataset, n_classes)
