"""How the time of a step is measured: the warm-up does not count."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from anl_seg.trainers import timing
from anl_seg.trainers.timing import time_repeated


class Clock:
    """Steps that take 30 s at first and 2 s afterwards."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def steps(self):
        for number in itertools.count():
            self.now += 30 if number == 0 else 2
            yield number


def test_slow_first_steps_do_not_count():
    clock = Clock()
    assert time_repeated(clock.steps(), warm_up=5, seconds=9, clock=clock) == (2.0, 5)


def test_at_least_two_steps_count_however_slow_they_are():
    clock = Clock()
    seconds, steps = time_repeated(clock.steps(), warm_up=0, seconds=1, clock=clock)
    assert (seconds, steps) == (2.0, 2)
    assert clock.now == pytest.approx(34)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_files_of_a_training_of_the_same_fold_stay(make_trainer, preprocessed, monkeypatch):
    run_training = pytest.importorskip("nnunetv2.run.run_training")
    for name in ("WARM_UP_SECONDS", "SECONDS", "VALIDATION_SECONDS"):
        monkeypatch.setattr(timing, name, 0.0)
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    trainer = make_trainer({"iterations": 2}, recommended=True)
    output = Path(trainer.output_folder)
    files = [output / "checkpoint_latest.pth", output / "corrected_labels" / "case0.npy"]
    files[1].parent.mkdir(parents=True)
    for file in files:
        file.write_bytes(b"of the training")
    monkeypatch.setattr(run_training, "get_trainer_from_args", lambda *_, **__: trainer)
    found = timing.measure("777", "nnUNetPlans", "hand", "0", "cpu")
    assert (found.iterations, found.epochs) == (2, 1000)
    assert found.train_step > 0
    assert all(file.read_bytes() == b"of the training" for file in files)
