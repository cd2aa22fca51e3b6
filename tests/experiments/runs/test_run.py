"""A run as data: complete settings, and an id that stays."""

from __future__ import annotations

import json

import pytest

from anl_seg.errors import InputError
from anl_seg.experiments.kinds import classification_settings
from anl_seg.experiments.runs.run import make_run
from anl_seg.experiments.segmentation.settings import SegmentationSettings

CIFAR = {"protocol": "cifar10"}


def test_ids_equal_those_of_existing_runs():
    """If this fails, folders of finished runs are no longer found: say so in CHANGELOG.md."""
    run = make_run("classification", {"noise": "symmetric", "eta": 0.4})
    assert run.id == "digits-symmetric-0.4-anl-ce-seed1-b89594a2"
    run = make_run("segmentation", {"loss": "gce", "data": "isic2017", "eta_alpha": 0})
    assert run.id == "isic2017-0-0-gce-seed1-9ed9a14c"


def test_missing_settings_are_filled_in_with_defaults():
    run = make_run("classification", {"loss": "ce"})
    assert run.settings["protocol"] == "digits"
    assert run.settings["seed"] == 1
    assert make_run("classification", {"loss": "ce", "seed": 1, "noise": "clean"}).id == run.id
    assert json.loads(json.dumps(dict(run.settings))) == run.settings


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("classification", {"device": "cpu"}, {"device": "cuda"}),
        ("classification", CIFAR | {"data": "/here/cifar"}, CIFAR | {"data": "/there/cifar"}),
        ("classification", {"loss": "anl-ce"}, {"loss": "ANL_CE"}),
        ("classification", {"noise": "symmetric", "eta": 1}, {"noise": "symmetric", "eta": 1.0}),
        ("classification", {"delta": "1e-6"}, {"delta": 0.000001}),
        ("segmentation", {"device": "cpu"}, {"device": "cuda"}),
        ("segmentation", {"fold": 0}, {"fold": "0"}),
        ("segmentation", {"noise_kinds": "dilation"}, {"noise_kinds": ["dilation"]}),
    ],
)
def test_the_same_run_has_the_same_id(kind, one, other):
    assert make_run(kind, one).id == make_run(kind, other).id


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("classification", {"seed": 1}, {"seed": 2}),
        ("classification", {"epochs": 1}, {"epochs": 2}),
        ("classification", {"precision": "float32"}, {"precision": "bf16"}),
        ("classification", CIFAR | {"data": "one"}, CIFAR | {"data": "another"}),
        ("segmentation", {"noise_seed": 1}, {"noise_seed": 2}),
        ("segmentation", {"small": False}, {"small": True}),
        ("segmentation", {"n_training": None}, {"n_training": 200}),
        ("segmentation", {"warmup": 0.0}, {"warmup": 0.1}),
        ("segmentation", {"ema": 0.0}, {"ema": 0.99}),
        ("segmentation", {"subset_seed": 1}, {"subset_seed": 2}),
        ("segmentation", {"noise_kinds": ["dilation"]}, {"noise_kinds": ["erosion"]}),
        ("segmentation", {"noise_method": "corrected"}, {"noise_method": "published"}),
    ],
)
def test_another_run_has_another_id(kind, one, other):
    assert make_run(kind, one).id != make_run(kind, other).id


