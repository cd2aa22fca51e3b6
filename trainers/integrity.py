"""nnU-Net's own check of a raw data set."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

from anl_seg.errors import InputError


def check_integrity(folder: Path, num_processes: int) -> None:
    """Let nnU-Net check a raw data set, as its `--verify_dataset_integrity` does.

    Args:
        folder: Folder of the data set, `.../DatasetXXX_Name`.
        num_processes: Number of processes that read the files.

    Raises:
        InputError: If nnU-Net finds a problem. The message contains nnU-Net's own, with paths
            relative to `folder`.
    """
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            verify_dataset_integrity(str(folder), num_processes)
    except (AssertionError, RuntimeError) as error:
        words = " ".join(f"{printed.getvalue()} {error}".replace(f"{folder}/", "").split())
        raise InputError(f"nnU-Net's integrity check found: {words[-500:]}") from error
