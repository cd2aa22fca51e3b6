"""Detection of the peak of the validation Dice of a training."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

#: Number of epochs whose mean is compared with the best mean: at least this many, and this share.
LEAST_WINDOW, WINDOW_SHARE = 3, 0.02
#: Share of the epochs before which no fall counts: a network that still learns may have one.
EARLIEST = 0.1
#: Smallest fall of that mean that counts, in Dice.
LEAST_FALL = 0.005
#: A fall must also exceed this many standard errors of the mean. The test is repeated in every
#: epoch, so the usual two or three would be exceeded by chance.
STANDARD_ERRORS = 6


class ValidationPeak:
    """Detector of the peak of the validation Dice, in means over several epochs.

    The validation labels may be wrong too, so a single epoch can be the best one by chance.

    Args:
        dice: Dice of the epochs so far; NaN counts as 0.
        epochs: Epochs of the whole training.

    Attributes:
        dice: Dice of the epochs so far.
        best_epoch: The last epoch of those with the best mean, or None.

    Examples:
        >>> peak = ValidationPeak([0.60, 0.66, 0.67, 0.67, 0.65, 0.63, 0.61])
        >>> peak.best_epoch, peak.has_passed
        (3, True)
    """

    def __init__(self, dice: Iterable[float] = (), *, epochs: int = 0) -> None:
        self.window = max(LEAST_WINDOW, round(WINDOW_SHARE * epochs))
        self.earliest = max(self.window, round(EARLIEST * epochs))
        self.dice: list[float] = []
        self.best_epoch: int | None = None
        self.best_mean = -np.inf
        for each in dice:
            self.add(each)

    def add(self, dice: float) -> bool:
        """Add the Dice of an epoch, and return whether the mean up to it is the best one."""
        self.dice.append(float(np.nan_to_num(dice)))
        mean = float(np.mean(self.dice[-self.window :]))
        best = len(self.dice) <= self.window or mean > self.best_mean
        if best:
            self.best_epoch, self.best_mean = len(self.dice) - 1, mean
        return best

    @property
    def has_passed(self) -> bool:
        """Whether the mean of the last epochs is below the best mean by more than chance."""
        if len(self.dice) <= self.earliest:
            return False
        means = np.convolve(self.dice, np.full(self.window, 1 / self.window), mode="valid")
        best = int(means.argmax())
        # Second differences ignore a trend; 0.6745 sqrt(6) is their median size at a spread of 1.
        spread = np.median(np.abs(np.diff(self.dice, 2))) / (0.6745 * np.sqrt(6))
        chance = STANDARD_ERRORS * spread / np.sqrt(self.window)
        return bool(means[-1] < means[best] - max(LEAST_FALL, chance))
