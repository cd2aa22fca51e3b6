"""The counts of agreement with clean and noisy labels, on pixels that can be counted by hand."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from anl_seg.trainers.memorisation import CURVE, FitOfLabels, add_to_curve, fit


class Recorded(nn.Module):
    """A loss that keeps the targets it was called with."""

    def forward(self, output, target):
        self.target = target
        return (output[0] if isinstance(output, list) else output).sum() * 0


def logits_of(labels):
    return nn.functional.one_hot(torch.tensor(labels), 2).movedim(-1, 1).float()


NOISY = [[1, 1, 1, 0, 0, 0, 2, 1]]
CLEAN = [[1, 1, 0, 0, 1, 0, 1, 2]]
PREDICTED = [[1, 0, 1, 0, 1, 1, 1, 1]]


def test_counts_by_hand():
    loss = FitOfLabels(Recorded(), classes=2, ignore_label=2)
    target = torch.tensor([NOISY, CLEAN]).movedim(0, 1).short()
    loss(logits_of(PREDICTED), target)
    assert torch.equal(loss.loss.target, target[:, :1])
    values = fit(loss.take_counts())
    # of the first six pixels: 3 are noisy foreground, 3 clean, 4 predicted, 2 and 2 of these agree
    assert values["dice_noisy"] == pytest.approx(2 * 2 / (3 + 4))
    assert values["dice_clean"] == pytest.approx(2 * 2 / (3 + 4))
    assert values["wrong_pixels"] == 2
    assert values["memorised"] == 1 / 2
    assert values["corrected"] == 1 / 2
    assert fit(loss.take_counts())["wrong_pixels"] == 0  # taken, they start anew


def test_the_highest_resolution_counts_and_all_lose_the_clean_channel():
    loss = FitOfLabels(Recorded(), classes=2, ignore_label=2)
    target = torch.tensor([NOISY, CLEAN]).movedim(0, 1)
    loss([logits_of(PREDICTED), torch.zeros(1, 2, 4)], [target, target[..., ::2]])
    assert [each.shape for each in loss.loss.target] == [(1, 1, 8), (1, 1, 4)]
    assert fit(loss.take_counts())["wrong_pixels"] == 2


def test_targets_without_clean_labels_are_handed_on():
    loss = FitOfLabels(Recorded(), classes=2, ignore_label=None)
    target = torch.tensor([CLEAN])
    loss(logits_of(PREDICTED), target)
    assert loss.loss.target is target
    assert fit(loss.take_counts())["dice_clean"] is None


def test_a_curve_drops_what_a_continued_run_repeats(tmp_path):
    values = {"dice_noisy": 0.5, "dice_clean": None, "memorised": 0.2, "corrected": 0.8}
    for epoch in (0, 1, 2, 1):
        add_to_curve(tmp_path, epoch, {**values, "wrong_pixels": 9})
    lines = (tmp_path / CURVE).read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1]


def test_counts_leave_a_device_without_float64_first():
    counts = torch.ones(2, 2, 2, dtype=torch.long)
    moved = []

    class OnDevice(torch.Tensor):
        def cpu(self):
            moved.append(self.dtype)
            return self.as_subclass(torch.Tensor)

    assert fit(counts.as_subclass(OnDevice))["wrong_pixels"] == 4
    assert moved == [torch.long]


def test_corrected_labels_are_trained_and_the_given_ones_counted():
    corrected, clean, given = (torch.tensor([[0, 1, 1, 0]]) for _ in range(3))
    given[0, 3] = 1  # the one wrong pixel, which the correction has mended
    target = torch.stack([corrected, clean, given], 1)[..., None]
    logits = torch.nn.functional.one_hot(corrected, 2).movedim(-1, 1)[..., None].float()
    loss = FitOfLabels(lambda output, labels: labels.float().mean(), 2, None)
    assert loss(logits, target) == 0.5  # the corrected labels
    found = fit(loss.take_counts())
    assert (found["wrong_pixels"], found["memorised"], found["corrected"]) == (1, 0, 1)
