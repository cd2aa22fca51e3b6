"""Ours beside the published figures: means, marks, differences, missing runs; all formats."""

from __future__ import annotations

import csv
import io
import re
import statistics

import pytest
from rich.console import Console

from anl_seg import losses
from anl_seg.errors import InputError
from anl_seg.experiments.runs.records import DONE, FAILED, RunRecord, write_record
from anl_seg.experiments.tables.output_formats import print_text, written
from anl_seg.experiments.tables.paper_table import Choice, lay_out
from anl_seg.experiments.tables.report import hyper_parameter_report, results_report

COMMAND = "anl-seg table 2 --run"
#: Shares by loss and seed, for CE (75.05±0.26), ALF (89.11±0.07) and ANL-CE (90.02±0.23).
SHARES = {"ce": (0.74, 0.76, 0.78), "nce+agce": (0.9, 0.89, 0.91), "anl-ce": (0.93, 0.88)}


@pytest.fixture
def table():
    return lay_out(2, Choice(rows=["ce", "alf", "anl-ce", "nmae"], columns=["Sym-0.2", "Real"]))


@pytest.fixture
def root(table, tmp_path):
    """Some runs of the first column are done; one failed."""
    for loss, shares in SHARES.items():
        for run, share in zip(table.cells[loss, "Sym-0.2"].runs, shares, strict=False):
            record(tmp_path, run, DONE, test_accuracy=share, best_test_accuracy=1.0)
    record(tmp_path, table.cells["anl-ce", "Sym-0.2"].runs[2], FAILED)
    return tmp_path


def record(root, run, status, **metrics):
    write_record(
        root / run.id,
        RunRecord(run.id, run.kind, dict(run.settings), status=status, metrics=metrics),
    )


@pytest.fixture
def report(table, root):
    return results_report(table, root, COMMAND)


def test_finished_runs_without_a_result_are_noted(tmp_path):
    table = lay_out(6, Choice(rows=["ce"], columns=["0.0"], seeds=[1, 2]))
    first, second = table.cells["ce", "0.0"].runs
    record(tmp_path, first, DONE, validation_dice=0.5)
    record(tmp_path, second, DONE, test_dice=0.5)
    told = "runs done without test_dice: 1, because their data have no test images"
    assert results_report(table, tmp_path, COMMAND).notes == (told,)


def test_ours_beside_the_published_with_the_difference(report):
    lines = [[cell.text for cell in row[:3]] for row in report.grid.rows]
    std = 100 * statistics.stdev(SHARES["anl-ce"])
    assert report.grid.headings == ("method", "", "Sym-0.2", "Real")
    assert lines == [
        ["CE", "ours", "76.00±2.00"],
        ["", "published", "75.05±0.26"],
        ["", "difference", "+0.95"],
        ["ALF", "ours", "90.00±1.00"],
        ["", "published", "89.11±0.07"],
        ["", "difference", "+0.89"],
        ["ANL-CE", "ours", f"90.50±{std:.2f} (2)"],
        ["", "published", "90.02±0.23"],
        ["", "difference", "+0.48"],
        ["nmae", "ours", "–"],
    ]
    assert "in brackets the number" in report.grid.note


def test_a_column_without_runs(report):
    assert [row[3].text for row in report.grid.rows[:3]] == ["–", "61.43±0.52", "–"]


def test_the_difference_has_a_true_minus(table, root):
    for run in table.cells["ce", "Sym-0.2"].runs:
        record(root, run, DONE, test_accuracy=0.5)
    row = results_report(table, root, COMMAND).grid.rows[2]
    assert row[2].text == "−25.05"


def test_marks_of_ours_and_of_the_published_apart(report):
    marks = {(row[0].text, row[1].text): row[2].mark for row in report.grid.rows}
    assert marks["ANL-CE", "ours"] == "best"
    assert marks["ALF", "ours"] == "second"
    assert marks["CE", "ours"] == ""
    assert [row[2].mark for row in report.grid.rows if row[1].text == "published"] == [
        "",
        "second",
        "best",
    ]


def test_missing_runs_and_their_command(report):
    assert report.notes == (f"runs not done: 16 of 24 (1 failed, 15 waiting): {COMMAND}",)


def test_nothing_is_missing(tmp_path):
    table = lay_out(7, Choice(rows=["ce"]))
    ((cell,),) = [table.cells.values()]
    record(tmp_path, cell.runs[0], DONE, test_accuracy=0.6807)
    report = results_report(table, tmp_path, "again")
    assert report.notes == ()
    assert [row[2].text for row in report.grid.rows] == ["68.07", "68.07", "+0.00"]


def test_a_metric_that_the_record_lacks_is_no_figure(table, root):
    record(root, table.cells["nmae", "Sym-0.2"].runs[0], DONE, loss=1.0)
    assert results_report(table, root, COMMAND).grid.rows[-1][2].text == "–"


def test_two_columns_from_the_metrics_of_one_run(tmp_path):
    table = lay_out(4, Choice(rows=["sce"]))
    (run,) = table.cells["sce", "WebVision Val"].runs
    record(tmp_path, run, DONE, **{"test_accuracy": 0.68, "ilsvrc12-val_accuracy": 0.626})
    ours = results_report(table, tmp_path, COMMAND).grid.rows[0]
    assert [cell.text for cell in ours[2:]] == ["62.60", "68.00"]


