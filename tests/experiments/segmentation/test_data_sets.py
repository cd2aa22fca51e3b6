"""The noisy data sets that segmentation runs share."""

from __future__ import annotations

import json

import pytest

from anl_seg.experiments.segmentation import data_sets
from anl_seg.experiments.segmentation.data_sets import prepare_noisy
from anl_seg.experiments.segmentation.nnunet_commands import NnUNet
from anl_seg.experiments.segmentation.settings import SegmentationSettings


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """nnU-Net's folders, and the noise of each data set that was corrupted, in order."""
    corrupted = []
    nnunet = NnUNet(tmp_path, "cpu")

    def folder_like(source, raw):
        (nnunet.preprocessed / raw.name).mkdir(parents=True, exist_ok=True)
        return nnunet.preprocessed / raw.name

    def corrupt_masks(source, target, noise, overwrite):
        corrupted.append((target.name, noise.eta_beta))

    monkeypatch.setattr(data_sets, "corrupt_masks", corrupt_masks)
    monkeypatch.setattr(data_sets, "folder_like", folder_like)
    monkeypatch.setattr(data_sets, "write_plans", lambda *_, **__: None)
    monkeypatch.setattr(NnUNet, "preprocess", lambda *_: None)
    return nnunet, corrupted


def test_each_noise_has_its_own_data_set(prepared):
    nnunet, corrupted = prepared
    for eta_beta, name in ((0.3, 502), (0.7, 503), (0.3, 502), (0.7, 503)):
        settings = SegmentationSettings(eta_beta=eta_beta)
        assert prepare_noisy(settings, nnunet) == f"Dataset{name}_Noisy"
    assert corrupted == [("Dataset502_Noisy", 0.3), ("Dataset503_Noisy", 0.7)]


def test_a_data_set_is_found_by_its_noise_not_by_its_number(prepared):
    nnunet, corrupted = prepared
    folder = nnunet.preprocessed / "Dataset503_Noisy"
    folder.mkdir(parents=True)
    noise = {"eta_alpha": 0.7, "eta_beta": 0.3, "seed": 1}
    (folder / "prepared.json").write_text(json.dumps(noise))
    assert prepare_noisy(SegmentationSettings(eta_beta=0.3), nnunet) == "Dataset503_Noisy"
    assert not corrupted
    assert prepare_noisy(SegmentationSettings(eta_beta=0.7), nnunet) == "Dataset502_Noisy"
    assert corrupted == [("Dataset502_Noisy", 0.7)]
