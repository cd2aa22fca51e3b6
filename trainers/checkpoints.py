"""Our part of nnU-Net's checkpoints, and the check before a training continues from one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from anl_seg.errors import InputError
from anl_seg.trainers.averaging import WeightAverage
from anl_seg.trainers.correction import LabelCorrection
from anl_seg.trainers.settings import PLANS_KEY, TrainerSettings

#: Key of the loss's own parameters, in their group in a checkpoint.
LOSS_STATE = "loss_state"
#: Key of the weights in the first group in a checkpoint, if there is a moving average. The average
#: is stored as `network_weights`, so that plain nnU-Net predicts with it.
AVERAGE_STATE = "average_state"
#: Key of the state of the label correction in the first group in a checkpoint.
CORRECTION_STATE = "correction_state"


@contextmanager
def states_in_groups(
    optimizer: torch.optim.Optimizer,
    loss: nn.Module | None,
    average: WeightAverage | None,
    correction: LabelCorrection | None,
) -> Iterator[None]:
    """Store our states in the optimiser's groups, which nnU-Net saves, within a block.

    Args:
        optimizer: The optimiser.
        loss: The loss, if it has its own parameters. They are the last group.
        average: The moving average of the weights, if any. Call this within its `in_place`.
        correction: The correction of the labels, if any.
    """
    first, last = optimizer.param_groups[0], optimizer.param_groups[-1]
    if loss is not None:
        last[LOSS_STATE] = loss.state_dict()
    if average is not None:
        first[AVERAGE_STATE] = average.state()
    if correction is not None:
        first[CORRECTION_STATE] = correction.state()
    try:
        yield
    finally:
        last.pop(LOSS_STATE, None)
        first.pop(AVERAGE_STATE, None)
        first.pop(CORRECTION_STATE, None)


def take_states(
    optimizer: torch.optim.Optimizer, loss: nn.Module | None, average: WeightAverage | None
) -> Mapping[str, Any] | None:
    """Load our states from the optimiser's groups, into which a checkpoint has loaded them.

    Returns:
        The state of the correction of the labels, or None.
    """
    first, last = optimizer.param_groups[0], optimizer.param_groups[-1]
    if loss is not None:
        loss.load_state_dict(last.pop(LOSS_STATE))
    if average is not None:
        average.load(first.pop(AVERAGE_STATE))
    correction: Mapping[str, Any] | None = first.pop(CORRECTION_STATE, None)
    return correction


def check_same_settings(
    plans: Mapping[str, Any], saved: Mapping[str, Any], configuration: str, loss: str, filename: str
) -> None:
    """Check that settings and configuration of plans equal those of a checkpoint.

    Args:
        plans: Content of the plans file of this training.
        saved: Content of the plans in the checkpoint.
        configuration: Name of nnU-Net's configuration.
        loss: The loss of the trainer class, for plans without a loss.
        filename: The checkpoint.

    Raises:
        InputError: If they differ.
    """
    if found := _differences(plans, saved, configuration, loss):
        raise InputError(
            f"{filename} was trained with other settings than those of plans "
            f"{plans['plans_name']!r}: {'; '.join(found)}; restore their entry {PLANS_KEY!r}, or "
            "write new plans with `anl-seg plan --as NAME`"
        )


def _differences(
    plans: Mapping[str, Any], saved: Mapping[str, Any], configuration: str, loss: str
) -> list[str]:
    """List the differences, such as "epochs is 10, was 5"."""
    here, there = (TrainerSettings.from_plans(each, loss) for each in (plans, saved))
    now, then = (
        PlansManager(each).get_configuration(configuration).configuration for each in (plans, saved)
    )
    return here.differences(there) + [
        f"{key} is {now.get(key)}, was {then.get(key)}"
        for key in sorted({*now, *then})
        if now.get(key) != then.get(key)
    ]
