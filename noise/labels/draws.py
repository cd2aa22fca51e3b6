"""Noisy class labels: drawn from a transition matrix, drawn from the images, or given by people."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anl_seg.errors import InputError
from anl_seg.noise.labels import instance, matrices
from anl_seg.noise.labels.record import Labels, NoisyLabels
from anl_seg.noise.selection import generator

KINDS = ("clean", "symmetric", "asymmetric", "asymmetric-published", "instance", "human")
#: Kinds without a rate, because nothing is drawn.
GIVEN = ("clean", "human")
DRAWS = ("exact", "bernoulli")


def draw(
    labels: ArrayLike,
    *,
    kind: str,
    n_classes: int,
    eta: float | None = None,
    seed: int = 0,
    dataset: str | None = None,
    images: NDArray[np.uint8] | None = None,
    human: ArrayLike | None = None,
    draw: str = "exact",
) -> NoisyLabels:
    """Draw noisy labels, without using the global random generators.

    For the kinds defined per class (symmetric, asymmetric), an exact draw flips `round(eta * n_c)`
    (Python's rounding) of the n_c labels of a class, spread evenly over the possible wrong classes.
    A larger `eta` flips the same labels to the same classes, and further ones. A Bernoulli draw
    flips each label independently. Instance-dependent noise is always a Bernoulli draw, because
    each image has its own rate.

    Args:
        labels: Clean labels, `(n,)`, whole numbers from 0 to K-1.
        kind: One of `KINDS`.
        n_classes: K.
        eta: Noise rate in [0, 1]; None for the kinds "clean" and "human".
        seed: Any whole number; the same seed gives the same noise.
        dataset: Name of the data set; asymmetric noise depends on it.
        images: Un-augmented images, `(n, ...)` uint8, for "instance".
        human: Labels given by people, `(n,)`, for "human".
        draw: "exact" or "bernoulli".

    Returns:
        The noisy labels beside the clean ones.

    Raises:
        InputError: If an argument is missing, out of range or does not fit the kind.

    Examples:
        >>> clean = np.arange(8) % 4
        >>> noisy = draw(clean, kind="symmetric", eta=0.5, seed=1, n_classes=4)
        >>> int((noisy.labels != clean).sum())
        4
    """
    check(kind, eta)
    _require("draw", draw, DRAWS)
    clean = as_labels("labels", labels, n_classes)
    if human is not None and kind != "human":
        raise InputError(f"human labels (--human) need --noise human, got --noise {kind}")
    if eta is None:
        noisy = clean if kind == "clean" else _human_labels(human, clean, n_classes)
        return NoisyLabels(noisy.copy(), clean, n_classes, kind)
    if kind == "instance":
        noisy = instance.draw(clean, images, eta, n_classes, seed)
        return NoisyLabels(noisy, clean, n_classes, kind, eta, seed, "bernoulli")
    targets = _targets(kind, dataset, n_classes)
    matrix = matrices.transition_matrix(targets, eta)
    noisy = clean.copy()
    for label, others in enumerate(targets):
        if others:
            members = np.flatnonzero(clean == label)
            rng = generator(seed, "labels", kind, str(label))
            if draw == "exact":
                flipped = rng.permutation(members)[: round(eta * len(members))]
                noisy[flipped] = np.resize(rng.permutation(others), len(flipped))
            else:
                noisy[members] = rng.choice(n_classes, len(members), p=matrix[label])
    return NoisyLabels(noisy, clean, n_classes, kind, eta, seed, draw, matrix)


def check(kind: str, eta: float | None) -> None:
    """Check that a kind of noise exists and can have this rate.

    Args:
        kind: One of `KINDS`.
        eta: Noise rate; None if none was given.

    Raises:
        InputError: If the kind is unknown, or cannot have this rate.

    Examples:
        >>> check("symmetric", 0.4)
    """
    _require("noise", kind, KINDS)
    if kind in GIVEN:
        if eta is not None:
            raise InputError(f"noise {kind} has no rate to choose: omit eta (--eta)")
    elif eta is None:
        raise InputError(f"noise {kind} needs a rate: give eta (--eta)")
    elif not 0 <= eta <= 1:
        raise InputError(f"eta (--eta) must be in [0, 1] (share of wrong labels), got {eta:g}")


def as_labels(name: str, labels: ArrayLike, n_classes: int) -> Labels:
    """Return class labels as `(n,)` int64.

    Raises:
        InputError: If they are not a non-empty list of whole numbers from 0 to K-1. The message
            calls them `name`.
    """
    array = np.asarray(labels)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise InputError(
            f"{name} must be a list of whole numbers, got {array.dtype} of shape {array.shape}"
        )
    if array.min() < 0 or array.max() >= n_classes:
        raise InputError(
            f"{name} must be in 0..{n_classes - 1}, got {array.min()} to {array.max()}"
        )
    return array.astype(np.int64)


def _require(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name} (--{name}) must be one of {', '.join(choices)}; got {value!r}")


def _human_labels(human: ArrayLike | None, clean: Labels, n_classes: int) -> Labels:
    if human is None:
        raise InputError(
            "noise human is read from a file: give the file of CIFAR-N, or its folder "
            "(human, --human)"
        )
    labels = as_labels("human labels", human, n_classes)
    if labels.shape != clean.shape:
        raise InputError(f"got {len(clean)} clean labels, but {len(labels)} human labels (--human)")
    return labels


def _targets(kind: str, dataset: str | None, n_classes: int) -> matrices.Targets:
    if kind == "symmetric":
        return matrices.symmetric(n_classes)
    if kind == "asymmetric":
        return matrices.asymmetric(dataset, n_classes)
    return matrices.asymmetric_published(dataset, n_classes)
