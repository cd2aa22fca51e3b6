"""`anl-seg evaluate`: tables, files, exit codes."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from anl_seg.cli import main

MASK = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=np.uint8)


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main(["evaluate", *map(str, arguments)])
    return end.value.code or 0


@pytest.fixture
def folders(tmp_path):
    def write(predictions, references):
        pair = []
        for name, masks in (("pred", predictions), ("labelsTs", references)):
            folder = tmp_path / name
            folder.mkdir()
            for case, mask in masks.items():
                Image.fromarray(mask).save(folder / f"{case}.png")
            pair.append(folder)
        return pair

    return write


def test_tables_and_files(folders, tmp_path, capsys):
    half = MASK.copy()
    half[2] = 0
    pred, ref = folders(
        {"[x]": half, "b": MASK, "c": MASK * 0}, {"[x]": MASK, "b": MASK, "c": MASK * 0}
    )
    assert run(pred, ref, "-o", tmp_path / "report") == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "│" in line]
    assert rows == [
        ["[x]", "0.6667", "0.5000"],
        ["b", "1.0000", "1.0000"],
        ["c", "–", "–"],
    ]
    (dice,) = (line.split() for line in lines if line.strip().startswith("Dice"))
    # n, mean ± std, 95 % CI, median, IQR, pooled: (2/3 + 1) / 2 and (4 + 8) / (6 + 8)
    assert dice == [
        *("Dice", "2", "0.833", "±", "0.236", "0.667–1.000", "0.833", "0.750–0.917", "0.857")
    ]
    assert any("class 1: in neither mask in 1 case" in line for line in lines)
    assert lines[-2] == "labels found in the references"
    report = tmp_path / "report"
    files = ["summary.json", "cases.csv", "report.md", "report.tex", "report.html"]
    assert lines[-1] == f"written to {report}: {', '.join(files)}"
    assert {path.name for path in report.iterdir()} == set(files)


def test_figures_only(folders, tmp_path):
    report = tmp_path / "report"
    assert run(*folders({"a": MASK}, {"a": MASK}), "-o", report, "--figures-only") == 0
    assert {path.name for path in report.iterdir()} == {"summary.json", "cases.csv"}


def test_missing_images_leave_nothing_behind(folders, tmp_path, capsys):
    report = tmp_path / "report"
    (tmp_path / "images").mkdir()
    pred, ref = folders({"a": MASK}, {"a": MASK})
    assert run(pred, ref, "-o", report, "--images", tmp_path / "images") == 2
    assert str(tmp_path / "images") in capsys.readouterr().err
    assert not report.exists()


@pytest.mark.parametrize("name", ["evaluate", "compare"])
def test_missing_images_are_named_before_a_case_is_scored(folders, tmp_path, capsys, name):
    pred, ref = folders({"a": MASK}, {"a": MASK})
    for folder in (pred, ref):
        (folder / "a.png").write_bytes(b"never read")
    arguments = [pred, ref] if name == "evaluate" else [f"x={pred}", f"y={pred}", "--ref", ref]
    with pytest.raises(SystemExit):
        main([name, *map(str, arguments), "-o", str(tmp_path / "out"), "--images", str(tmp_path)])
    assert "no image for 1 of 1 cases: a" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["evaluate", "compare"])
def test_a_broken_image_loses_no_figures(folders, tmp_path, capsys, name):
    pred, ref = folders({"a": MASK, "b": MASK}, {"a": MASK, "b": MASK})
    images, report = tmp_path / "images", tmp_path / "report"
    images.mkdir()
    for case in "ab":
        (images / f"{case}.png").write_bytes(b"no image")
    arguments = [pred, ref] if name == "evaluate" else [f"x={pred}", f"y={pred}", "--ref", ref]
    with pytest.raises(SystemExit) as ended:
        main([name, *map(str, arguments), "-o", str(report), "--images", str(images)])
    assert ended.value.code == 2
    assert "a.png: cannot be read as an image" in capsys.readouterr().err
    figures = "summary.json" if name == "evaluate" else "comparison.json"
    assert {figures, "cases.csv"} <= {path.name for path in report.iterdir()}


@pytest.mark.parametrize("name", ["evaluate", "compare"])
def test_a_negative_seed_is_refused_before_a_case_is_scored(folders, capsys, name):
    pred, ref = folders({"a": MASK}, {"a": MASK})
    (ref / "a.png").write_bytes(b"never read")
    arguments = [pred, ref] if name == "evaluate" else [f"x={pred}", f"y={pred}", "--ref", ref]
    with pytest.raises(SystemExit) as ended:
        main([name, *map(str, arguments), "--seed", "-1"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "--seed" in error
    assert "a.png" not in error


def test_several_classes_show_their_mean_and_the_lowest(folders, capsys):
    two = MASK.copy()
    two[3] = 2
    other = two.copy()
    other[3, :2] = 0
    pred, ref = folders({"a": other}, {"a": two})
    (pred / "dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "lesion": 1, "ruler": 2}})
    )
    assert run(pred, ref) == 0
    out = capsys.readouterr().out
    assert "2 ruler: 0.6667" in out
    assert ["foreground_mean", "0.833"] in [line.split() for line in out.splitlines()]
    assert f"labels from {pred / 'dataset.json'}" in out


def test_many_cases_show_the_worst(folders, capsys):
    cases = {f"case_{number:02}": MASK for number in range(41)}
    pred, ref = folders({**cases, "case_37": MASK[::-1, ::-1] * 0}, cases)
    assert run(pred, ref) == 0
    out = capsys.readouterr().out
    assert "worst 10 of 41 cases" in out
    assert out.count("case_") == 10
    assert out.index("case_37") < out.index("case_00")


def test_without_output_nothing_is_written(folders, tmp_path, capsys):
    pred, ref = folders({"a": MASK}, {"a": MASK})
    before = sorted(tmp_path.rglob("*"))
    assert run(pred, ref) == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert "nothing written; -o DIR" in capsys.readouterr().out.splitlines()[-1]


def test_files_of_an_earlier_run_are_replaced_and_others_kept(folders, tmp_path):
    pred, ref = folders({"a": MASK}, {"a": MASK})
    (pred / "summary.json").write_text("old")
    (pred / "notes.txt").write_text("mine")
    assert run(pred, ref, "-o", pred) == 0
    assert json.loads((pred / "summary.json").read_text())["anl_seg"]["n_cases"] == 1
    assert (pred / "notes.txt").read_text() == "mine"
    assert run(pred, ref, "-o", pred) == 0  # its own files are no cases


@pytest.mark.parametrize("labels", ["1", "1,2", "1 2"])
def test_labels(folders, labels, capsys):
    assert run(*folders({"a": MASK}, {"a": MASK}), "--labels", labels) == 0
    assert "labels as given" in capsys.readouterr().out


def test_ignore_label(folders, tmp_path):
    reference = MASK.copy()
    reference[0] = 2
    pred, ref = folders({"a": MASK}, {"a": reference})
    assert run(pred, ref, "-il", "2", "-o", tmp_path / "report") == 0
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert summary["mean"]["1"]["TN"] == 8


def test_surfaces_empty_rule_tolerance_and_seed(folders, tmp_path, capsys):
    pred, ref = folders({"a": MASK, "b": MASK * 0}, {"a": MASK, "b": MASK * 0})
    options = ("--surfaces", "--tolerance", "1.5", "--empty", "one", "--seed", "3", "-np", "2")
    assert run(pred, ref, *options, "--labels", "1", "-o", tmp_path / "report") == 0
    assert "NSD at 1.5 px" in capsys.readouterr().out
    ours = json.loads((tmp_path / "report" / "summary.json").read_text())["anl_seg"]
    assert ours["settings"] == {
        **{"empty": "one", "surfaces": True, "unit": "px"},
        **{"tolerance": 1.5, "seed": 3, "threshold": None},
    }
    assert ours["classes"]["1"]["statistics"]["Dice"]["n"] == 2


def test_unknown_empty_rule(folders, capsys):
    assert run(*folders({"a": MASK}, {"a": MASK}), "--empty", "half") == 2
    assert "'half'" in capsys.readouterr().err


def test_noise_manifest_splits_by_kind(folders, tmp_path, capsys):
    half = MASK.copy()
    half[2] = 0
    pred, ref = folders({"a": half, "b": MASK}, {"a": MASK, "b": MASK})
    rows = [
        {"case": "a", "kind": "erosion", "file": "pred/a.png"},
        {"case": "b", "kind": "clean", "file": "labelsTs/b.png"},
    ]
    manifest = tmp_path / "noise_manifest.json"
    manifest.write_text(json.dumps({"cases": rows}))
    assert run(pred, ref, "--noise-manifest", manifest) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "│" in line]
    assert ["erosion", "1", "0.667", "1.000", "0.333", "–"] in rows
    assert ["clean", "1", "1.000", "1.000", "0.000", "–"] in rows


def test_bad_input_is_one_line_and_nothing_is_written(folders, tmp_path, capfd):
    pred, ref = folders({"a": MASK}, {"a": MASK, "b": MASK})
    assert run(pred, ref, "-o", tmp_path / "report") == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"anl-seg: error: {pred}: no prediction of the same name for 1")
    assert not (tmp_path / "report").exists()


def test_text_named_png_is_one_line(folders, tmp_path, capfd):
    pred, ref = folders({"a": MASK}, {"a": MASK})
    (pred / "a.png").write_text("text")
    assert run(pred, ref) == 2
    assert capfd.readouterr().err.count("\n") == 1


def test_a_part_of_the_cases(folders, tmp_path, capsys):
    """As --chill of nnUNetv2_evaluate_folder: a fold's validation against all labels."""
    pred, ref = folders({"a": MASK}, {"a": MASK, "b": MASK, "c": MASK})
    assert run(pred, ref, "--chill", "-o", tmp_path / "report") == 0
    out = capsys.readouterr().out
    assert f"predictions {pred}, references {ref}" in out
    assert "1 of 3 references have a prediction; --chill left out the others" in out
    assert json.loads((tmp_path / "report" / "summary.json").read_text())["anl_seg"]["n_cases"] == 1


