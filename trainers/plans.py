"""Plans files of nnU-Net with the settings of our trainers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from anl_seg.errors import InputError, named
from anl_seg.formats.files import write_json
from anl_seg.formats.text import read_json
from anl_seg.trainers.preprocessed_folder import read_object
from anl_seg.trainers.settings import PLANS_KEY, TrainerSettings
from anl_seg.trainers.shrinking import shrink_all

#: Configurations of plans by name, such as "2d".
Configurations = Mapping[str, dict[str, Any]]
#: Valid names of plans. nnU-Net and `anl-seg export` split the name of a results folder at "__".
NAME = re.compile(r"[A-Za-z][A-Za-z0-9.-]*(_[A-Za-z0-9.-]+)*")
#: Files that nnU-Net writes beside the plans, in lower case because a file system may ignore case.
NNUNETS_OWN = {"dataset", "dataset_fingerprint", "splits_final", "nnunetplans"}


def write_plans(
    folder: Path,
    source: str,
    name: str,
    settings: TrainerSettings,
    *,
    source_folder: Path | None = None,
    configurations: Sequence[str] = (),
    batch_size: int | None = None,
    small: bool = False,
    overwrite: bool = False,
) -> Path:
    """Copy plans of a preprocessed data set to plans called `name`, and add `settings`.

    The new plans use the preprocessed images of the source plans. If the source plans are those of
    another data set, run `nnUNetv2_preprocess` once to preprocess this data set's own images.

    Args:
        folder: Folder of the data set in nnUNet_preprocessed.
        source: Name of existing plans, such as "nnUNetPlans".
        name: Name of the new plans, for nnU-Net's `-p`.
        settings: Loss and schedule.
        source_folder: Preprocessed folder of another data set with the source plans, such as the
            clean original of a noisy copy; by default `folder`.
        configurations: Names of the configurations that protocol, `batch_size` and `small` change,
            such as "2d"; by default all.
        batch_size: Batch size; by default the protocol's, otherwise as planned.
        small: Shrink networks so that a CPU trains them in minutes, see `shrink`. The protocol's
            image size is then not required.
        overwrite: Replace different plans of this name.

    Returns:
        Path of the plans file.

    Raises:
        InputError: If a value is impossible, the source is missing or broken, the images do not fit
            the protocol, or a file of this name exists that is not ours or differs.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plans = {"plans_name": "nnUNetPlans", "configurations": {"2d": {"batch_size": 12}}}
        ...     write_json(Path(folder, "nnUNetPlans.json"), plans)
        ...     settings = TrainerSettings(loss="gce", epochs=50)
        ...     path = write_plans(Path(folder), "nnUNetPlans", "gce", settings)
        ...     path.name, read_plans(path)["anl_seg"]["epochs"]
        ('gce.json', 50)
    """
    _check_name(name)
    if name == source:
        raise InputError(f"--as {name} is the name of the source (-p); choose another name")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"--batch-size must be at least 1, got {batch_size}")
    plans = read_plans((source_folder or folder) / f"{source}.json")
    TrainerSettings.from_plans(plans)  # reports a broken entry instead of replacing it
    if source_folder is not None:
        _rename(plans, folder.name, source_folder.name)
    plans["plans_name"] = name
    plans[PLANS_KEY] = asdict(settings)
    chosen = choose(plans, configurations)
    if small:
        shrink_all(chosen)
    _apply_protocol(chosen, settings, exact=not small)
    for configuration in chosen.values():
        if batch_size is not None and "batch_size" in configuration:
            configuration["batch_size"] = batch_size
    target = folder / f"{name}.json"
    if target.exists():
        _check_replaceable(target, plans, overwrite=overwrite)
    write_json(target, plans)
    return target


def _check_name(name: str) -> None:
    """Check that a name is valid for plans."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"--as takes a name of letters, digits, _, - and . that starts with a letter, has no "
            f"__ and does not end in _, got {name!r}"
        )
    if name.lower() in NNUNETS_OWN:
        raise InputError(
            f"{name}.json is one of nnU-Net's own files; choose another name with --as"
        )