def test_settings_come_back_from_those_of_a_record():
    given = {**CIFAR, "data": "folder", "epochs": 3, "eta": 0.2, "noise": "symmetric"}
    run = make_run("classification", given)
    again = classification_settings(json.loads(json.dumps(dict(run.settings))))
    assert again.as_json() == run.settings
    kinds = ["dilation"]
    run = make_run("segmentation", {"loss": "gce", "epochs": 3, "noise_kinds": kinds})
    assert SegmentationSettings.from_json(dict(run.settings)).as_json() == run.settings


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("detection", {}, "unknown kind of run 'detection'; choose one of classification, segm"),
        ("classification", {"los": "ce"}, "unknown settings los; valid are protocol, loss,"),
        ("classification", {"loss": "cee"}, "cee"),
        ("classification", {"protocol": "mnits"}, "unknown protocol 'mnits'; choose one of"),
        (
            "classification",
            {"noise": "symetric"},
            "must be one of clean, sym.*; got 'symet",
        ),
        ("classification", {"noise": "symmetric"}, "noise symmetric needs a rate"),
        (
            "classification",
            {"noise": "symmetric", "eta": 1.5},
            r"eta .* must be in .*got 1.5",
        ),
        ("classification", {"eta": 0.2}, "noise clean has no rate to choose"),
        (
            "classification",
            {"precision": "int3"},
            "unknown precision 'int3'; choose one of float32",
        ),
        (
            "classification",
            {"device": "gpu"},
            "unknown device 'gpu'; choose one of auto, cpu",
        ),
        ("classification", {"epochs": 0}, "epochs must be a whole number above 0"),
        (
            "classification",
            {"loss_parameters": [1]},
            r"loss_parameters must be names with numbers, got \[1\]",
        ),
        ("classification", {"eta": "much"}, "eta must be a number, got 'much'"),
        ("classification", {"seed": 1.5}, "seed must be a whole number, got 1.5"),
        ("classification", {"seed": True}, "seed must be a whole number, got True"),
        ("classification", {"loss": None}, "loss must be text, got None"),
        ("segmentation", {"small": "yes"}, "small must be true or false, got 'yes'"),
        ("segmentation", {"fold": "5"}, "fold must be all, or one of 0 to 4, got '5'"),
        ("segmentation", {"eta_alpha": 70}, "eta_alpha must be from 0 to 1, got 70"),
        ("classification", {"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ("classification", {"data": "cifar"}, "data .* is cifar, but digits needs no files; omit"),
        ("classification", {"labels": "a.npz", "eta": 0.2}, "a.npz .* defines the noise; omit"),
        ("classification", CIFAR | {"human": "cifar-n"}, "need --noise human, got --noise clean"),
        ("segmentation", {"size": 0}, "size must be at least 32, got 0"),
        ("segmentation", {"subset_seed": -1}, "subset_seed must be at least 0, got -1"),
        ("segmentation", {"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ("segmentation", {"device": "gpu"}, "unknown device 'gpu'; choose one of auto, cpu, cuda"),
        ("segmentation", {"eta_beta": 0}, "eta_beta must be between 0 and 1, both excluded, if"),
        ("segmentation", {"eta_beta": 1}, "got 1; for a run without noise set eta_alpha to 0"),
        ("segmentation", {"loss": "cee"}, "cee"),
        ("segmentation", {"n_training": 0}, "n_training must be at least 1, got 0"),
        ("segmentation", {"noise_kinds": ["dilated"]}, "dilated"),
        ("segmentation", {"noise_method": "paper"}, "paper"),
    ],
)
def test_impossible_settings(kind, settings, message):
    with pytest.raises(InputError, match=message):
        make_run(kind, settings)


@pytest.mark.parametrize(
    ("eta_alpha", "eta_beta", "recorded", "drawn"), [(0.7, 0.3, 0.3, 0.3), (0, 0.3, 0, 0.5)]
)
def test_the_noise_is_the_recorded_one(eta_alpha, eta_beta, recorded, drawn):
    settings = SegmentationSettings(eta_alpha=eta_alpha, eta_beta=eta_beta)
    assert settings.as_json()["eta_beta"] == recorded
    assert (settings.noise.eta_alpha, settings.noise.eta_beta) == (eta_alpha, drawn)


def test_all_wrong_values_are_named():
    with pytest.raises(InputError, match=r"seed must be a whole number.*eta must be a number"):
        make_run("classification", {"seed": "one", "eta": [0.1]})


def test_label_files_count_by_their_content(tmp_path):
    ids = set()
    for folder, content in (("a", b"one"), ("b", b"other"), ("c", b"one")):
        path = tmp_path / folder / "labels.npz"
        path.parent.mkdir()
        path.write_bytes(content)
        ids.add(make_run("classification", {"labels": str(path)}).id)
    assert len(ids) == 2
