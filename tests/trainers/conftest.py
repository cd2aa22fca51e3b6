"""Trainers on hand-written plans, without a data set: enough for network, optimiser and loss."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DATASET = "Dataset777_Hand"


def plans(dimensions: int, patch: list[int], stages: int) -> dict[str, Any]:
    """Plans as nnU-Net writes them, for a U-Net of 4 features a stage."""
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": [4] * stages,
            "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
            "kernel_sizes": [[3] * dimensions] * stages,
            "strides": [[1] * dimensions] + [[2] * dimensions] * (stages - 1),
            "n_conv_per_stage": [1] * stages,
            "n_conv_per_stage_decoder": [1] * (stages - 1),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "nnUNetPlans_hand",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": patch,
        "median_image_size_in_voxels": patch,
        "spacing": [1.0] * dimensions,
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "architecture": architecture,
        "batch_dice": False,
    }
    for kind in ("data", "seg", "probabilities"):
        configuration[f"resampling_fn_{kind}"] = "resample_data_or_seg_to_shape"
        configuration[f"resampling_fn_{kind}_kwargs"] = resampling
    return {
        "dataset_name": DATASET,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
        "original_median_shape_after_transp": [1, 64, 64],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"hand": configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {},
    }


@pytest.fixture
def nnunet_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """nnU-Net's three variables set to folders below `tmp_path`, one data set preprocessed."""
    for kind in ("raw", "preprocessed", "results"):
        folder = tmp_path / f"nnUNet_{kind}"
        folder.mkdir()
        monkeypatch.setenv(folder.name, str(folder))
    images = tmp_path / "nnUNet_preprocessed" / DATASET / "nnUNetPlans_hand"
    images.mkdir(parents=True)
    (images / "case.b2nd").touch()
    (images.parent / "nnUNetPlans.json").write_text(json.dumps(plans(2, [32, 32], 3)))
    return tmp_path


@pytest.fixture
def make_trainer(nnunet_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Build an `nnUNetTrainerANL` on the CPU from settings, labels and the plans' shape."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")
    from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as nnunet

    from anl_seg.trainers.nnUNetTrainerANL import nnUNetTrainerANL
    from anl_seg.trainers.settings import PLANS_KEY

    for name in ("nnUNet_preprocessed", "nnUNet_results"):
        if not hasattr(getattr(nnunet, name), "is_set"):  # older versions read them at import
            monkeypatch.setattr(nnunet, name, str(nnunet_folders / name))

    def make(
        settings: dict[str, Any] | None = None,
        *,
        labels: dict[str, Any] | None = None,
        dimensions: int = 2,
        patch: list[int] | None = None,
        stages: int = 3,
    ) -> nnUNetTrainerANL:
        content = plans(dimensions, patch or [32] * dimensions, stages)
        content["continue_training"] = False  # nnU-Net's own command line puts it there
        if settings is not None:
            content[PLANS_KEY] = settings
        dataset_json = {
            "channel_names": {"0": "grey"},
            "labels": labels or {"background": 0, "lesion": 1},
            "numTraining": 1,
            "file_ending": ".nii.gz",
        }
        if any(isinstance(value, list) for value in dataset_json["labels"].values()):
            dataset_json["regions_class_order"] = [1, 2]
        device = torch.device("cpu")
        return nnUNetTrainerANL(content, "hand", 0, dataset_json, device=device)

    return make
