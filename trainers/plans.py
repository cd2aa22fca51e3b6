"""Plans files with our settings in them: nnU-Net's own place for what identifies a run."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from anl_seg.errors import InputError, named
from anl_seg.formats.files import write_json
from anl_seg.trainers.settings import PLANS_KEY, Settings

FINGERPRINT = "dataset_fingerprint.json"
SPLITS = "splits_final.json"
#: Names of plans: nnU-Net and our export take the name of a folder of results apart at every "__".
NAME = re.compile(r"[A-Za-z][A-Za-z0-9.-]*(_[A-Za-z0-9.-]+)*")
#: What nnU-Net itself writes beside the plans; a file system may ignore case.
NNUNETS_OWN = {"dataset", "dataset_fingerprint", "splits_final", "nnunetplans"}
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
    return _find(dataset, "nnUNet_preprocessed", "run `nnUNetv2_plan_and_preprocess -d ID` first")


def results_folder(dataset: str) -> Path:
    """Find the folder of a data set's trained models, by its id or name.

    Raises:
        InputError: If nnUNet_results is not set, or holds no or several such data sets.
    """
    return _find(dataset, "nnUNet_results", "train with nnUNetv2_train first")


def raw_folder(dataset: str) -> Path:
    """Find the raw data set with an id or name.

    Raises:
        InputError: If nnUNet_raw is not set, or holds no or several such data sets.
    """
    return _find(dataset, "nnUNet_raw", "`anl-seg noise` makes a noisy copy")


def folder_like(source: Path, raw: Path) -> Path:
    """Prepare the preprocessed folder of a raw data set for the plans of another one, `source`.

    The folder gets what nnU-Net looks for beside plans: `dataset.json` and, of the source, the
    fingerprint that its plans were made from and the splits, so that folds are of the same cases.

    Args:
        source: The other data set's folder in nnUNet_preprocessed.
        raw: The raw data set, such as the noisy copy of the source.

    Raises:
        InputError: If it is not of the same kind, or its splits are or would be others.
    """
    folder = source.parent / raw.name
    if folder == source:
        raise InputError(f"{raw.name} is to have the plans of itself; leave --from away")
    there, here = (_read(path / "dataset.json") for path in (source, raw))
    for key in ("channel_names", "labels", "file_ending"):
        if there.get(key) != here.get(key):
            raise InputError(
                f"{raw}/dataset.json has the {key} {here.get(key)}, {source}/dataset.json "
                f"{there.get(key)}; plans can be taken from a data set of the same images only"
            )
    if (source / SPLITS).exists():
        splits = _read_splits(source / SPLITS)
        _check_splits(splits, source, folder, raw / "labelsTr", here["file_ending"])
        write_json(folder / SPLITS, splits)
    write_json(folder / "dataset.json", here)
    if not (folder / FINGERPRINT).exists():
        write_json(folder / FINGERPRINT, _read(source / FINGERPRINT))
    return folder


def _check_splits(splits: list[Any], source: Path, folder: Path, labels: Path, ending: str) -> None:
    """Check that a data set can have the splits of `source`: all their cases, no other splits."""
    cases = sorted({case for split in splits for part in split.values() for case in part})
    missing = [case for case in cases if not (labels / f"{case}{ending}").exists()]
    if missing:
        raise InputError(
            f"{labels} lacks {len(missing)} of the {len(cases)} cases in {source / SPLITS}: "
            f"{named(missing)}; add them, so that the folds of both data sets are the same"
        )
    if (folder / SPLITS).exists() and _read_splits(folder / SPLITS) != splits:
        raise InputError(
            f"{folder / SPLITS} differs from {source / SPLITS}: folds would not be of the same "
            "cases; remove the former if no training needs it, then it becomes a copy"
        )


def _read_splits(path: Path) -> list[Any]:
    """Read nnU-Net's splits: for each fold the cases by part, "train" and "val"."""
    splits = _parse(path)
    if not isinstance(splits, list) or not all(isinstance(split, dict) for split in splits):
        raise InputError(f"{path} is not nnU-Net's: it must hold a list of objects, one a fold")
    return splits


