"""The tables as data: every number against the paper's text, and against what our code uses."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from anl_seg import losses, paper

TEXT = Path(__file__).parents[3] / "shared" / "paper" / "active-negative-loss.txt"
#: Table -> where it begins and ends in the paper's text; in V and VII the methods are columns.
PLACES = {
    1: ("TABLE ITest", "more focus"),
    2: ("TABLE II\n", "TABLE III\n"),
    3: ("TABLE III\n", "improvement, surpassing"),
    4: ("TABLE IV TOP", "TABLE V\n"),
    5: ("TABLE V\n", "ANL framework across"),
    6: (" TABLE VI\n", "TABLE VII"),
    7: ("TABLE VII Test", "experiments. Moreover"),
    8: (" TABLE VIII\n", None),
}
#: Methods that the paper prints by the name of a family -> our loss.
FAMILIES = {"APL": "nce+rce", "ALF": "nce+agce"}


def lines_of_the_paper(start: str, end: str | None) -> list[list[str]]:
    """The lines between two texts that hold a table's cells, without TeX and references."""
    if not TEXT.exists():
        pytest.skip(f"{TEXT} is not there")
    text = TEXT.read_text(encoding="utf-8")
    begin = text.index(start)
    part = text[begin : text.index(end, begin + len(start)) if end else None]
    for found, meant in {
        r"\\times 10\^\{(-\d)\}": r"e\1",
        r"\\pm": "±",
        r"\\(scriptstyle|underline|overline|textbf)|</?u>| \[\d+\]| \(ours\)|[{}$]": "",
        r"_±": "±",
        r" ?([±e]) ?": r"\1",
        r"\\(alpha|beta|gamma|delta|lambda)": r"\1",
    }.items():
        part = re.sub(found, meant, part)
    return [line.split("\t") for line in part.splitlines() if "\t" in line]


@pytest.mark.data
@pytest.mark.parametrize("number", [2, 3, 4, 6])
def test_every_number_of_the_paper(number):
    lines = lines_of_the_paper(*PLACES[number])
    printed = [line for line in lines if re.match(r"\d", line[-1])]
    assert [(cells[0].strip(), *cells[1:]) for cells in printed] == rows(number)


@pytest.mark.data
def test_every_number_of_table_1():
    first, second = lines_of_the_paper(*PLACES[1])[1:]  # two rows have run into each other
    split = [list(row) for row in zip(*(cell.split() for cell in first), strict=True)]
    assert [tuple(row) for row in [*split, second]] == rows(1)


@pytest.mark.data
@pytest.mark.parametrize("number", [5, 7])
def test_every_number_of_tables_that_lie_on_their_side(number):
    methods, numbers = lines_of_the_paper(*PLACES[number])
    assert list(zip(methods, numbers, strict=True))[1:] == rows(number)


@pytest.mark.data
def test_every_number_of_table_8():
    letters = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "lambda": "λ"}
    found = {}
    for method, *cells in lines_of_the_paper(*PLACES[8])[1:]:
        for word, letter in letters.items():
            method = re.sub(rf"\b{word}\b", letter, method)
        for column, cell in zip(("CIFAR-10", "CIFAR-100", "WebVision"), cells, strict=True):
            if cell != "-":
                values = [float(value) for value in re.findall(r"[\d.]+(?:e-\d)?", cell)]
                found[method.replace(" (-)", " ()"), column] = values
    ours = {
        (f"{cell.printed} ({', '.join(cell.symbols)})", cell.column): list(cell.values.values())
        for cell in paper.hyper_parameters()
    }
    assert ours == found


def rows(number: int) -> list[tuple[str, ...]]:
    """Our table as the paper prints it, with the decimals of its file."""
    digits = 1 if number == 6 else 2
    table: dict[str, list[str]] = {}
    for cell in paper.published(number):
        std = "" if math.isnan(cell.std) else f"±{cell.std:.{digits}f}"
        table.setdefault(cell.printed, []).append(f"{cell.mean:.{digits}f}{std}")
    return [(printed, *cells) for printed, cells in table.items()]


@pytest.mark.parametrize(
    ("number", "n_rows", "n_columns"),
    [(1, 3, 5), (2, 12, 10), (3, 12, 10), (4, 7, 2), (5, 3, 1), (6, 6, 7), (7, 4, 1)],
)
def test_the_tables_are_complete(number, n_rows, n_columns):
    cells = paper.published(number)
    assert len({(cell.loss, cell.column) for cell in cells}) == len(cells) == n_rows * n_columns
    assert len({cell.loss for cell in cells}) == len({cell.printed for cell in cells}) == n_rows
    assert len({cell.column for cell in cells}) == n_columns


@pytest.mark.parametrize(
    ("number", "loss", "column", "mean", "std"),
    [
        (1, "nnce", "Sym-0.8", 57.06, None),
        (2, "anl-ce*", "Asym-0.4", 81.47, 0.31),  # 2.87 above ALF, says section VI-D
        (2, "nce+agce", "Asym-0.4", 78.60, 0.41),
        (3, "anl-ce*", "Sym-0.8", 29.45, 0.42),
        (4, "anl-fl", "ILSVRC12 Val", 65.56, None),  # these four stand in section VI-E
        (4, "sce", "WebVision Val", 68.00, None),
        (5, "anl-ce", "Test", 80.72, 0.37),
        (7, "anl-ce", "Test", 69.93, None),
        (6, "anl-ce", "0.7/0.7", 77.3, 0.4),  # section VI-F
    ],
)
def test_figures_that_the_text_of_the_paper_names(number, loss, column, mean, std):
    (cell,) = (c for c in paper.published(number) if (c.loss, c.column) == (loss, column))
    assert cell.mean == mean
    assert math.isnan(cell.std) if std is None else cell.std == std


def test_columns_say_what_the_noise_is():
    settings = {cell.column: dict(cell.settings) for cell in paper.published(2)}
    assert settings["Clean"] == {"noise": "clean"}
    assert settings["Asym-0.4"] == {"noise": "asymmetric", "eta": 0.4}
    assert settings["Dep-0.2"] == {"noise": "instance", "eta": 0.2}
    assert settings["Real"] == {"noise": "human"}
    assert dict(paper.published(6)[0].settings) == {"eta_alpha": 0.0, "eta_beta": 0.0}


@pytest.mark.parametrize("number", range(1, 8))
def test_rows_are_called_as_our_losses(number):
    for cell in paper.published(number):
        assert cell.loss in losses.names()
        assert cell.loss == FAMILIES.get(cell.printed, cell.printed.lower())


@pytest.mark.parametrize("cell", paper.hyper_parameters(), ids=lambda c: f"{c.loss}-{c.column}")
def test_presets_are_those_of_table_8(cell):
    preset = losses.preset(cell.loss, cell.column.lower().replace("-", ""))
    used = {**preset.hyper_parameters, **({"delta": preset.delta} if preset.delta else {})}
    assert used == cell.values


def test_no_preset_of_these_data_sets_is_beyond_table_8():
    printed = {(c.loss, c.column.lower().replace("-", "")) for c in paper.hyper_parameters()}
    presets = {(loss, data) for _, data in printed for loss in losses.PRESETS[data]}
    assert presets == printed