def test_a_prediction_without_reference_is_an_error_even_with_chill(folders, capsys):
    pred, ref = folders({"a": MASK, "x": MASK}, {"a": MASK})
    assert run(pred, ref, "--chill") == 2
    assert "no reference of the same name for 1 of 2" in capsys.readouterr().err


def test_folders_in_the_wrong_order_are_a_warning(folders, capsys):
    pred, ref = folders({"a": MASK}, {"a": MASK})
    assert run(ref, pred) == 0
    assert "labelsTs is a typical name of references" in capsys.readouterr().err
    assert run(pred, ref) == 0
    assert capsys.readouterr().err == ""


def test_output_that_is_a_file(folders, tmp_path, capsys):
    pred, ref = folders({"a": MASK}, {"a": MASK})
    (tmp_path / "report").write_text("a file")
    assert run(pred, ref, "-o", tmp_path / "report") == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "report") in error
    assert error.count("\n") == 1


def grey_masks(tmp_path):
    """References resized with interpolation, predictions of 0 and 1 as nnU-Net writes them."""
    rows, columns = np.mgrid[:160, :160]
    folders = tmp_path / "pred", tmp_path / "ref"
    for folder in folders:
        folder.mkdir()
    for case in range(2):
        disc = ((rows - 80) ** 2 + (columns - 70 - case) ** 2 < 45**2) * np.uint8(255)
        grey = Image.fromarray(disc).resize((48, 48), Image.Resampling.BICUBIC)
        grey.save(folders[1] / f"{case}.png")
        labels = (np.asarray(grey) >= 128).astype(np.uint8)
        Image.fromarray(labels).save(folders[0] / f"{case}.png")
    return folders


