"""`anl-seg trainers-path`: the folder for nnU-Net's variable nnUNet_extTrainer."""

from __future__ import annotations

EXAMPLES = (
    "anl-seg trainers-path",
    'export nnUNet_extTrainer="$(anl-seg trainers-path)"',
)


def command() -> None:
    """Print the folder for nnUNet_extTrainer, if you prefer to set this variable."""
    from anl_seg.trainers.installation import discovery_folder

    print(discovery_folder())
