"""Trainers on hand-written plans, without a data set: enough for network, optimiser and loss."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DATASET = "Dataset777_Hand"


CASES = [f"case{number}" for number in range(6)]
TEST_CASES = ["test0", "test1"]


#: The loss alone: what the default adds to it is off, so that a test switches on its own subject.
ALONE = {"dice_weight": 0.0, "ce_weight": 0.0, "warmup": 0.0, "ema": 0.0, "correct_labels": False}


def hand_plans(dimensions: int, patch: list[int], stages: int) -> dict[str, Any]:
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
    resampling = {"order": 1, "order_z": 0, "force_separate_z": None}
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
        configuration[f"resampling_fn_{kind}_kwargs"] = {"is_seg": kind == "seg", **resampling}
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
        "foreground_intensity_properties_per_channel": {"0": {}},
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
    (images.parent / "nnUNetPlans.json").write_text(json.dumps(hand_plans(2, [32, 32], 3)))
    return tmp_path


@pytest.fixture
def make_trainer(nnunet_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Build an `nnUNetTrainerANL` from settings, labels and the plans' shape."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")
    from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as nnunet

    from anl_seg import trainers
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
        name: str = "nnUNetTrainerANL",
        plans: Path | None = None,
        recommended: bool = False,
        device: str = "cpu",
    ) -> Any:
        content = hand_plans(dimensions, patch or [32] * dimensions, stages)
        if plans is not None:
            content = json.loads(plans.read_text())
        content["continue_training"] = False  # nnU-Net's own command line puts it there
        if not recommended and plans is None:
            content[PLANS_KEY] = {**ALONE, **(settings or {})}
        elif settings is not None:
            content[PLANS_KEY] = settings
        trainer = getattr(trainers, name)
        return trainer(content, "hand", 0, dataset_json(labels), device=torch.device(device))

    return make


@pytest.fixture
def make_batch() -> Callable[..., dict[str, Any]]:
    """Make a batch as nnU-Net's loader gives it, of noise, for a trainer of 32 x 32 pixels."""
    torch = pytest.importorskip("torch")

    def make(trainer: Any, *, seed: int = 0, images: int = 2, channels: int = 1) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(seed)
        data = torch.randn(images, 1, 32, 32, generator=generator)
        full = torch.rand(images, channels, 32, 32, generator=generator) < 0.4
        scales = trainer._get_deep_supervision_scales() or [[1, 1]]
        target = [full[..., :: round(1 / y), :: round(1 / x)] for y, x in scales]
        if not trainer.label_manager.has_regions:
            target = [each.to(torch.int16) for each in target]
        return {"data": data, "target": target if trainer.enable_deep_supervision else target[0]}

    return make


def disk(centre: int, radius: int) -> np.ndarray:
    """A mask `(1, 32, 32)` of a disk, of 0 and 1."""
    y, x = np.mgrid[:32, :32]
    return ((y - 16) ** 2 + (x - centre) ** 2 <= radius**2).astype(np.uint8)[None]


def write(path: Path, array: np.ndarray) -> None:
    import SimpleITK

    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path))


@pytest.fixture
def preprocessed(nnunet_folders: Path) -> Path:
    """The hand-written data set with bright disks, raw and preprocessed by nnU-Net itself.

    The labels of every second case are too large; `labelsTr_clean` has the true ones.
    Returns the raw data set's folder.
    """
    raw = nnunet_folders / "nnUNet_raw" / DATASET
    base = nnunet_folders / "nnUNet_preprocessed" / DATASET
    (base / "nnUNetPlans_hand" / "case.b2nd").unlink()
    generator = np.random.default_rng(0)
    for number, case in enumerate([*CASES, *TEST_CASES]):
        true = disk(10 + 2 * number, 6)
        image = 3 * true + generator.normal(size=true.shape)
        test = case in TEST_CASES
        write(raw / ("imagesTs" if test else "imagesTr") / f"{case}_0000.nii.gz", image)
        if test:
            write(raw / "labelsTs" / f"{case}.nii.gz", true)
            continue
        write(raw / "labelsTr_clean" / f"{case}.nii.gz", true)
        noisy = disk(10 + 2 * number, 6 + 3 * (number % 2))
        write(raw / "labelsTr" / f"{case}.nii.gz", noisy)
    preprocess(raw, base)
    return raw


def preprocess(raw: Path, base: Path) -> None:
    """Preprocess like `nnUNetv2_preprocess`, without its processes."""
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(str(base / "nnUNetPlans.json"))
    arguments = (manager, manager.get_configuration("hand"), dataset_json())
    preprocessor = DefaultPreprocessor(verbose=False)
    for case in CASES:
        images, labels = [f"{raw}/imagesTr/{case}_0000.nii.gz"], f"{raw}/labelsTr/{case}.nii.gz"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            preprocessor.run_case_save(
                str(base / "nnUNetPlans_hand" / case), images, labels, *arguments
            )
    shutil.copytree(raw / "labelsTr", base / "gt_segmentations")
    (base / "dataset_fingerprint.json").write_text("{}")
    splits = [{"train": CASES[:4], "val": CASES[4:]}]
    (base / "splits_final.json").write_text(json.dumps(splits))


def dataset_json(labels: dict[str, Any] | None = None) -> dict[str, Any]:
    """The data set's description, as nnU-Net keeps it."""
    content = {
        "channel_names": {"0": "grey"},
        "labels": labels or {"background": 0, "lesion": 1},
        "numTraining": len(CASES),
        "file_ending": ".nii.gz",
    }
    if any(isinstance(value, list) for value in content["labels"].values()):
        content["regions_class_order"] = [1, 2]
    return content
