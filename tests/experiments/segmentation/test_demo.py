"""The demo through nnU-Net's own commands, as small as it can be, and its report."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from anl_seg.errors import CommandFailedError, InputError
from anl_seg.experiments.segmentation import demo as demo_module
from anl_seg.experiments.segmentation.demo import DemoSettings, _memorisation_plots, run_demo
from anl_seg.experiments.segmentation.nnunet_commands import NnUNet
from anl_seg.experiments.segmentation.steps import precision_of_network

needs_nnunet = pytest.mark.skipif(find_spec("nnunetv2") is None, reason="nnU-Net is not installed")
TINY = DemoSettings(size=48, epochs=1, iterations=2, seed=3)


def no_bar(items, description, total=None):
    return iter(items)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    from anl_seg.trainers.installation import discovery_folder

    folder = tmp_path_factory.mktemp("demo") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("nnUNet_extTrainer", str(discovery_folder()))  # for editable installs
        report = run_demo(folder, TINY, "cpu", no_bar)
    return folder, report


@pytest.mark.slow
@needs_nnunet
def test_the_report_holds_every_test_case_and_both_losses(demo):
    folder, report = demo
    page = report.read_text()
    for case in (folder / "nnunet/nnUNet_raw/Dataset501_ISIC2017/labelsTs").iterdir():
        assert case.stem in page
    assert "nnU-Net" in page
    assert "anl-seg" in page
    assert "Memorisation of wrong pixels" in page
    assert "the images are drawn by a program" in page
    assert not re.search(r'(src|href)="http', page)  # opens without a network


@pytest.mark.slow
@needs_nnunet
def test_the_figures_are_those_of_the_masks(demo):
    from PIL import Image

    folder, report = demo
    with (folder / "report/cases.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "anl-seg"]
    assert len(rows) == 48
    for row in rows:
        prediction = np.asarray(Image.open(folder / "anl_seg" / f"{row['case']}.png")) > 0
        clean = folder / "nnunet/nnUNet_raw/Dataset501_ISIC2017/labelsTs" / f"{row['case']}.png"
        reference = np.asarray(Image.open(clean)) > 0
        dice = 2 * (prediction & reference).sum() / (prediction.sum() + reference.sum())
        assert float(row["Dice"]) == pytest.approx(dice)
    mean = np.mean([float(row["Dice"]) for row in rows])
    assert f"{100 * mean:.1f}" in report.read_text()


@pytest.mark.slow
@needs_nnunet
def test_the_trainings_saw_noisy_masks_under_one_seed_and_plan(demo):
    folder, _ = demo
    preprocessed = folder / "nnunet/nnUNet_preprocessed/Dataset502_ISIC2017noisy"
    nnunet, ours = (
        json.loads((preprocessed / f"{name}.json").read_text()) for name in ("nnU_Net", "anl_seg")
    )
    assert nnunet["configurations"] == ours["configurations"]
    settings = [plans["anl_seg"] for plans in (nnunet, ours)]
    assert [entry.pop("loss") for entry in settings] == ["dice+ce", "anl-ce"]
    assert all(entry["seed"] == 3 and entry["epochs"] == 1 for entry in settings)
    manifest = folder / "nnunet/nnUNet_raw/Dataset502_ISIC2017noisy/noise_manifest.json"
    assert json.loads(manifest.read_text())["summary"]["chosen"] == 56  # 0.7 * 80
    (fold,) = json.loads((preprocessed / "splits_final.json").read_text())
    assert len(fold["train"]) == len(fold["val"]) == 40
    assert not set(fold["train"]) & set(fold["val"])


@pytest.mark.slow
@needs_nnunet
def test_a_second_call_does_nothing_twice(demo, monkeypatch):
    folder, report = demo
    before = report.read_text()
    monkeypatch.setattr(NnUNet, "_lines", lambda *_: pytest.fail("a command was run again"))
    assert run_demo(folder, TINY, "cpu", no_bar) == report
    assert report.read_text() == before


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and has no demo"):
        run_demo(tmp_path, TINY, "cpu", no_bar)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_demo_with_other_settings_is_not_mixed_up(tmp_path):
    (tmp_path / "demo.json").write_text(json.dumps(asdict(TINY) | {"size": 99}))
    (tmp_path / "nnunet/nnUNet_raw/Dataset501_ISIC2017").mkdir(parents=True)
    told = r"contains a demo with other settings \(size\), see demo.json; choose another folder"
    with pytest.raises(InputError, match=told):
        run_demo(tmp_path, TINY, "cpu", no_bar)


@pytest.mark.parametrize("recorded", ["isic", "./isic", "elsewhere/../isic", None])
def test_a_demo_resumes_if_its_data_are_spelled_differently(tmp_path, monkeypatch, recorded):
    monkeypatch.chdir(tmp_path)
    recorded = recorded or str(tmp_path / "isic")
    Path("demo/nnunet/nnUNet_raw/Dataset501_ISIC2017").mkdir(parents=True)
    Path("demo/demo.json").write_text(json.dumps(asdict(TINY) | {"data": recorded}))
    monkeypatch.setattr(
        demo_module, "once", lambda _, step, __: pytest.fail(f"resumed with {step}")
    )
    for spelling in ("isic", "./isic", str(tmp_path / "isic")):
        with pytest.raises(pytest.fail.Exception, match="resumed with data set"):
            run_demo(Path("demo"), replace(TINY, data=spelling), "cpu", no_bar)
    with pytest.raises(InputError, match=r"other settings \(data\)"):
        run_demo(Path("demo"), replace(TINY, data="other"), "cpu", no_bar)


def test_bad_data_stops_the_demo_before_nnunet(tmp_path):
    for settings, message in (
        (DemoSettings(data=str(tmp_path / "nothing")), "nothing"),
        (DemoSettings(data=str(tmp_path)), "has no ISIC-2017_Test_v2_Data"),
        (DemoSettings(epochs=0), "epochs must be"),
    ):  # one after another in one folder: a slip does not claim it
        with pytest.raises(InputError, match=message):
            run_demo(tmp_path / "demo", settings, "cpu", no_bar)


@pytest.mark.parametrize(
    ("short", "chosen", "given"),
    [(True, None, "F"), (True, "T", "T"), (False, None, "unset"), (False, "T", "T")],
)
def test_a_short_training_is_not_compiled(tmp_path, monkeypatch, short, chosen, given):
    script = tmp_path / "nnUNetv2_train"
    script.write_text("#!/bin/sh\necho compile ${nnUNet_compile-unset}\n")
    script.chmod(0o755)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    monkeypatch.delenv("nnUNet_compile", raising=False)
    if chosen is not None:
        monkeypatch.setenv("nnUNet_compile", chosen)
    assert list(NnUNet(tmp_path, "cpu").train(1, "plans", short=short)) == []
    assert (tmp_path / "logs/train_plans_all.txt").read_text() == f"compile {given}\n"


def test_the_report_names_the_precision_that_nnunet_uses():
    assert precision_of_network("float32", "cuda") == "float16"
    assert precision_of_network("bf16", "cuda") == "bf16"
    assert precision_of_network("float32", "cpu") == "float32"


def test_a_failing_command_shows_the_end_of_its_log(tmp_path, monkeypatch):
    scripts = tmp_path / "bin"
    scripts.mkdir()
    script = scripts / "nnUNetv2_train"
    script.write_text("#!/bin/sh\necho '2026-01-01: Epoch 0 '\necho out of memory\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(scripts))
    epochs = []
    with pytest.raises(CommandFailedError, match=r"exit code 3(.|\n)*out of memory"):
        epochs.extend(NnUNet(tmp_path, "cpu").train(1, "plans"))
    assert "out of memory" in (tmp_path / "logs/train_plans_all.txt").read_text()


def test_a_command_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(InputError, match=r"nnUNetv2_train: no such command; install nnU-Net"):
        list(NnUNet(tmp_path, "cpu").train(1, "plans"))


def test_the_command_has_the_defaults_of_the_settings():
    from anl_seg.cli import demo

    defaults = (demo.DEFAULT_SIZE, demo.DEFAULT_EPOCHS, demo.DEFAULT_ITERATIONS)
    settings = DemoSettings()
    assert defaults == (settings.size, settings.epochs, settings.iterations)


def test_curves_of_memorisation(tmp_path):
    rows = [{"memorised": None, "dice_clean": 0.5}, {"memorised": 0.25, "dice_clean": 0.75}]
    path = tmp_path / "memorisation.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    memorised, clean = _memorisation_plots({"ce": path})
    assert memorised.alt == "Memorisation of wrong pixels: ce ends at 0.250."
    assert clean.alt == "Fit of the clean training labels: ce ends at 0.750."
