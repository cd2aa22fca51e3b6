"""Class-dependent label noise: possible wrong classes, and transition matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from anl_seg.cifar100 import CLASSES, SUPERCLASSES
from anl_seg.errors import InputError, named

#: Row-stochastic transition matrix, (K, K): `T[i, j]` = P(noisy = j given clean = i).
Matrix = NDArray[np.float64]

#: For each class, its possible wrong classes, all equally likely; () stays clean.
Targets = Sequence[Sequence[int]]

ROW_SUM_TOLERANCE = 1e-9


def symmetric(n_classes: int) -> Targets:
    """Return all other classes as targets of each class."""
    return [[other for other in range(n_classes) if other != label] for label in range(n_classes)]


def asymmetric(dataset: str | None, n_classes: int) -> Targets:
    """Return a similar class as the target of each class, as in Section VI-A of the paper.

    - CIFAR-10: truck to automobile, bird to airplane, deer to horse, cat and dog to each other.
    - CIFAR-100: the next class of the real super-class, circularly.
    - MNIST and digits, which the paper does not cover: 7 to 1, 2 to 7, 3 to 8, 5 and 6 to each
      other, after Patrini et al., "Making Deep Neural Networks Robust to Label Noise", CVPR 2017.

    Raises:
        InputError: If no pairs are defined for the data set, or its number of classes is wrong.
    """
    if dataset is None or dataset not in _SUCCESSORS:
        raise InputError(
            f"asymmetric noise is not defined for the data set {dataset!r}, "
            f"only for {named(sorted(_SUCCESSORS))}"
        )
    return _successors(_SUCCESSORS[dataset], dataset, n_classes)


def asymmetric_published(dataset: str | None, n_classes: int) -> Targets:
    """Return CIFAR-100's asymmetric targets as in all published code.

    Each class goes to the next in its block of five *indices*, circularly. The indices are
    alphabetical, so only 6 of the 100 pairs are within a real super-class. The paper describes
    `asymmetric` instead.

    Raises:
        InputError: If the data set is not CIFAR-100.
    """
    if dataset != "cifar100":
        raise InputError(
            f"asymmetric-published is for cifar100 only, got {dataset!r}; use asymmetric, which "
            "equals the published code for other data sets"
        )
    blocks = {label: label // 5 * 5 + (label + 1) % 5 for label in range(len(CLASSES))}
    return _successors(blocks, dataset, n_classes)


def transition_matrix(targets: Targets, eta: float) -> Matrix:
    """Compute the matrix of rate `eta`, shared evenly among the targets of each class."""
    matrix = np.eye(len(targets))
    for label, others in enumerate(targets):
        if others:
            matrix[label, label] = 1 - eta
            matrix[label, list(others)] = eta / len(others)
    return checked(matrix)


def checked(matrix: Matrix) -> Matrix:
    """Return a square matrix of probabilities whose rows sum to 1.

    Raises:
        ValueError: If `matrix` is anything else.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a transition matrix must be square, got shape {matrix.shape}")
    if not (matrix >= 0).all():
        raise ValueError("a transition matrix has probabilities only, got negative or NaN entries")
    rows = matrix.sum(axis=1)
    if not np.allclose(rows, 1, rtol=0, atol=ROW_SUM_TOLERANCE):
        raise ValueError(f"rows of a transition matrix must sum to 1, got {rows}")
    return matrix


def _successors(pairs: Mapping[int, int], dataset: str, n_classes: int) -> Targets:
    expected = len(CLASSES) if dataset == "cifar100" else 10
    if n_classes != expected:
        raise InputError(f"{dataset} has {expected} classes, got n_classes={n_classes}")
    return [[pairs[label]] if label in pairs else [] for label in range(n_classes)]


def _next_in_superclass() -> dict[int, int]:
    pairs: dict[int, int] = {}
    for members in SUPERCLASSES.values():
        labels = sorted(map(CLASSES.index, members))
        pairs |= dict(zip(labels, labels[1:] + labels[:1], strict=True))
    return pairs


_DIGITS = {7: 1, 2: 7, 3: 8, 5: 6, 6: 5}
#: Maps data set and clean class to the class of wrong labels.
_SUCCESSORS: Mapping[str, Mapping[int, int]] = MappingProxyType(
    {
        "cifar10": {9: 1, 2: 0, 4: 7, 3: 5, 5: 3},
        "cifar100": _next_in_superclass(),
        "mnist": _DIGITS,
        "digits": _DIGITS,
    }
)
