"""Tables as LaTeX with the package booktabs."""

from __future__ import annotations

from collections.abc import Iterable

from anl_seg.evaluation.reports.grid import Cell, Grid

#: Command around the text of a cell, by mark.
MARKS = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
#: Characters that are special in LaTeX, or that a font may lack.
ESCAPES = {
    **{character: "\\" + character for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "[": "{[}",  # at the start of a row it would be an argument of the line break before it
    "<": "$<$",
    ">": "$>$",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "δ": r"$\delta$",
    "η": r"$\eta$",
    "λ": r"$\lambda$",
    "τ": r"$\tau$",
}


def latex_table(grid: Grid, label: str) -> str:
    r"""Format the table as a float with a caption (title, then note) and `\label{tab:LABEL}`.

    The document needs `\usepackage{booktabs}`.
    """
    figures = len(grid.headings) - grid.text_columns
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escape(grid.title)}. {_escape(grid.note)}}}".replace(". }", ".}"),
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{{'l' * grid.text_columns + 'r' * figures}}}",
        r"\toprule",
        _line(map(_escape, grid.headings)),
        r"\midrule",
        *(_line(map(_cell, row)) for row in grid.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    return MARKS[cell.mark].format(_escape(cell.text))


def _escape(text: str) -> str:
    return "".join(ESCAPES.get(character, character) for character in text)