@pytest.mark.parametrize("declared", [False, True])
def test_grey_masks_are_refused_with_the_cure(tmp_path, capsys, declared):
    pred, ref = grey_masks(tmp_path)
    if declared:
        labels = {"labels": {"background": 0, "lesion": 1}, "file_ending": ".png"}
        (pred / "dataset.json").write_text(json.dumps(labels))
    assert run(pred, ref) == 2
    error = capsys.readouterr().err.splitlines()
    assert error[0] == "anl-seg: error: 2 problems, nothing evaluated:"
    for line, case in zip(error[1:], (0, 1), strict=True):
        assert f"ref/{case}.png: contains the values 0, " in line
        assert "add --threshold 128 to make it binary" in line


def test_grey_masks_are_thresholded_when_asked(tmp_path, capsys):
    pred, ref = grey_masks(tmp_path)
    assert run(pred, ref, "--threshold", 128, "-o", tmp_path / "out") == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["foreground_mean"]["Dice"] == 1
    assert list(summary["mean"]) == ["1"]
    assert "label 1" not in capsys.readouterr().err


def test_a_soft_border_of_few_values_is_grey(folders, capsys):
    soft = np.kron(MASK, np.ones((2, 2), np.uint8)) * np.uint8(255)
    soft[2, 2:6] = (64, 128, 128, 191)
    pred, ref = folders({"a": soft}, {"a": soft})
    assert run(pred, ref) == 2
    assert "resizing with interpolation" in capsys.readouterr().err
    assert run(pred, ref, "--labels", "64,128,191,255") == 0


