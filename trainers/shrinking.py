"""Shrinking of planned networks, patches and batches for a CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anl_seg.errors import InputError

#: Features of a small network in its first stage, and at most.
SMALL_FEATURES = (16, 128)
#: Largest side of a small network's patch in pixels, for 2D and 3D.
SMALL_PATCH = {2: 128, 3: 64}
SMALL_BATCH_SIZE = {2: 8, 3: 2}


def shrink_all(configurations: Mapping[str, dict[str, Any]]) -> None:
    """Shrink every configuration that does not inherit its network from another one.

    Raises:
        InputError: If a configuration does not describe its network.
    """
    for name, configuration in configurations.items():
        if "architecture" in configuration:
            shrink(configuration)
        elif "inherits_from" not in configuration:
            raise InputError(
                f"the configuration {name} has no 'architecture' to shrink, as in plans of "
                "early versions of nnU-Net; plan again with nnUNetv2_plan_experiment, or omit "
                "--small"
            )


def shrink(configuration: dict[str, Any], largest_sides: Mapping[int, int] = SMALL_PATCH) -> None:
    """Shrink a planned configuration in place: thin stages, a small patch, a small batch.

    Until the patch is small, the deepest stage is removed and the patch divided by its stride. The
    bottleneck keeps its planned size, so patch and strides still fit.

    Args:
        configuration: A configuration of nnU-Net's plans.
        largest_sides: Largest side of the patch in pixels, for 2 and 3 dimensions.
    """
    network = configuration["architecture"]["arch_kwargs"]
    patch, strides = configuration["patch_size"], network["strides"]
    dimensions = len(patch)
    while max(patch) > largest_sides[dimensions] and len(strides) > 2:
        patch = [side // stride for side, stride in zip(patch, strides[-1], strict=True)]
        strides = strides[:-1]
    stages = len(strides)
    for key, value in network.items():
        if isinstance(value, list):  # one entry per stage; the decoder has one stage less
            network[key] = value[: stages - 1 if key == "n_conv_per_stage_decoder" else stages]
    first, most = SMALL_FEATURES
    network["n_stages"] = stages
    network["features_per_stage"] = [min(first * 2**stage, most) for stage in range(stages)]
    configuration["patch_size"] = patch
    configuration["batch_size"] = SMALL_BATCH_SIZE[dimensions]


def coarsen(configuration: dict[str, Any], planned_patch: Sequence[int]) -> None:
    """Make pixels larger, in place, so that a shrunk patch covers as much as the planned one did.

    Args:
        configuration: A configuration after `shrink`.
        planned_patch: Its patch size in pixels before.

    Examples:
        >>> small = {"patch_size": [64, 64], "spacing": [1.0, 1.0]}
        >>> coarsen(small, [256, 128])
        >>> small["spacing"]
        [4.0, 2.0]
    """
    factors = [
        planned / side
        for planned, side in zip(planned_patch, configuration["patch_size"], strict=True)
    ]
    configuration["spacing"] = [
        spacing * factor for spacing, factor in zip(configuration["spacing"], factors, strict=True)
    ]
    if "median_image_size_in_voxels" in configuration:
        configuration["median_image_size_in_voxels"] = [
            side / factor
            for side, factor in zip(
                configuration["median_image_size_in_voxels"], factors, strict=True
            )
        ]
