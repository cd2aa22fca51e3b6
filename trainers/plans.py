"""Plans files with our settings in them: nnU-Net's own place for what identifies a run."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from anl_seg.errors import InputError
from anl_seg.files import write_json
from anl_seg.trainers.settings import PLANS_KEY, Settings

#: Features of a small network: its first stage, and where the doubling stops.
SMALL_FEATURES = (16, 128)
#: Largest side of a small network's patch in pixels, for 2D and 3D.
SMALL_PATCH = {2: 128, 3: 64}
SMALL_BATCH_SIZE = {2: 8, 3: 2}


def preprocessed_folder(dataset: str) -> Path:
    """Find the preprocessed data set with an id or name, such as "501" or "Dataset501_ISIC".

    Raises:
        InputError: If nnUNet_preprocessed is not set, or holds no or several such data sets.
    """
    root = os.environ.get("nnUNet_preprocessed")
    if not root:
        raise InputError(
            "the variable nnUNet_preprocessed is not set; "
            "run: export nnUNet_preprocessed=/path/to/nnUNet_preprocessed"
        )
    if not re.fullmatch(r"[\w-]+", dataset):
        raise InputError(f"a data set is given by its id or name, such as 501, got {dataset!r}")
    pattern = f"Dataset{int(dataset):03d}_*" if dataset.isdecimal() else dataset
    found = sorted(path for path in Path(root).glob(pattern) if path.is_dir())
    if not found:
        raise InputError(
            f"no data set {dataset} in {root}; run `nnUNetv2_plan_and_preprocess -d ID` first"
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(
            f"{dataset} fits several data sets in {root}: {names}; give the whole name"
        )
    return found[0]


def write_plans(
    folder: Path,
    source: str,
    name: str,
    settings: Settings,
    *,
    batch_size: int | None = None,
    small: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write the plans `source` of a preprocessed data set again as `name`, with `settings` in them.

    The preprocessed images stay those of `source`, so nothing has to be preprocessed again.

    Args:
        folder: The data set's folder in nnUNet_preprocessed.
        source: Name of existing plans, such as "nnUNetPlans".
        name: Name of the new plans, for nnU-Net's `-p`.
        settings: Loss and schedule.
        batch_size: Batch size of every configuration (default: as planned).
        small: Shrink every network to one that a CPU trains in minutes, see `shrink`.
        overwrite: Replace plans of this name that differ.

    Returns:
        The path of the plans file.

    Raises:
        InputError: If a value is impossible, the source is missing or broken, or plans of this name
            say something else.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise InputError(f"plans are named with letters, digits, _, - and . only, got {name!r}")
    if name == source:
        raise InputError(f"the new plans need a name of their own: {name} is the source itself")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"the batch size must be at least 1, got {batch_size}")
    plans = read_plans(folder / f"{source}.json")
    Settings.from_plans(plans)  # a broken entry in the source is said, not silently replaced
    plans["plans_name"] = name
    plans[PLANS_KEY] = settings.to_plans()
    for configuration in plans["configurations"].values():
        if small and "architecture" in configuration:
            shrink(configuration)
        if batch_size is not None and "batch_size" in configuration:
            configuration["batch_size"] = batch_size
    target = folder / f"{name}.json"
    if target.exists() and not overwrite and read_plans(target) != plans:
        raise InputError(
            f"{target} exists and says something else; choose another name with --as, or replace "
            "it with --overwrite (runs trained with it can then not be continued)"
        )
    write_json(target, plans)
    return target


def read_plans(path: Path) -> dict[str, Any]:
    """Read a plans file.

    Raises:
        InputError: If it is missing, or is not an nnU-Net plans file.
    """
    try:
        plans = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        others = (
            ", ".join(sorted(other.stem for other in path.parent.glob("*lans*.json"))) or "none"
        )
        raise InputError(f"no plans file {path}; plans there: {others}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(plans, dict) or "configurations" not in plans:
        raise InputError(f"{path} is not an nnU-Net plans file: it has no 'configurations'")
    return plans


def shrink(configuration: dict[str, Any]) -> None:
    """Make a planned configuration small, in place: thin stages, a small patch, a small batch.

    Dropping the deepest stage and dividing the patch by its stride leaves the bottleneck's size as
    it was planned, so patch and strides still fit.
    """
    network = configuration["architecture"]["arch_kwargs"]
    patch, strides = configuration["patch_size"], network["strides"]
    dimensions = len(patch)
    while max(patch) > SMALL_PATCH[dimensions] and len(strides) > 2:
        patch = [side // stride for side, stride in zip(patch, strides[-1], strict=True)]
        strides = strides[:-1]
    stages = len(strides)
    for key, value in network.items():
        if isinstance(value, list):  # one entry a stage; the decoder has one less
            network[key] = value[: stages - 1 if key == "n_conv_per_stage_decoder" else stages]
    first, most = SMALL_FEATURES
    network["n_stages"] = stages
    network["features_per_stage"] = [min(first * 2**stage, most) for stage in range(stages)]
    configuration["patch_size"] = patch
    configuration["batch_size"] = SMALL_BATCH_SIZE[dimensions]