def test_a_threshold_does_not_empty_masks_of_labels(folders, capsys):
    pred, ref = folders({"a": MASK * 2}, {"a": MASK * 2})
    assert run(pred, ref, "--threshold", 128) == 2
    assert "omit the option for label maps" in capsys.readouterr().err


def test_a_faint_prediction_among_grey_masks_is_empty(folders, tmp_path):
    grey = MASK * np.uint8(255)
    pred, ref = folders({"a": grey, "b": MASK * 24}, {"a": grey, "b": grey})
    assert run(pred, ref, "--threshold", 128, "-o", tmp_path / "out", "--figures-only") == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [case["metrics"]["1"]["Dice"] for case in summary["metric_per_case"]] == [1, 0]


def test_dangling_links_are_named(folders, capsys):
    pred, ref = folders({"a": MASK, "b": MASK}, {"a": MASK, "b": MASK})
    for folder in (pred, ref):
        (folder / "b.png").unlink()
        (folder / "b.png").symlink_to("../.git/annex/objects/b.png")
    assert run(pred, ref) == 2
    error = capsys.readouterr().err
    assert error.count("1 link points to files that do not exist: b.png") == 2


NAMES = ["M\udcfcller", "Jürgen 𝄞", 'a"b,c', "a\nb", "-rf", "=1+1", "<b>&amp;", "{{ x }}", "$x_1%"]


def test_any_file_name_is_reported(folders, tmp_path, capsys):
    cases = dict.fromkeys(NAMES, MASK)
    pred, ref = folders(cases, cases)
    assert run(pred, ref, "-o", tmp_path / "out") == 0
    with (tmp_path / "out" / "cases.csv").open(
        newline="", encoding="utf-8", errors="surrogateescape"
    ) as stream:
        assert {row["case"] for row in csv.DictReader(stream)} == set(NAMES)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    files = {case["reference_file"] for case in summary["metric_per_case"]}
    assert files == {str(ref / f"{name}.png") for name in NAMES}
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
