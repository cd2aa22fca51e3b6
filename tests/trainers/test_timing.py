"""How the time of a step is measured: the warm-up does not count."""

from __future__ import annotations

import itertools

import pytest

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