def _find(dataset: str, variable: str, hint: str) -> Path:
    """Find the one folder of a data set in the folder that a variable of nnU-Net's names."""
    root = os.environ.get(variable)
    if not root:
        raise InputError(
            f"the variable {variable} is not set; run: export {variable}=/path/to/{variable}"
        )
    if not re.fullmatch(r"[\w-]+", dataset):
        raise InputError(f"a data set is given by its id or name, such as 501, got {dataset!r}")
    pattern = f"Dataset{int(dataset):03d}_*" if dataset.isdecimal() else dataset
    found = sorted(path for path in Path(root).glob(pattern) if path.is_dir())
    if not found:
        raise InputError(f"no data set {dataset} in {root}; {hint}")
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
    source_folder: Path | None = None,
    batch_size: int | None = None,
    small: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write plans of a preprocessed data set again as `name`, with `settings` in them.

    The preprocessed images stay those of the source plans, so nothing has to be preprocessed again;
    plans of another data set want images of their own, once, with `nnUNetv2_preprocess`.

    Args:
        folder: The data set's folder in nnUNet_preprocessed.
        source: Name of existing plans, such as "nnUNetPlans".
        name: Name of the new plans, for nnU-Net's `-p`.
        settings: Loss and schedule.
        source_folder: The preprocessed folder of another data set that has the source plans, such
            as the clean one of a noisy copy (default: `folder`).
        batch_size: Batch size of every configuration (default: the protocol's, then as planned).
        small: Shrink every network to one that a CPU trains in minutes, see `shrink`; the
            protocol's image size is then not asked for.
        overwrite: Replace plans of this name that differ.

    Returns:
        The path of the plans file.

    Raises:
        InputError: If a value is impossible, the source is missing or broken, the images are not
            what the protocol wants, or a file of this name is not ours or says something else.
    """
    _check_name(name)
    if name == source:
        raise InputError(f"the new plans need a name of their own: {name} is the source itself")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"the batch size must be at least 1, got {batch_size}")
    plans = read_plans((source_folder or folder) / f"{source}.json")
    Settings.from_plans(plans)  # a broken entry in the source is said, not silently replaced
    if source_folder is not None:
        _rename(plans, folder.name, source_folder.name)
    plans["plans_name"] = name
    plans[PLANS_KEY] = settings.to_plans()
    if small:
        _shrink_all(plans)
    _apply_protocol(plans, settings, exact=not small)
    for configuration in plans["configurations"].values():
        if batch_size is not None and "batch_size" in configuration:
            configuration["batch_size"] = batch_size
    target = folder / f"{name}.json"
    if target.exists():
        _check_replaceable(target, plans, overwrite=overwrite)
    write_json(target, plans)
    return target


def _check_name(name: str) -> None:
    """Check that plans may have this name."""
    if not NAME.fullmatch(name):
        raise InputError(
            "plans are named with letters, digits, _, - and . only, a letter first, no _ last, "
            f"never __, got {name!r}; choose another name with --as"
        )
    if name.lower() in NNUNETS_OWN:
        raise InputError(
            f"{name}.json is a file of nnU-Net's own; choose another name for the plans with --as"
        )


def _check_replaceable(path: Path, plans: dict[str, Any], *, overwrite: bool) -> None:
    """Check that the file at `path` is plans of ours that may become `plans`."""
    found = _read(path)
    if PLANS_KEY not in found:
        raise InputError(
            f"{path} was not written by `anl-seg plan` (it has no {PLANS_KEY!r}) and stays as it "
            "is; choose another name with --as"
        )
    if found != plans and not overwrite:
        raise InputError(
            f"{path} exists and says something else; choose another name with --as, or replace "
            "it with --overwrite (runs trained with it can then not be continued)"
        )


def first_configuration(plans: Path) -> str:
    """Name the configuration of plans to train first: 2d where there is one."""
    configurations = read_plans(plans)["configurations"]
    return "2d" if "2d" in configurations else next(iter(configurations))


def missing_images(folder: Path, plans: Path) -> list[str]:
    """List the configurations of plans whose images are not preprocessed yet."""
    configurations = read_plans(plans)["configurations"]
    return [
        name
        for name, configuration in configurations.items()
        if "data_identifier" in configuration
        and not (folder / configuration["data_identifier"]).is_dir()
    ]


def _rename(plans: dict[str, Any], dataset: str, source: str) -> None:
    """Make plans of the data set `source` plans of `dataset`, with a folder of images for them.

    The images in the other folders of `dataset` may be normalised by its own noisy labels.
    """
    plans["dataset_name"] = dataset
    for configuration in plans["configurations"].values():
        if "data_identifier" in configuration:
            configuration["data_identifier"] += f"_from_{source}"


def _apply_protocol(plans: dict[str, Any], settings: Settings, *, exact: bool) -> None:
    """Set what of a protocol lies in nnU-Net's own part of the plans: patch and batch size."""
    protocol = settings.schedule
    if protocol.patch_size is None:
        return
    planes = [each for each in plans["configurations"].values() if _dimensions(each) == 2]
    if not planes:
        raise InputError(
            f"the protocol {settings.protocol} is for 2D images, and these plans have no 2D "
            "configuration"
        )
    wanted = list(protocol.patch_size)
    for configuration in planes:
        configuration["batch_size"] = protocol.batch_size
        if not exact:
            continue
        found = configuration.get("median_image_size_in_voxels", wanted)
        if found != wanted:
            raise InputError(
                f"the protocol {settings.protocol} is for images of {wanted[0]} x {wanted[1]} "
                f"pixels, these have a median of {found}; convert them with `anl-seg isic "
                f"--size {wanted[0]}`, or plan with --small to leave the size as it is"
            )
        configuration["patch_size"] = wanted


def _dimensions(configuration: dict[str, Any]) -> int:
    """Number of axes of the patch; 0 for a configuration that only inherits from another."""
    return len(configuration.get("patch_size", ()))


def read_plans(path: Path) -> dict[str, Any]:
    """Read a plans file.

    Raises:
        InputError: If it is missing, or is not an nnU-Net plans file.
    """
    if not path.is_file():
        others = (
            ", ".join(sorted(other.stem for other in path.parent.glob("*lans*.json"))) or "none"
        )
        raise InputError(f"no plans file {path}; plans there: {others}")
    plans = _read(path)
    found = plans.get("configurations")
    if not (isinstance(found, dict) and found and all(isinstance(c, dict) for c in found.values())):
        raise InputError(
            f"{path} is not an nnU-Net plans file: its 'configurations' must be an object that "
            "holds at least one, such as 2d"
        )
    return plans


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object."""
    content = _parse(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold a JSON object, got {type(content).__name__}")
    return content


def _parse(path: Path) -> Any:  # noqa: ANN401 (whatever JSON may be)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error


def _shrink_all(plans: dict[str, Any]) -> None:
    """Shrink every configuration that does not inherit its network from another one."""
    for name, configuration in plans["configurations"].items():
        if "architecture" in configuration:
            shrink(configuration)
        elif "inherits_from" not in configuration:
            raise InputError(
                f"the configuration {name} has no 'architecture' to make small, as in plans of "
                "early versions of nnU-Net; plan anew with nnUNetv2_plan_experiment, or leave "
                "--small away"
            )


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
