"""The advice that a trial gives: its conclusions from made-up predictions, and a whole trial."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from anl_seg.cli import main
from anl_seg.datasets import isic2017, phantom
from anl_seg.errors import InputError
from anl_seg.evaluation.compare import Method, compare
from anl_seg.evaluation.folders import evaluate_folders
from anl_seg.experiments.segmentation.nnunet_commands import NnUNet
from anl_seg.experiments.segmentation.trial import AdviceSettings, advise, find_source
from anl_seg.experiments.segmentation.trial_report import Advice, Trial, advice_page, write_advice
from anl_seg.formats.files import write_json
from anl_seg.suspects.estimate import Estimate
from anl_seg.trainers.timing import Timing

needs_nnunet = pytest.mark.skipif(find_spec("nnunetv2") is None, reason="nnU-Net is not installed")
N = 24
TRIAL = Trial(
    dataset="Dataset510_Own",
    plans="nnUNetPlans",
    configuration="2d",
    folds=(0, 1),
    epochs=20,
    iterations=50,
    seed=1,
    device="cpu",
    precision="float32",
    planned_patch=(512, 512),
    patch=(128, 128),
    corrected=0,
)
TIMING = Timing(2.0, 1.0, steps=7, epochs=1000, iterations=250, validation_iterations=50)
ESTIMATE = Estimate(N, 7.0, 4.0, 11.0)
FEW = Estimate(N, 0.0, 0.0, 2.0)
NO_ESTIMATE = Estimate(N, math.nan, math.nan, math.nan, "the predictions are masks")


def disc(radius: float, shift: int = 0) -> np.ndarray:
    rows, columns = np.mgrid[-24:24, -24:24]
    return (np.hypot(rows, columns - shift) < radius).astype(np.uint8)


def save(folder, masks):
    folder.mkdir(parents=True)
    for name, mask in masks.items():
        Image.fromarray(mask).save(folder / f"{name}.png")


@pytest.fixture
def make_comparison(tmp_path):
    """Return a comparison of predictions that are shifted by so many pixels, in two folds."""

    def make(shifts: dict[str, float], references: str = "labelsTr"):
        raw, rng = tmp_path / references, np.random.default_rng(0)
        cases = {f"case{i:02d}": disc(10 + i % 3) for i in range(N)}
        save(raw / references, cases)
        methods = []
        for name, shift in shifts.items():
            evaluations = []
            for fold in (0, 1):
                masks = {
                    case: np.roll(mask, round(shift + rng.uniform(-1, 1)), axis=1)
                    for number, (case, mask) in enumerate(cases.items())
                    if number % 2 == fold
                }
                save(raw / name / str(fold), masks)
                evaluations.append(
                    evaluate_folders(raw / name / str(fold), raw / references, only_predicted=True)
                )
            methods.append(Method(name, tuple(evaluations)))
        return compare(methods)

    return make


@pytest.mark.parametrize(
    ("shifts", "recommendation"),
    [
        ({"nnU-Net": 6, "anl-seg": 2}, "-tr nnUNetTrainerANL"),
        ({"nnU-Net": 2, "anl-seg": 6}, "nnU-Net's own loss: train with -tr nnUNetTrainer."),
        ({"nnU-Net": 4, "anl-seg": 4}, "no evidence for either"),
    ],
)
def test_the_recommendation_follows_the_evidence(make_comparison, shifts, recommendation):
    advice = Advice(TRIAL, make_comparison(shifts), None, FEW, TIMING)
    assert recommendation in advice.recommendation
    assert "at most 2 of 24 are probably wrong" in advice.warnings[0]


@pytest.mark.parametrize(
    ("estimate", "reason"),
    [(ESTIMATE, "up to 11 of 24 given masks may be wrong"), (NO_ESTIMATE, "cannot be estimated")],
)
def test_masks_that_may_be_wrong_decide_nothing(make_comparison, estimate, reason):
    advice = Advice(TRIAL, make_comparison({"nnU-Net": 2, "anl-seg": 6}), None, estimate, TIMING)
    assert "cannot decide" in advice.recommendation
    assert reason in advice.recommendation
    assert "-tr" not in advice.recommendation


def test_a_correction_by_the_validation_cases_is_told(make_comparison):
    comparison = make_comparison({"nnU-Net": 6, "anl-seg": 2})
    for corrected in (0, 1):
        trial = replace(TRIAL, corrected=corrected)
        warnings = " ".join(Advice(trial, comparison, None, FEW, TIMING).warnings)
        assert ("may favour it" in warnings) == bool(corrected)


def test_given_masks_are_said_to_be_uncertain_and_clean_ones_count(make_comparison):
    given = make_comparison({"nnU-Net": 2, "anl-seg": 6})
    clean = make_comparison({"nnU-Net": 6, "anl-seg": 2}, "labelsTr_clean")
    alone = Advice(TRIAL, given, None, ESTIMATE, TIMING)
    assert "copies their errors" in alone.warnings[0]
    both = Advice(TRIAL, given, clean, ESTIMATE, TIMING)
    assert "the clean masks counts" in " ".join(both.warnings)
    assert "cannot decide" in alone.recommendation
    assert "nnUNetTrainerANL" in both.recommendation
    assert [line.split(":")[0] for line in both.findings[:2]] == [
        "Against the masks as given",
        "Against the clean masks",
    ]


def test_the_page_holds_figures_of_all_parts_and_needs_no_network(make_comparison, tmp_path):
    comparison = make_comparison({"nnU-Net": 6, "anl-seg": 2})
    advice = Advice(TRIAL, comparison, None, ESTIMATE, TIMING)
    page = advice_page(advice)
    assert "About 7 of 24 masks are probably wrong (95 % interval 4 to 11)" in page
    assert "about 6.4 days" in page  # 1000 * (250 * 2 s + 50 * 1 s)
    assert "128 x 128 pixels, and 512 x 512 in nnUNetPlans" in page
    assert "corrected labels in 0 of 2 folds" in page
    for mean in comparison.means["1"].values():
        assert f"{100 * mean.mean:.1f}" in page
    assert not re.search(r'(src|href)="http', page)


def test_what_could_not_be_measured_is_said(make_comparison, tmp_path):
    comparison = make_comparison({"nnU-Net": 6, "anl-seg": 2})
    nothing = Estimate(N, math.nan, math.nan, math.nan, "24 cases are too few")
    advice = Advice(TRIAL, comparison, None, nothing, "nnUNetv2_train ended with exit code -9")
    page = advice_page(advice)
    assert "cannot be estimated: 24 cases are too few" in page
    assert "cannot tell" in page
    assert "could not be measured: nnUNetv2_train ended" in page


# The data set


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """A data set with plans, whose images and plans no network could use."""
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / name))
    raw, preprocessed = (tmp_path / part / "Dataset510_Own" for part in ("raw", "preprocessed"))
    (raw / "imagesTr").mkdir(parents=True)
    save(raw / "labelsTr", {f"case{i:02d}": disc(9) for i in range(N)})
    for name in (path.stem for path in (raw / "labelsTr").iterdir()):
        (raw / "imagesTr" / f"{name}_0000.png").touch()
    write_json(raw / "dataset.json", {"file_ending": ".png", "labels": {"background": 0, "x": 1}})
    (preprocessed / "nnUNetPlans_2d").mkdir(parents=True)
    configurations = {
        "2d": {"data_identifier": "nnUNetPlans_2d"},
        "3d_fullres": {"data_identifier": "nnUNetPlans_3d_fullres"},
        "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        "2d_large_batch": {"inherits_from": "2d", "batch_size": 64},
    }
    write_json(preprocessed / "nnUNetPlans.json", {"configurations": configurations})
    return tmp_path


def test_all_folds_of_nnunet_are_the_default(planned):
    assert find_source(AdviceSettings("510")).folds == (0, 1, 2, 3, 4)
    assert find_source(AdviceSettings("510", folds=(3, 1))).folds == (1, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (AdviceSettings("511"), "no data set 511"),
        (AdviceSettings("510", plans="other"), "no plans file"),
        (AdviceSettings("510", "3d_lowres"), r"no configuration 3d_lowres \(-c\)"),
        (AdviceSettings("510", "3d_fullres"), "nnUNetv2_preprocess -d 510 .* -c 3d_fullres"),
        (AdviceSettings("510", "3d_cascade_fullres"), "is a cascade"),
        (AdviceSettings("510", "2d_large_batch"), "inherits its network from 2d; choose -c 2d"),
        (AdviceSettings("510", folds=(0, 5)), "-f 5: the data set has the folds 0 to 4"),
    ],
)
def test_settings_that_do_not_fit_are_refused(planned, settings, message):
    with pytest.raises(InputError, match=message):
        find_source(settings)


def test_too_few_cases_are_refused(planned):
    for path in list((planned / "raw/Dataset510_Own/labelsTr").iterdir())[9:]:
        path.unlink()
    with pytest.raises(InputError, match="has 9 training cases, and the trial needs at least 10"):
        find_source(AdviceSettings("510"))


def test_a_data_set_that_is_not_planned_is_one_line_with_the_command(planned, capsys):
    (planned / "preprocessed/Dataset510_Own").rename(planned / "preprocessed/Dataset999_Gone")
    with pytest.raises(SystemExit) as stop:
        main(["advise", "-d", "510", "-o", str(planned / "advice")])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "run `nnUNetv2_plan_and_preprocess -d 510` first" in error
    assert error.count("\n") == 1
    assert not (planned / "advice").exists()


def test_the_command_has_the_defaults_of_the_settings():
    from anl_seg.cli import advise as command

    settings = AdviceSettings("510")
    defaults = (command.DEFAULT_EPOCHS, command.DEFAULT_ITERATIONS)
    assert defaults == (settings.epochs, settings.iterations)


# A whole trial

TINY = AdviceSettings("510", folds=(0,), epochs=1, iterations=2, seed=3)


def no_bar(items, description, total=None):
    return iter(items)


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    from anl_seg.trainers.installation import discovery_folder

    root = tmp_path_factory.mktemp("advise")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("nnUNet_extTrainer", str(discovery_folder()))  # for editable installs
        user = NnUNet(root, "cpu")
        for folder in (user.raw, user.preprocessed, user.results):
            patch.setenv(folder.name, str(folder))
        phantom.write_challenge_layout(root / "src", n_train=12, n_test=1, size=48, seed=3)
        isic2017.convert(root / "src", user.raw / "Dataset510_Own", size=48)
        user.plan(510)
        user.preprocess(510, "nnUNetPlans")
        before = sorted(user.preprocessed.rglob("*"))
        found = advise(root / "advice", TINY, "cpu", num_processes=1, track=no_bar)
        page = write_advice(found, root / "advice")
        assert sorted(user.preprocessed.rglob("*")) == before
        yield root / "advice", found, page
        patch.setattr(NnUNet, "_lines", lambda *_: pytest.fail("a command was run again"))
        again = advise(root / "advice", TINY, "cpu", num_processes=1, track=no_bar)
        assert again.lines == found.lines
        with pytest.raises(
            InputError, match=r"a trial with other settings \(folds, epochs, iterations, seed\)"
        ):
            advise(root / "advice", AdviceSettings("510"), "cpu", num_processes=1, track=no_bar)


@pytest.mark.slow
@needs_nnunet
def test_a_trial_compares_the_held_out_cases_of_both_losses(trial):
    folder, found, page = trial
    assert [method.name for method in found.given.methods] == ["nnU-Net", "anl-seg"]
    assert len(found.given.cases) == 3  # a fifth of 12
    assert found.clean is None
    assert "3 cases are too few" in found.estimate.in_words
    assert found.timing.epochs == 1000
    assert 0 < found.timing.train_step < 60
    assert (folder / "suspects/suspects.html").exists()
    assert (folder / "comparison/comparison.html").exists()
    assert "Advice for Dataset510_Own" in page.read_text()
    content = json.loads((folder / "advice.json").read_text())
    assert content["trial"]["seed"] == 3
    assert content["comparisons"]["given"]["cases"] == 3
    assert content["full_training"]["seconds"] == pytest.approx(found.timing.total)


@pytest.mark.slow
@needs_nnunet
def test_both_trainings_share_plans_folds_and_seed(trial):
    folder, _, _ = trial
    preprocessed = folder / "nnunet/nnUNet_preprocessed/Dataset510_Own"
    nnunet, ours = (
        json.loads((preprocessed / f"{name}.json").read_text()) for name in ("nnU_Net", "anl_seg")
    )
    assert nnunet["configurations"] == ours["configurations"]
    assert [plans["anl_seg"]["loss"] for plans in (nnunet, ours)] == ["dice+ce", "anl-ce"]
    assert all(plans["anl_seg"]["seed"] == 3 for plans in (nnunet, ours))
