"""Where nnU-Net keeps raw data sets, and what a folder there must be called."""

from __future__ import annotations

import os
import re
from pathlib import Path

from anl_seg.errors import InputError


def raw_folder(given: Path | None = None) -> Path:
    """Return `given`, or else the folder that nnU-Net's variable `nnUNet_raw` names.

    Raises:
        InputError: If neither is there.
    """
    if given is not None:
        return given
    variable = "nnUNet_raw"
    if not os.environ.get(variable):
        raise InputError(
            f"the environment variable {variable} is not set, so there is no place for the data "
            "set; set it (export nnUNet_raw=/path/to/nnUNet_raw) or name a folder with --output"
        )
    return Path(os.environ[variable])


def new_dataset_folder(raw: Path, dataset_id: int, name: str) -> Path:
    """Return the folder `DatasetXXX_name` in `raw` for a data set that is not there yet.

    Raises:
        InputError: If the name does not fit nnU-Net, or `raw` already has a data set of this id:
            nnU-Net refuses to work with two.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise InputError(
            f"the data set name {name!r} does not fit nnU-Net; "
            "use letters, digits, - and _, such as ISIC2017"
        )
    taken = sorted(raw.glob(f"Dataset{dataset_id:03d}_*"))
    if taken:
        raise InputError(
            f"{taken[0]} already has the data set id {dataset_id}; "
            "choose another id or remove that folder first"
        )
    return raw / f"Dataset{dataset_id:03d}_{name}"
