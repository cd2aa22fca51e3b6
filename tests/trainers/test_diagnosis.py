"""Warnings about trainings that go wrong: background alone, a class never found, memorisation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

from anl_seg.trainers.diagnosis import (
    PATIENCE_ALL,
    PATIENCE_ONE,
    MemorisationOnset,
    MissingForeground,
    advise_against_background,
    advise_against_memorisation,
)
from anl_seg.trainers.online_validation import PixelCounts
from anl_seg.trainers.settings import TrainerSettings

pytestmark = pytest.mark.filterwarnings("ignore:.*plans.*:DeprecationWarning")


def counts(*values):
    return np.array(values)


def test_background_alone_is_reported_once_and_early():
    watch = MissingForeground(["lesion", "cyst"])
    said = [watch.update(counts(0, 0), counts(5, 0)) for _ in range(20)]
    assert [epoch for epoch, text in enumerate(said, 1) if text] == [PATIENCE_ALL]
    assert "background alone" in said[PATIENCE_ALL - 1]


def test_an_epoch_with_foreground_starts_the_count_again():
    watch = MissingForeground(["lesion"])
    for predicted in [0] * (PATIENCE_ALL - 1) + [3] + [0] * (PATIENCE_ALL - 1):
        assert watch.update(counts(predicted), counts(5)) is None


def test_labels_without_foreground_cause_no_warning():
    watch = MissingForeground(["lesion"])
    assert not any(watch.update(counts(0), counts(0)) for _ in range(20))


def test_a_class_that_is_never_predicted_is_named():
    watch = MissingForeground(["lesion", "cyst"])
    said = [watch.update(counts(9, 0), counts(9, 2)) for _ in range(20)]
    assert [epoch for epoch, text in enumerate(said, 1) if text] == [PATIENCE_ONE]
    assert "no pixel of cyst," in said[PATIENCE_ONE - 1]


def test_memorisation_is_a_falling_dice_while_the_fit_rises():
    watch = MemorisationOnset()
    peak = [watch.update(0.5 + epoch / 100, 0.8) for epoch in range(10)]
    fall = [watch.update(0.6 + epoch / 100, 0.8 - epoch / 100) for epoch in range(20)]
    assert not any(peak)
    found = [value for value in fall if value]
    assert len(found) == 1
    assert 0.02 <= found[0] < 0.04


@pytest.mark.parametrize(
    ("fit", "dice"),
    [
        (lambda n: 0.5 + n / 100, lambda n: 0.8 + 0.01 * (-1) ** n),  # noise
        (lambda n: 0.9 - n / 100, lambda n: 0.8 - n / 100),  # both fall: it diverges
        (lambda n: 0.5 + n / 100, lambda n: math.nan),
    ],
)
def test_no_memorisation(fit, dice):
    watch = MemorisationOnset()
    assert not any(watch.update(fit(n), dice(n)) for n in range(40))


def test_advice_names_what_is_not_set_yet():
    plain = advise_against_background(TrainerSettings("gce"))
    assert "--optimizer adam or --dice-weight 1 or --ce-weight 1 or --warmup 0.1" in plain
    settings = TrainerSettings(dice_weight=1, ce_weight=1, warmup=0.1, optimizer="adam")
    assert advise_against_background(settings) == "if this lasts, plan with more --epochs"
    assert "--dice" not in advise_against_background(TrainerSettings("dice+ce"))
    assert "plan with fewer --epochs, or predict" in advise_against_memorisation(TrainerSettings())
    plain = advise_against_memorisation(TrainerSettings("gce"))
    assert "plan with --correct-labels or fewer --epochs or --ema 0.999, or predict" in plain


LABELS = {"background": 0, "large": 2, "small": 1}
REGIONS = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}


@pytest.mark.parametrize(
    ("labels", "names"), [(LABELS, ["small", "large"]), (REGIONS, ["whole", "core"])]
)
def test_the_log_names_the_class(make_trainer, labels, names):
    trainer = make_trainer({"loss": "gce"}, labels=labels)
    trainer.initialize()
    assert trainer.watch.missing_foreground.names == names
    trainer.train_loss = 1.0
    for _ in range(PATIENCE_ONE):
        trainer._look_for_trouble(PixelCounts(counts(3.0, 0.0), counts(1.0, 0.0), counts(0.0, 2.0)))
    text = Path(trainer.log_file).read_text()
    assert text.count("anl-seg: warning:") == 1
    assert f"no pixel of {names[1]}, although" in text
    assert "plan with --optimizer adam or --dice-weight 1" in text


def test_the_log_says_that_a_training_memorises(make_trainer):
    trainer = make_trainer()
    trainer.initialize()
    for epoch in range(30):
        trainer.train_loss = 1 - epoch / 50
        true = 80.0 - max(0, epoch - 10)
        trainer._look_for_trouble(PixelCounts(counts(true), counts(20.0), counts(20.0)))
    text = Path(trainer.log_file).read_text()
    assert text.count("seems to memorise wrong labels: validation Dice has fallen by 0.0") == 1
