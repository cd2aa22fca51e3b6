"""The report of an evaluation: figures, no external files, empty masks."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from anl_seg.errors import InputError
from anl_seg.evaluation import evaluate_folders, summarize
from anl_seg.evaluation.reports.evaluation import evaluation_page, write_report
from anl_seg.evaluation.reports.evaluation_tables import evaluation_grids
from anl_seg.evaluation.reports.page import MAX_PICTURES, ranks


def texts(grid):
    return [[cell.text for cell in row] for row in grid.rows]


def test_tables_hold_the_figures_of_the_cases(evaluation, summary):
    by_class, all_metrics = evaluation_grids(summary)
    dices = np.array([case.values[1]["Dice"] for case in evaluation.cases])
    name, n, missed, mean, std, median, *_ = texts(by_class)[1]
    assert (name, n, missed) == ("1", "9", "1"), "the empty case is undefined, the first is missed"
    assert float(mean) == pytest.approx(np.nanmean(dices), abs=5e-4)
    assert float(std) == pytest.approx(np.nanstd(dices, ddof=1), abs=5e-4)
    assert float(median) == pytest.approx(np.nanmedian(dices), abs=5e-4)
    foreground = [
        np.mean([case.values[label]["Dice"] for label in (1, 2)]) for case in evaluation.cases
    ]
    assert texts(by_class)[0][0] == "foreground"
    assert float(texts(by_class)[0][3]) == pytest.approx(np.nanmean(foreground), abs=5e-4)
    pooled = sum((case.counts[1] for case in evaluation.cases[1:]), evaluation.cases[0].counts[1])
    assert float(texts(by_class)[1][-1]) == pytest.approx(
        2 * pooled.tp / (2 * pooled.tp + pooled.fp + pooled.fn), abs=5e-4
    )
    assert len(all_metrics.rows) == 3 * len(evaluation.metrics)


def test_both_foreground_means_are_shown(tmp_path):
    """Class 1 scores 1 and 0, class 2 scores 1 in the only case that has it."""
    both, first = np.array([[1, 1, 2, 2]], np.uint8), np.array([[1, 1, 0, 0]], np.uint8)
    pairs = {"a": (both, both), "b": (np.zeros_like(first), first)}
    for place, folder in enumerate(("pred", "ref")):
        (tmp_path / folder).mkdir()
        for case, pair in pairs.items():
            Image.fromarray(pair[place]).save(tmp_path / folder / f"{case}.png")
    by_class, _ = evaluation_grids(summarize(evaluate_folders(tmp_path / "pred", tmp_path / "ref")))
    assert texts(by_class)[0][3] == "0.500", "(1 + 0) / 2 over cases"
    assert by_class.note.endswith("foreground_mean, is 0.750."), "(1/2 + 1) / 2 over classes"


def test_a_single_class_has_one_table(tmp_path):
    for folder in ("pred", "ref"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / folder / "a.png")
    (grid,) = evaluation_grids(summarize(evaluate_folders(tmp_path / "pred", tmp_path / "ref")))
    assert grid.headings[0] == "metric"
    assert texts(grid)[0][:3] == ["Dice", "1", "1.000"]


def test_report_files(summary, folders, tmp_path):
    files = write_report(summary, tmp_path, images=folders["images"])
    assert [file.name for file in files] == ["report.md", "report.tex", "report.html"]
    markdown, latex, page = (file.read_text(encoding="utf-8") for file in files)
    mean = texts(evaluation_grids(summary)[0])[0][3]
    assert mean in markdown
    assert mean in latex
    assert mean in page
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2
    assert page.count("data:image/jpeg;base64,") >= 10


def test_the_page_names_no_other_file(summary):
    page = evaluation_page(summary)
    sources = re.findall(r'(?:src|href|action)="([^"]{0,30})', page)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert "url(" not in page.replace("url(data:", "")
    assert "@import" not in page
    images = re.findall(r"<img [^>]*>", page)
    assert images
    assert all(re.search(r'alt="[^"]{30,}"', image) for image in images)


def test_names_are_escaped(tmp_path):
    for folder in ("pred", "ref"):
        (tmp_path / folder).mkdir()
        mask = np.eye(8, dtype=np.uint8)
        Image.fromarray(mask).save(tmp_path / folder / '<b>"&.png')
    page = evaluation_page(summarize(evaluate_folders(tmp_path / "pred", tmp_path / "ref")))
    assert "<b>" not in page
    assert "&lt;b&gt;&#34;&amp;" in page


def test_nothing_is_defined(tmp_path):
    """All masks are empty: every figure is NaN, and the report is still whole."""
    for folder in ("pred", "ref"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(tmp_path / folder / "a.png")
    evaluation = evaluate_folders(tmp_path / "pred", tmp_path / "ref", labels=(1,))
    assert math.isnan(evaluation.cases[0].values[1]["Dice"])
    files = write_report(summarize(evaluation), tmp_path / "report")
    assert all(file.stat().st_size for file in files)
    assert "| nan" not in files[0].read_text(encoding="utf-8")


def test_both_references(folders):
    """The far method's masks as noisy masks: predictions are equal to them, the gap is large."""
    rows = [
        {"case": f"case_{n}", "kind": "affine" if n else "clean", "file": f"far/case_{n}.png"}
        for n in range(10)
    ]
    manifest = folders["far"].parent / "noise_manifest.json"
    manifest.write_text(json.dumps({"cases": rows}))
    evaluation = evaluate_folders(
        folders["far"], folders["ref"], labels=(1, 2), noise_manifest=manifest
    )
    summary = summarize(evaluation)
    by_kind = {row[0]: row for row in texts(evaluation_grids(summary)[-1])}
    assert by_kind["affine"][3] == "1.000"
    assert float(by_kind["affine"][4]) > 0.1
    page = evaluation_page(summary)
    assert "memorisation" in page
    assert ">affine<" in page


