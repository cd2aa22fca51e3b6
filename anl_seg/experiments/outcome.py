"""The outcome of a run of either kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """The result of a run, as stored in its record.

    Attributes:
        metrics: Shares in [0, 1] by name, such as test_accuracy or test_dice.
        noise_sha256: Hash of the noisy class labels, or of the manifest of the noisy masks.
    """

    metrics: Mapping[str, float]
    noise_sha256: str
