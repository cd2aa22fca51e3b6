"""The learning rate of each epoch, against torch's schedulers."""

from __future__ import annotations

import pytest
import torch
from torch.optim import lr_scheduler

from anl_seg.classification.schedules import Cosine, Exponential, Steps

EPOCHS = 12


def rates(make_scheduler):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make_scheduler(optimizer)
    rates = []
    for _ in range(EPOCHS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("schedule", "make_scheduler"),
    [
        (Cosine(), lambda opt: lr_scheduler.CosineAnnealingLR(opt, EPOCHS)),
        (Exponential(0.97), lambda opt: lr_scheduler.StepLR(opt, 1, 0.97)),
        (Steps(0.2, (0.5, 0.75)), lambda opt: lr_scheduler.MultiStepLR(opt, [6, 9], 0.2)),
    ],
)
def test_equal_to_torchs_schedulers(schedule, make_scheduler):
    ours = [schedule.factor(epoch, EPOCHS) for epoch in range(EPOCHS)]
    assert ours == pytest.approx(rates(make_scheduler), abs=1e-12)
