"""The result of a draw of noisy labels: the labels and the settings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Class labels, (n,) int64, from 0 to K-1.
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class NoisyLabels:
    """Noisy labels beside the clean ones.

    Attributes:
        labels: The noisy labels, `(n,)` int64.
        clean: The clean labels in the same order, `(n,)` int64.
        n_classes: K; labels run from 0 to K-1.
        kind: One of `KINDS`.
        eta: Requested rate; None for "clean" and "human".
        seed: Seed of the draw; None for "clean" and "human".
        draw: Kind of draw, "exact" or "bernoulli"; None for "clean" and "human".
        matrix: Row-stochastic transition matrix, `(K, K)` float64, `T[i, j]` = P(noisy = j given
            clean = i). None if the noise is not defined per class (instance, human).
    """

    labels: Labels
    clean: Labels
    n_classes: int
    kind: str
    eta: float | None = None
    seed: int | None = None
    draw: str | None = None
    matrix: NDArray[np.float64] | None = None

    @property
    def mislabelled(self) -> NDArray[np.bool_]:
        """Mask of the wrong noisy labels, `(n,)` bool."""
        wrong: NDArray[np.bool_] = self.labels != self.clean
        return wrong

    @property
    def rate(self) -> float:
        """Realised noise rate: the share of wrong labels."""
        return float(self.mislabelled.mean())

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Counts of (clean, noisy) pairs, `(K, K)` int64, clean classes in rows."""
        pairs = self.clean * self.n_classes + self.labels
        counts = np.bincount(pairs, minlength=self.n_classes**2)
        return counts.reshape(self.n_classes, self.n_classes)

    @property
    def sha256(self) -> str:
        """SHA-256 of the noisy labels as little-endian int64, in hexadecimal."""
        return label_hash(self.labels)


def label_hash(labels: Labels) -> str:
    """Compute the SHA-256 of labels as little-endian int64, in hexadecimal."""
    return hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()
