"""Whether a training may continue from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from anl_seg.trainers.settings import TrainerSettings


def differences(
    plans: Mapping[str, Any], saved: Mapping[str, Any], configuration: str, loss: str
) -> list[str]:
    """Name what differs between plans and those saved in a checkpoint.

    Args:
        plans: Content of the plans file of this training.
        saved: Content of the plans in the checkpoint.
        configuration: Name of nnU-Net's configuration.
        loss: The loss of the trainer class, for plans that name none.

    Returns:
        One text per setting, such as "epochs is 10, was 5".
    """
    here, there = (TrainerSettings.from_plans(each, loss) for each in (plans, saved))
    found = here.differences(there)
    now, then = (
        PlansManager(each).get_configuration(configuration).configuration for each in (plans, saved)
    )
    return found + [
        f"{key} is {now.get(key)}, was {then.get(key)}"
        for key in sorted({*now, *then})
        if now.get(key) != then.get(key)
    ]
