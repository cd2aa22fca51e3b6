"""Tables: their cells, and how Markdown, LaTeX and the terminal show them."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from anl_seg.evaluation.reports.grid import Cell, Grid, figure, marks, p_value, span
from anl_seg.evaluation.reports.latex import latex_table
from anl_seg.evaluation.reports.markdown import markdown_document, markdown_table
from anl_seg.evaluation.reports.terminal import terminal_table

NAN = math.nan
GRID = Grid(
    title="Dice (%)",
    headings=("method", "a_b"),
    rows=[[Cell("x|y & z"), Cell("77.3±0.4", "best")], [Cell("t<1"), Cell("76.1", "second")]],
    note="100 % sure",
)


def test_figures():
    assert figure(0.12345) == "0.123"
    assert figure(12.345, 1) == "12.3"
    assert figure(NAN) == "–"
    assert span(0.1, 0.25) == "0.100 to 0.250"
    assert span(NAN, 0.2) == "–"
    assert (p_value(0.0004), p_value(0.0314), p_value(NAN)) == ("< 0.001", "0.031", "–")


@pytest.mark.parametrize(
    ("values", "higher", "expected"),
    [
        ([0.1, 0.3, 0.2], True, ["", "best", "second"]),
        ([0.1, 0.3, 0.2], False, ["best", "", "second"]),
        ([0.3, 0.3, 0.2, 0.1], True, ["best", "best", "second", ""]),
        ([NAN, 0.3, 0.2], True, ["", "best", "second"]),
        ([NAN, 0.3], True, ["", ""]),
        ([], True, []),
    ],
)
def test_best_and_second(values, higher, expected):
    assert marks(values, higher_is_better=higher) == expected


def test_markdown():
    assert markdown_table(GRID) == (
        "**Dice (%)**\n\n"
        "| method | a\\_b |\n"
        "| --- | ---: |\n"
        "| x\\|y & z | **77.3±0.4** |\n"
        "| t\\<1 | <u>76.1</u> |\n\n"
        "100 % sure\n"
    )


def test_titles_and_notes_are_escaped_too():
    grid = Grid(title="to a_b", headings=("method",), rows=[[Cell("x")]], note="than <x>")
    assert markdown_table(grid).startswith("**to a\\_b**\n")
    assert markdown_table(grid).endswith("than \\<x>\n")


def test_brackets_are_plain_text():
    grid = Grid(title="to [b]", headings=("[b]",), rows=[[Cell("[red]")]], note="than [b]")
    assert r"{[}red] \\" in latex_table(grid, "x").splitlines()
    console = Console(file=io.StringIO(), width=80)
    console.print(terminal_table(grid))
    shown = console.file.getvalue()
    assert (shown.count("[b]"), shown.count("[red]")) == (3, 1)


def test_markdown_document():
    lines = markdown_document("4 * 4", [GRID], ["a_b: 1"]).splitlines()
    assert lines[0] == "# 4 \\* 4"
    assert lines[2] == "**Dice (%)**"
    assert lines[-3:] == ["## How this was measured", "", "- a\\_b: 1"]


def test_latex():
    assert latex_table(GRID, "dice").splitlines() == [
        r"\begin{table}",
        r"\centering",
        r"\caption{Dice (\%). 100 \% sure}",
        r"\label{tab:dice}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"method & a\_b \\",
        r"\midrule",
        r"x|y \& z & \textbf{77.3$\pm$0.4} \\",
        r"t$<$1 & \underline{76.1} \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def test_terminal():
    text = io.StringIO()
    Console(file=text, width=60).print(terminal_table(GRID))
    for part in ("Dice (%)", "x|y & z", "77.3±0.4", "100 % sure"):
        assert part in text.getvalue()