@pytest.mark.parametrize(("spacing", "heading"), [((1, 2, 5), "(mL)"), (None, "size")])
def test_volumes_are_in_millilitres_if_the_spacing_is_known(tmp_path, spacing, heading):
    volume = np.zeros((3, 10, 10), dtype=np.uint8)
    volume[1] = 1
    for folder in ("pred", "ref"):
        (tmp_path / folder).mkdir()
        image = sitk.GetImageFromArray(volume)
        image.SetSpacing(spacing or (1, 1, 1))
        ending = "nii.gz" if spacing else "tif"
        sitk.WriteImage(image, str(tmp_path / folder / f"a.{ending}"))
    page = evaluation_page(summarize(evaluate_folders(tmp_path / "pred", tmp_path / "ref")))
    assert f"reference {heading}" in page
    assert ("size in the reference (mL)" in page) == bool(spacing)
    assert ('class="number">1.00</td>' in page) == bool(spacing), "100 voxels of 10 mm3 are 1 mL"


def test_images_that_are_missing_leave_nothing_behind(summary, folders, tmp_path):
    with pytest.raises(InputError, match="no image for 10 of 10 cases"):
        write_report(summary, tmp_path / "report", images=tmp_path)
    assert not (tmp_path / "report").exists()


def test_chosen_cases():
    values = {f"c{n}": n / 10 for n in range(9)}
    assert list(ranks(values).values()) == ["worst"] * 3 + ["near the median"] * 3 + ["best"] * 3
    assert ranks({**values, "none": math.nan}) == ranks(values)
    assert ranks({"a": 0.5}) == {"a": "best"}
    assert ranks({"a": 0.5, "b": 0.2}) == {"b": "worst", "a": "best"}
    assert ranks({"a": math.nan}) == {}


@pytest.mark.parametrize("n_undefined", [0, 2])
def test_cases_near_the_median_have_values_near_it(n_undefined):
    dices = [0.02, 0.21, 0.55, 0.63, 0.75, 0.89, 0.91, 0.93, 0.94, 0.95, 0.96, 0.97]
    values = {f"c{n}": dice for n, dice in enumerate(dices)}
    values |= {f"none{n}": math.nan for n in range(n_undefined)}
    near = [values[case] for case, rank in ranks(values).items() if rank == "near the median"]
    assert near == [0.89, 0.91, 0.93]


def test_of_many_cases_the_worst_have_pictures(tmp_path):
    count = MAX_PICTURES + 20
    for folder in ("pred", "ref"):
        (tmp_path / folder).mkdir()
    for n in range(count):
        mask = np.zeros((8, 8), dtype=np.uint8)
        mask[:4] = 1
        Image.fromarray(mask).save(tmp_path / "ref" / f"c{n:03}.png")
        mask[:, n % 5 :] = 0
        Image.fromarray(mask).save(tmp_path / "pred" / f"c{n:03}.png")
    page = evaluation_page(summarize(evaluate_folders(tmp_path / "pred", tmp_path / "ref")))
    without = page.count(f"worst {MAX_PICTURES} cases have a picture")
    assert 20 - 9 <= without <= 20
    assert page.count("<template") == count
