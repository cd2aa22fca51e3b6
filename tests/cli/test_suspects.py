"""`anl-seg suspects` and `anl-seg revise`: from two folders to a new data set, and exit codes."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image
from suspects.conftest import cases, raw  # noqa: F401 (fixtures)
from suspects.discs import disc, softmax

from anl_seg.cli import main
from anl_seg.suspects.estimate import MIN_AGREEMENT


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main(list(map(str, arguments)))
    return end.value.code or 0


def judge(raw, output):  # noqa: F811
    softmax = raw.parents[1] / "softmax"
    return run(
        *("suspects", "--predictions", softmax, "--labels", raw / "labelsTr"),
        *("--images", raw / "imagesTr", "-o", output),
    )


@pytest.fixture
def report(raw, tmp_path):  # noqa: F811
    assert judge(raw, tmp_path / "report") == 0
    return tmp_path / "report"


def test_report(raw, cases, capsys, tmp_path):  # noqa: F811
    report = tmp_path / "report"
    assert judge(raw, report) == 0
    printed = capsys.readouterr().out
    assert "The first 20 of 40 cases" in printed
    assert re.search(r"About \d+ of 40 masks are probably wrong|cannot be estimated", printed)
    with (report / "suspects.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert ",".join(rows[0]) == "case,score,rank,kind,class,dice,area_change,shift,unit,box,fold"
    assert [int(row["rank"]) for row in rows] == list(range(1, 41))
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    wrong = {case for case, (*_, kind) in cases.items() if kind}
    assert len(wrong & {row["case"] for row in rows[:20]}) >= 16
    content = json.loads((report / "suspects.json").read_text())
    assert [each["case"] for each in content["cases"]] == [row["case"] for row in rows]
    assert content["wrong_masks"]["cases"] == 40


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("-d", "510", "--in-sample", "-f", "0"), "--in-sample judges by fold all; omit -f"),
        (("-d", "510", "--images", "images"), "--images has no effect with -d; omit it"),
        (
            ("--predictions", "soft", "--labels", "masks", "-f", "0", "1", "--in-sample"),
            "-f, --in-sample has no effect with --predictions; omit it",
        ),
        (("-d", "510", "0"), "unexpected argument 0; see anl-seg suspects --help"),
    ],
)
def test_options_without_effect_are_refused(tmp_path, capsys, options, told):
    assert run("suspects", *options, "-o", tmp_path / "report") == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("trained", [True, False])
def test_a_network_that_agrees_too_little_is_a_warning(raw, cases, capsys, trained, tmp_path):  # noqa: F811
    if not trained:  # it predicts another corner for every case
        for path in (tmp_path / "softmax").glob("*.npz"):
            np.savez(path, probabilities=softmax(disc(8, 8, 7)))
    report = tmp_path / "report"
    assert judge(raw, report) == 0
    content = json.loads((report / "suspects.json").read_text())
    assert (content["agreement"] >= MIN_AGREEMENT) == trained
    page = (report / "suspects.html").read_text(encoding="utf-8")
    warning = "The network agrees too little with the given masks"
    for text in (capsys.readouterr().err, page, content["warning"]):
        assert (warning in text) != trained


def test_predicted_masks_are_kept(report, cases):  # noqa: F811
    for case, (_, probabilities, _) in cases.items():
        found = np.asarray(Image.open(report / "predictions" / f"{case}.png"))
        assert np.array_equal(found, probabilities.argmax(0))


def test_predicted_masks_are_readable_by_others(report):
    mode = (report / "predictions").stat().st_mode
    assert mode == report.stat().st_mode
    assert mode & 0o077, "this test needs a umask that lets others read"


def test_a_mask_that_is_probably_right_shows_no_kind(report):
    page = (report / "suspects.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    shown = {each["case"]: each["kind"] for each in data["cases"]}
    ranked = json.loads((report / "suspects.json").read_text())["cases"]
    assert {each["score"] >= 0.5 for each in ranked} == {True, False}
    for each in ranked:
        assert shown[each["case"]] == (each["kind"] if each["score"] >= 0.5 else "")


def test_the_page_names_no_other_file(report):
    page = (report / "suspects.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 40
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page


def test_the_way_back(report, raw, capsys, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    decisions = report / "decisions.csv"
    decisions.write_text("case,decision\ncase_00,wrong\ncase_01,unsure\ncase_05,fine\n")
    target = raw.parent / "Dataset502_Revised"
    assert run("revise", raw, target, "--decisions", decisions, "--as", "predict") == 0
    assert "39 kept, 1 predicted" in capsys.readouterr().out
    new, predicted = (
        np.asarray(Image.open(folder / "case_00.png"))
        for folder in (target / "labelsTr", report / "predictions")
    )
    assert np.array_equal(new, predicted)


def test_folds_are_kept_for_nnunet(report, raw, monkeypatch, tmp_path, capsys):  # noqa: F811
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    splits = [{"train": ["case_02", "case_03"], "val": ["case_00", "case_01"]}]
    place = tmp_path / "preprocessed" / raw.name / "splits_final.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(splits))
    decisions = report / "decisions.csv"
    decisions.write_text("case,decision\ncase_00,wrong\n")
    target = raw.parent / "Dataset502_Revised"
    assert run("revise", raw, target, "--decisions", decisions, "--as", "drop") == 0
    assert f"-d {target.name[7:10]} -c 2d\n" in capsys.readouterr().out
    kept = json.loads((tmp_path / "preprocessed" / target.name / "splits_final.json").read_text())
    assert kept == [{"train": ["case_02", "case_03"], "val": ["case_01"]}]


PLANNED_BY_NNUNET = {
    "nnUNetPlans": {
        "experiment_planner_used": "ExperimentPlanner",
        "configurations": {
            "2d": {"data_identifier": "nnUNetPlans_2d"},
            "3d_fullres": {"data_identifier": "nnUNetPlans_3d_fullres"},
            "3d_cascade_fullres": {"inherits_from": "3d_fullres"},
        },
    }
}
SMALL_COPY = PLANNED_BY_NNUNET | {"small": PLANNED_BY_NNUNET["nnUNetPlans"]}
RESIDUAL = {
    "nnUNetResEncUNetMPlans": {
        "experiment_planner_used": "nnUNetPlannerResEncM",
        "configurations": {"3d_fullres": {"data_identifier": "nnUNetPlans_3d_fullres"}},
    }
}
OF_A_NOISY_COPY = {
    "small": {
        "experiment_planner_used": "ExperimentPlanner",
        "configurations": {"2d": {"data_identifier": "nnUNetPlans_2d_from_Dataset500_Clean"}},
    }
}


@pytest.mark.parametrize(
    ("plans", "images", "commands"),
    [
        (PLANNED_BY_NNUNET, ["nnUNetPlans_3d_fullres"], ["-d 502 -c 3d_fullres"]),
        (SMALL_COPY, ["nnUNetPlans_3d_fullres", "small_2d"], ["-d 502 -c 3d_fullres"]),
        (RESIDUAL, ["nnUNetPlans_3d_fullres"], ["-d 502 -pl nnUNetPlannerResEncM -c 3d_fullres"]),
        (
            PLANNED_BY_NNUNET | RESIDUAL,
            ["nnUNetPlans_2d", "nnUNetPlans_3d_fullres"],
            ["-d 502 -c 2d 3d_fullres", "-d 502 -pl nnUNetPlannerResEncM -c 3d_fullres"],
        ),
        (OF_A_NOISY_COPY, ["nnUNetPlans_2d_from_Dataset500_Clean"], ["-d 502 -c 2d"]),
        (RESIDUAL, [], ["-d 502 -c 2d"]),  # images are PNG
    ],
)
def test_revise_names_the_plans_of_the_source(
    report,
    raw,  # noqa: F811
    monkeypatch,
    tmp_path,
    capsys,
    plans,
    images,
    commands,
):
    folder = tmp_path / "preprocessed" / raw.name
    for name in images:
        (folder / name).mkdir(parents=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text("{}")
    for name, content in plans.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    decisions = report / "decisions.csv"
    decisions.write_text("case,decision\ncase_00,wrong\n")
    target = raw.parent / "Dataset502_Revised"
    assert run("revise", raw, target, "--decisions", decisions, "--as", "drop") == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("next")]
    assert printed == [f"next: nnUNetv2_plan_and_preprocess {each}" for each in commands]


def test_bad_input(raw, tmp_path, capsys):  # noqa: F811
    assert run("suspects", "-o", tmp_path / "report") == 2
    assert "give -d for a data set" in capsys.readouterr().err
    softmax = tmp_path / "softmax"
    np.savez(softmax / "case_00.npz", probabilities=np.full((2, 48, 48), 0.7))
    assert judge(raw, tmp_path / "report") == 2
    assert "sum to 1.4, expected 1" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
    np.savez(softmax / "case_00.npz", probabilities=np.full((2, 48, 48), 0.5))
    (raw / "imagesTr" / "case_07_0000.png").write_bytes(b"no image")
    assert judge(raw, tmp_path / "report") == 2
    assert "case_07_0000.png: cannot be read as an image" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
    decisions = tmp_path / "decisions.csv"
    decisions.write_text("case,decision\nstranger,wrong\n")
    target = raw.parent / "Dataset502_Revised"
    assert run("revise", raw, target, "--decisions", decisions, "--as", "drop") == 2
    assert "stranger" in capsys.readouterr().err
    decisions.write_text("case,decision\ncase_00,wrong\n")
    for how, message in (
        ("delete", "--as delete: no such folder; give drop, ignore, predict or"),
        ("predict", "give the output folder of anl-seg suspects with --report"),
    ):
        assert run("revise", raw, target, "--decisions", decisions, "--as", how) == 2
        assert message in capsys.readouterr().err
    assert not target.exists()


def test_predictions_of_the_user_are_refused_before_any_work(raw, tmp_path, capsys):  # noqa: F811
    (tmp_path / "softmax").rename(tmp_path / "predictions")
    folders = ("--predictions", tmp_path / "predictions", "--labels", raw / "labelsTr")
    assert run("suspects", *folders, "-o", tmp_path) == 2
    assert "which is not of an earlier report; give another folder" in capsys.readouterr().err
    assert len(list((tmp_path / "predictions").iterdir())) == 40
    # with -d, before nnU-Net predicts anything
    assert run("suspects", "-d", "501", "-o", tmp_path) == 2
    assert "which is not of an earlier report" in capsys.readouterr().err
