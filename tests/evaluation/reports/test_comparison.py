"""The report of a comparison: Table VI's form, the differences, all files, and what is empty."""

from __future__ import annotations

import csv
import html
import json
import math
import re

import numpy as np
import pytest
from PIL import Image

from anl_seg.evaluation.compare import compare, evaluate_methods
from anl_seg.evaluation.conclusions import conclude
from anl_seg.evaluation.conventions import Conventions
from anl_seg.evaluation.reports.comparison import (
    compare_folders,
    comparison_page,
    write_comparison,
)
from anl_seg.evaluation.reports.comparison_tables import PublishedColumn, comparison_grids

#: A cell of the paper's Table VI.
PUBLISHED = PublishedColumn({"anl-ce": (79.6, 0.6)}, "Ye et al., arXiv:2412.02373")


def test_the_form_of_table_vi(comparison):
    means, _ = comparison_grids(comparison, PUBLISHED)
    assert means.headings == ("method", "trainings", "foreground", "1", "2", "published")
    (
        (far, far_runs, far_mean, *_, far_published),
        (near, near_runs, near_mean, *_, near_published),
    ) = means.rows
    assert (far.text, far_runs.text, near.text, near_runs.text) == ("far", "1", "anl-ce", "2")
    expected = comparison.means["foreground"]["anl-ce"]
    assert near_mean.text == f"{100 * expected.mean:.1f}±{100 * expected.std:.1f}"
    assert "±" not in far_mean.text, "one training has no spread"
    assert (near_mean.mark, far_mean.mark) == ("best", "second")
    assert (near_published.text, far_published.text) == ("79.6±0.6", "–")
    assert "arXiv:2412.02373" in means.note


def test_without_published_figures_there_is_no_such_column(comparison):
    means, _ = comparison_grids(comparison)
    assert "published" not in means.headings


def test_differences(comparison):
    _, differences = comparison_grids(comparison)
    row = dict(zip(differences.headings, differences.rows[0], strict=True))
    first = comparison.differences[0]
    low, high = first.interval
    assert row["mean"].text == f"{100 * first.mean:.2f}"
    assert row["95 % CI"].text == f"{100 * low:.2f} to {100 * high:.2f}"
    assert row["95 % CI, new trainings"].text.startswith(f"{100 * first.group_interval[0]:.2f} to")
    assert row["W/T/L"].text == f"{first.wins}/{first.ties}/{first.losses}"
    assert "Up to 1 cases are left out because one of the two is undefined" in differences.note


def test_holms_p_is_shown_if_several_methods_are_compared(folders):
    for names in (("far", "near1"), ("far", "near1", "near2")):
        methods = evaluate_methods({name: [folders[name]] for name in names}, folders["ref"])
        means, differences = comparison_grids(compare(methods))
        assert ("p (Holm)" in differences.headings) == (len(names) == 3)
        assert ("Holm" in differences.note) == (len(names) == 3)
        assert "std" not in means.note, "single trainings have no spread"


def test_lengths_are_not_percentages(folders):
    runs = {name: [folders[name]] for name in ("far", "near1")}
    conventions = Conventions(surfaces=True)
    compared = compare(evaluate_methods(runs, folders["ref"], conventions=conventions), "HD95")
    means, _ = comparison_grids(compared)
    assert means.title.startswith("HD95 (px), mean")
    assert [row[2].mark for row in means.rows] == ["second", "best"], "the smaller is the better"


def test_files(comparison, folders, tmp_path):
    files = write_comparison(comparison, tmp_path, published=PUBLISHED, images=folders["images"])
    assert {file.name for file in files} == {
        *("comparison.md", "comparison.tex", "comparison.html", "comparison.json", "cases.csv")
    }
    content = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert content["baseline"] == "far"
    assert content["methods"]["anl-ce"] == [str(folders["near1"]), str(folders["near2"])]
    assert content["published"]["anl-ce"]["mean"] == 79.6
    assert content["differences"][0]["mean"] == comparison.differences[0].mean
    assert {"seed", "versions", "metric", "conventions"} <= content.keys()


def test_values_as_csv(comparison, tmp_path):
    write_comparison(comparison, tmp_path)
    with (tmp_path / "cases.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 3 * 10, "targets, trainings, cases"
    of_second = [
        float(row["Dice"])
        for row in rows
        if (row["class"], row["method"], row["training"]) == ("1", "anl-ce", "2")
    ]
    assert of_second == pytest.approx(comparison.values["1"]["anl-ce"][1], nan_ok=True)


def test_the_page(comparison):
    page = comparison_page(comparison)
    assert "gained most" in page
    assert "Outlined is the first training of each method" in page
    assert all(s.startswith("data:") for s in re.findall(r'(?:src|href)="([^"]{0,30})', page))


def test_methods_may_have_any_name(folders):
    """A likely name of a run on clean labels is "clean"."""
    runs = {"clean": [folders["near1"]], "case": [folders["far"]], "<i>": [folders["near2"]]}
    page = comparison_page(compare(evaluate_methods(runs, folders["ref"])))
    assert page.count('<button type="button">case</button>') == 2
    assert "<i>" not in page


def test_nothing_is_defined(tmp_path):
    for folder in ("one", "two", "ref"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(tmp_path / folder / "a.png")
    runs = evaluate_methods(
        {"one": [tmp_path / "one"], "two": [tmp_path / "two"]}, tmp_path / "ref", labels=(1,)
    )
    comparison = compare(runs)
    assert math.isnan(comparison.differences[0].mean)
    files = write_comparison(comparison, tmp_path / "report")
    assert all(file.stat().st_size for file in files)
    assert "| nan" not in (tmp_path / "report" / "comparison.md").read_text(encoding="utf-8")


def test_one_call_for_all(folders, tmp_path):
    methods = {"far": [folders["far"]], "near": [folders["near1"], folders["near2"]]}
    compared = compare_folders(methods, folders["ref"], tmp_path, notes=["trained for a test"])
    page = (tmp_path / "comparison.html").read_text(encoding="utf-8")
    assert compared.baseline == "far"
    assert "trained for a test" in page
    assert conclude(compared).sentence in html.unescape(page)
    markdown = (tmp_path / "comparison.md").read_text(encoding="utf-8")
    assert conclude(compared).sentence.replace("_", r"\_") in " ".join(
        markdown.replace(r"\<", "<").split()
    )
