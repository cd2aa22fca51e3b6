"""Number of threads of a training on a CPU."""

from __future__ import annotations

import pytest
import torch

from anl_seg.trainers import threads


@pytest.fixture(autouse=True)
def restored():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("variable", "expected"), [("2", 2), ("", 3), ("0", 3), ("many", 3), (None, 3)]
)
def test_the_variable_counts_then_the_processors(monkeypatch, variable, expected):
    monkeypatch.setattr(threads, "processors", lambda: 3)
    if variable is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    threads.keep_to_own_processors()
    assert torch.get_num_threads() == expected