def _check_replaceable(path: Path, plans: dict[str, Any], *, overwrite: bool) -> None:
    """Check that the file at `path` has plans of ours that `plans` may replace."""
    found = read_object(path)
    if PLANS_KEY not in found:
        raise InputError(
            f"{path} was not written by `anl-seg plan` (it has no {PLANS_KEY!r}) and is not "
            "replaced; choose another name with --as"
        )
    if found != plans and not overwrite:
        raise InputError(
            f"{path} exists with other content; choose another name with --as, or replace it with "
            "--overwrite (trainings with the old content can then not continue)"
        )


def choose(plans: Mapping[str, Any], names: Sequence[str]) -> Configurations:
    """Return the configurations of plans with these names; all if `names` is empty.

    Raises:
        InputError: If the plans lack one of them.
    """
    configurations: Configurations = plans["configurations"]
    if missing := [name for name in names if name not in configurations]:
        raise InputError(
            f"the plans have no configuration {' or '.join(missing)} (-c); choose from "
            f"{', '.join(configurations)}"
        )
    return {name: configurations[name] for name in names or configurations}


def first_configuration(configurations: Configurations) -> str:
    """Return the name of the configuration to train first: 2d if it exists."""
    return "2d" if "2d" in configurations else next(iter(configurations))


def missing_images(folder: Path, configurations: Configurations) -> list[str]:
    """List the configurations whose images are not preprocessed yet."""
    return _by_images(folder, configurations, present=False)


def preprocessed_images(folder: Path, configurations: Configurations) -> list[str]:
    """List the configurations whose images are preprocessed."""
    return _by_images(folder, configurations, present=True)


def _by_images(folder: Path, configurations: Configurations, *, present: bool) -> list[str]:
    """List the configurations with or without images; one that inherits has none of its own."""
    return [
        name
        for name, configuration in configurations.items()
        if "data_identifier" in configuration
        and (folder / configuration["data_identifier"]).is_dir() == present
    ]


def _rename(plans: dict[str, Any], dataset: str, source: str) -> None:
    """Turn plans of the data set `source` into plans of `dataset`, with their own image folder.

    The images in other folders of `dataset` may be normalised with its noisy labels.
    """
    plans["dataset_name"] = dataset
    for configuration in plans["configurations"].values():
        if "data_identifier" in configuration:
            configuration["data_identifier"] += f"_from_{source}"


def _apply_protocol(
    configurations: Configurations, settings: TrainerSettings, *, exact: bool
) -> None:
    """Set the protocol's patch and batch size in nnU-Net's own part of the plans."""
    protocol = settings.schedule
    if protocol.patch_size is None:
        return
    planes = [each for each in configurations.values() if _dimensions(each) == 2]
    if not planes:
        raise InputError(
            f"--protocol {settings.protocol} is for 2D images, and {named(list(configurations))} "
            "is not 2D; choose another configuration with -c, or another protocol"
        )
    wanted = list(protocol.patch_size)
    for configuration in planes:
        configuration["batch_size"] = protocol.batch_size
        if not exact:
            continue
        found = configuration.get("median_image_size_in_voxels", wanted)
        if found != wanted:
            raise InputError(
                f"--protocol {settings.protocol} is for images of {wanted[0]} x {wanted[1]} "
                f"pixels, but these have a median of {found}; convert them with `anl-seg isic "
                f"--size {wanted[0]}`, or add --small to keep the size"
            )
        configuration["patch_size"] = wanted


def _dimensions(configuration: dict[str, Any]) -> int:
    """Return the number of axes of the patch; 0 for a configuration that only inherits."""
    return len(configuration.get("patch_size", ()))


def plans_names(folder: Path) -> list[str]:
    """List the names of the plans in the preprocessed folder of a data set.

    Raises:
        InputError: If a JSON file in the folder is broken.
    """
    contents = {path.stem: read_json(path) for path in sorted(folder.glob("*.json"))}
    return [
        name
        for name, content in contents.items()
        if isinstance(content, dict) and "configurations" in content
    ]


def read_plans(path: Path) -> dict[str, Any]:
    """Read a plans file.

    Raises:
        InputError: If it is missing, or is not an nnU-Net plans file.
    """
    if not path.is_file():
        others = ", ".join(plans_names(path.parent)) or "none"
        raise InputError(f"no plans file {path}; plans there: {others}")
    plans = read_object(path)
    found = plans.get("configurations")
    if not (isinstance(found, dict) and found and all(isinstance(c, dict) for c in found.values())):
        raise InputError(
            f"{path} is not an nnU-Net plans file: its 'configurations' must be an object with "
            "at least one, such as 2d"
        )
    return plans
