"""What a segmentation run reports, from files as a training leaves them."""

from __future__ import annotations

import json

import pytest

from anl_seg.errors import CommandFailedError
from anl_seg.experiments.segmentation.run import _mean_of_last_epochs
from anl_seg.trainers.settings import TrainerSettings


def test_the_last_epochs_count_by_their_numbers(tmp_path):
    training = TrainerSettings(protocol="isic2017", epochs=12)  # ten of them are tested
    curve = {"1": 0.0} | {str(epoch): epoch / 100 for epoch in reversed(range(2, 12))}
    (tmp_path / "test_dice.json").write_text(json.dumps(curve))
    assert _mean_of_last_epochs(training, tmp_path) == pytest.approx(0.065)


def test_epochs_that_are_missing_are_named(tmp_path):
    training = TrainerSettings(protocol="isic2017", epochs=12)
    curve = {str(epoch): 0.5 for epoch in range(12) if epoch not in (4, 11)}
    (tmp_path / "test_dice.json").write_text(json.dumps(curve))
    with pytest.raises(CommandFailedError, match="lacks the epochs 4, 11 of the last 10; remove"):
        _mean_of_last_epochs(training, tmp_path)


def test_fewer_epochs_than_are_tested(tmp_path):
    (tmp_path / "test_dice.json").write_text('{"0": 0.25, "1": 0.75}')
    assert _mean_of_last_epochs(TrainerSettings(protocol="isic2017", epochs=2), tmp_path) == 0.5


def test_without_test_images(tmp_path):
    with pytest.raises(CommandFailedError, match="'no test Dice'"):
        _mean_of_last_epochs(TrainerSettings(protocol="isic2017"), tmp_path)
