"""Small plans: patch, strides and features still fit each other."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest

from anl_seg.trainers.shrinking import shrink

# What nnU-Net 2.8.1 plans for 256 x 256 PNG, shortened to what shrinking touches, and an
# anisotropic 3D plan of the kind it makes for prostate MR.
PLANE = {
    "patch_size": [256, 256],
    "batch_size": 49,
    "architecture": {
        "arch_kwargs": {
            "n_stages": 7,
            "features_per_stage": [32, 64, 128, 256, 512, 512, 512],
            "kernel_sizes": [[3, 3]] * 7,
            "strides": [[1, 1]] + [[2, 2]] * 6,
            "n_conv_per_stage": [2] * 7,
            "n_conv_per_stage_decoder": [2] * 6,
            "conv_op": "torch.nn.modules.conv.Conv2d",
        }
    },
}
VOLUME = {
    "patch_size": [20, 320, 256],
    "batch_size": 2,
    "architecture": {
        "arch_kwargs": {
            "n_stages": 7,
            "features_per_stage": [32, 64, 128, 256, 320, 320, 320],
            "kernel_sizes": [[1, 3, 3]] * 2 + [[3, 3, 3]] * 5,
            "strides": [
                [1, 1, 1],
                [1, 2, 2],
                [1, 2, 2],
                [2, 2, 2],
                [2, 2, 2],
                [1, 2, 2],
                [1, 2, 2],
            ],
            "n_conv_per_stage": [2] * 7,
            "n_conv_per_stage_decoder": [2] * 6,
        }
    },
}


def test_plane():
    small = deepcopy(PLANE)
    shrink(small)
    network = small["architecture"]["arch_kwargs"]
    assert small["patch_size"] == [128, 128]
    assert small["batch_size"] == 8
    assert network["n_stages"] == 6
    assert network["features_per_stage"] == [16, 32, 64, 128, 128, 128]
    assert network["strides"] == [[1, 1]] + [[2, 2]] * 5
    assert network["conv_op"] == "torch.nn.modules.conv.Conv2d"


@pytest.mark.parametrize("planned", [PLANE, VOLUME], ids=["2d", "3d"])
def test_the_network_fits_its_patch(planned):
    small = deepcopy(planned)
    shrink(small)
    network = small["architecture"]["arch_kwargs"]
    stages = network["n_stages"]
    assert max(small["patch_size"]) <= {2: 128, 3: 64}[len(small["patch_size"])]
    for key in ("features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage"):
        assert len(network[key]) == stages
    assert len(network["n_conv_per_stage_decoder"]) == stages - 1
    for axis, side in enumerate(small["patch_size"]):
        total = math.prod(stride[axis] for stride in network["strides"])
        planned_total = math.prod(
            stride[axis] for stride in planned["architecture"]["arch_kwargs"]["strides"]
        )
        assert side % total == 0
        assert side // total == planned["patch_size"][axis] // planned_total


def test_a_smaller_patch_still():
    twice, once = deepcopy(PLANE), deepcopy(PLANE)
    shrink(twice)
    shrink(twice, {2: 64, 3: 64})
    shrink(once, {2: 64, 3: 64})
    assert twice == once
    assert once["patch_size"] == [64, 64]
    assert once["architecture"]["arch_kwargs"]["n_stages"] == 5


def test_a_small_patch_stays():
    small = deepcopy(PLANE)
    small["patch_size"] = [96, 96]
    shrink(small)
    assert small["patch_size"] == [96, 96]
    assert small["architecture"]["arch_kwargs"]["n_stages"] == 7
