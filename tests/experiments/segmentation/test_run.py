"""Metrics of a segmentation run, from files of a training."""

from __future__ import annotations

import json

import pytest

from anl_seg.errors import CommandFailedError, InputError
from anl_seg.experiments.segmentation.data_sets import keep_random_cases
from anl_seg.experiments.segmentation.nnunet_commands import NnUNet
from anl_seg.experiments.segmentation.run import _mean_of_last_epochs, _metrics
from anl_seg.experiments.segmentation.settings import SegmentationSettings
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
    with pytest.raises(CommandFailedError, match="lacks the epochs 4, 11 of the last 10; delete"):
        _mean_of_last_epochs(training, tmp_path)


def test_fewer_epochs_than_are_tested(tmp_path):
    (tmp_path / "test_dice.json").write_text('{"0": 0.25, "1": 0.75}')
    assert _mean_of_last_epochs(TrainerSettings(protocol="isic2017", epochs=2), tmp_path) == 0.5


def test_data_without_test_images_have_the_dice_of_validation_images(tmp_path):
    settings = SegmentationSettings(fold="0")
    assert settings.training.schedule.test_epochs
    nnunet = NnUNet(tmp_path, "cpu")
    (nnunet.raw / "Dataset502_Noisy").mkdir(parents=True)
    validation = nnunet.trained("Dataset502_Noisy", "plans", "0") / "validation"
    validation.mkdir(parents=True)
    (validation / "summary.json").write_text('{"foreground_mean": {"Dice": 0.75}}')
    found = _metrics(settings, nnunet, "Dataset502_Noisy", "plans", tmp_path)
    assert found == {"validation_dice": 0.75}


def test_without_the_dice_of_test_images(tmp_path):
    with pytest.raises(CommandFailedError, match="'no test Dice'"):
        _mean_of_last_epochs(TrainerSettings(protocol="isic2017"), tmp_path)


def raw_data_set(folder, n):
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for number in range(n):
        (folder / "labelsTr" / f"case_{number}.png").touch()
        (folder / "imagesTr" / f"case_{number}_0000.png").touch()
    (folder / "dataset.json").write_text(json.dumps({"numTraining": n, "file_ending": ".png"}))


def cases_of(folder):
    masks = {path.stem for path in (folder / "labelsTr").iterdir()}
    assert {path.name for path in (folder / "imagesTr").iterdir()} == {
        f"{m}_0000.png" for m in masks
    }
    return masks


def test_a_random_part_of_the_training_pairs(tmp_path):
    kept = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        raw_data_set(tmp_path / name, 20)
        keep_random_cases(tmp_path / name, 5, seed)
        kept[name] = cases_of(tmp_path / name)
        about = json.loads((tmp_path / name / "dataset.json").read_text())
        assert about == {"numTraining": 5, "file_ending": ".png"}
    assert len(kept["a"]) == 5
    assert kept["a"] == kept["b"] != kept["c"]


def test_more_training_pairs_than_there_are(tmp_path):
    raw_data_set(tmp_path, 3)
    with pytest.raises(InputError, match="n_training is 4, but the data have 3 training pairs"):
        keep_random_cases(tmp_path, 4, 1)
    assert len(cases_of(tmp_path)) == 3