def test_dice_with_one_decimal(tmp_path):
    table = lay_out(6, Choice(rows=["anl-ce"], columns=["0.7/0.7"]))
    for run, share in zip(table.cells["anl-ce", "0.7/0.7"].runs, (0.76, 0.77, 0.78), strict=True):
        record(tmp_path, run, DONE, test_dice=share)
    lines = [row[2].text for row in results_report(table, tmp_path, COMMAND).grid.rows]
    assert lines == ["77.0±1.0", "77.3±0.4", "−0.3"]


def test_another_experiment_has_a_warning_and_no_difference(tmp_path):
    table = lay_out(6, Choice(scale="small", settings={"data": "sample", "epochs": 3}))
    for cell in table.cells.values():
        record(tmp_path, cell.runs[0], DONE, test_dice=0.7)
    report = results_report(table, tmp_path, COMMAND)
    for part in ("Not the paper's", "sample", "size 64", "epochs 3", "isic2017-poly", "1, 2, 3"):
        assert part in report.head
    assert "ISIC-2017" not in report.grid.title
    assert {row[1].text for row in report.grid.rows} == {"ours", "published"}
    assert written(report, "text").startswith("Not the paper's experiment")


def test_columns_left_out_are_named(tmp_path):
    table = lay_out(2, Choice(settings={"protocol": "digits"}))
    assert (
        "Real: digits has no second set of human labels"
        in results_report(table, tmp_path, COMMAND).notes[0]
    )


def test_table_8():
    lines = {
        row[0].text: [cell.text for cell in row[1:]] for row in hyper_parameter_report().grid.rows
    }
    assert lines["CE"] == ["–", "()", "()", "()"]
    assert lines["ANL-CE"] == ["α, β, δ", "(5, 5, 5e-5)", "(10, 1, 5e-7)", "(20, 1, 6e-6)"]
    assert lines["ANL-CE*"] == ["α, β, δ, λ", "(5, 5, 5e-5, 2)", "(10, 1, 5e-7, 0.01)", "–"]
    assert len(lines) == 12


def test_a_part_of_table_8():
    report = hyper_parameter_report(["apl"], ["cifar 100"])
    assert [[cell.text for cell in row] for row in report.grid.rows] == [
        ["APL", "α, β", "(10, 0.1)"]
    ]
    assert [(row["parameter"], row["value"]) for row in report.values] == [
        ("alpha", 10.0),
        ("beta", 0.1),
    ]


def test_table_8_lacks_a_row():
    with pytest.raises(InputError, match="unknown row 'x'"):
        hyper_parameter_report(["x"])
    assert "–" in hyper_parameter_report(["nmae"]).grid.rows[0][2].text
    assert "nmae" in losses.names()


def test_text(report):
    text = written(report, "text")
    assert re.search(r"ANL-CE +ours +90\.50±3\.54 \(2\) +–", text)
    assert COMMAND in text
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_narrow_terminal_gets_several_tables(tmp_path):
    report = results_report(lay_out(2, Choice(rows=["ce"])), tmp_path, COMMAND)
    file = io.StringIO()
    print_text(report, Console(file=file, width=60))
    lines = file.getvalue().splitlines()
    headings = [line for line in lines if "method" in line]
    assert len(headings) == 4
    assert " ".join(headings).split().count("Clean") == 1
    for text in ("90.38±0.11", "61.43±0.52"):
        assert file.getvalue().count(text) == 1
    assert max(len(line) for line in lines if "±" in line and "Ours" not in line) <= 60


def test_markdown(report):
    text = written(report, "markdown")
    assert "| ANL-CE | ours | **90.50±3.54 (2)** | – |" in text
    assert "| ALF | ours | <u>90.00±1.00</u> | – |" in text
    assert text.endswith(f"{COMMAND}\n")


def test_latex(report):
    text = written(report, "latex")
    assert r"ANL-CE & ours & \textbf{90.50$\pm$3.54 (2)} & -- \\" in text
    assert r"ALF & ours & \underline{90.00$\pm$1.00} & -- \\" in text
    assert r"test accuracy (\%) on CIFAR-10" in text
    assert r"\label{tab:table-ii}" in text
    assert text.startswith("% runs not done: 16 of 24")


def test_latex_of_table_8_has_no_letter_that_latex_lacks():
    text = written(hyper_parameter_report(), "latex")
    assert text.isascii()
    assert r"$\delta$, $\lambda$" in text


def test_html_is_one_file(report):
    page = written(report, "html")
    assert '<td class=" best">90.50±3.54 (2)</td>' in page
    assert not re.search(r"<(script|link|img)|https?://", page)


def test_csv(report):
    rows = list(csv.DictReader(io.StringIO(written(report, "csv"))))
    assert len(rows) == 8
    first = rows[0]
    assert (first["loss"], first["column"], first["mean"], first["std"]) == (
        "ce",
        "Sym-0.2",
        "76.0",
        "2.0",
    )
    assert (first["published_mean"], first["published_std"]) == ("75.05", "0.26")
    assert (first["seeds_done"], first["seeds_asked"]) == ("3", "3")
    assert len(first["runs"].split()) == 3
    assert rows[-1]["mean"] == rows[-1]["published_mean"] == ""


def test_no_such_format(report):
    with pytest.raises(InputError, match="unknown format 'pdf'; choose one of text, markdown"):
        written(report, "pdf")
