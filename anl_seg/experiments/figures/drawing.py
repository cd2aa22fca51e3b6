"""Drawing of a figure by its number: find its runs, write the picture and the numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from matplotlib import rc_context

from anl_seg.errors import InputError, named
from anl_seg.experiments.figures.curves import draw_accuracies, draw_penalties
from anl_seg.experiments.figures.figure_runs import FigureRun
from anl_seg.experiments.figures.gradients import draw_gradients
from anl_seg.experiments.figures.marginals import draw_marginals
from anl_seg.experiments.figures.masks import draw_masks
from anl_seg.experiments.figures.style import STYLE, Drawing, Placed
from anl_seg.experiments.runs.records import DONE
from anl_seg.experiments.runs.run import Run
from anl_seg.experiments.runs.sweep import standings_of
from anl_seg.formats.files import atomic_path, write_text

#: Functions that draw the figures, by number.
FIGURES: Mapping[int, Callable[[Placed], Drawing]] = MappingProxyType(
    {
        2: draw_marginals,
        3: draw_accuracies,
        4: draw_penalties,
        5: draw_penalties,
        6: draw_masks,
        7: draw_gradients,
        8: draw_accuracies,
    }
)
FORMATS = (".png", ".pdf", ".svg")


def missing_runs(pieces: Sequence[FigureRun], root: Path) -> list[Run]:
    """Return the runs that are not done in the folder `root`, each once.

    Args:
        pieces: Runs from `runs_of_figure`.
        root: Folder of the runs.

    Returns:
        The missing runs.

    Raises:
        InputError: If a record cannot be read.

    Examples:
        >>> from anl_seg.experiments.figures.figure_runs import runs_of_figure
        >>> len(missing_runs(runs_of_figure(3, dataset="digits"), Path("runs")))
        5
    """
    runs = list({piece.run.id: piece.run for piece in pieces}.values())
    found = standings_of(root, runs)
    return [run for run, each in zip(runs, found, strict=True) if each.state != DONE]


def check_format(output: Path) -> None:
    """Check that the suffix of a picture is one of `FORMATS`.

    Raises:
        InputError: If it is not.

    Examples:
        >>> check_format(Path("figure_3.pdf"))
    """
    if output.suffix not in FORMATS:
        raise InputError(f"-o must end in {named(FORMATS)}, got {output.name!r}")


def draw_figure(number: int, pieces: Sequence[FigureRun], root: Path, output: Path) -> Path:
    """Draw a figure from the finished runs; panels of missing runs say so.

    Args:
        number: Number of the figure, 2 to 8.
        pieces: Runs from `runs_of_figure`.
        root: Folder of the runs.
        output: File of the picture. Its suffix, one of `FORMATS`, determines the format.

    Returns:
        The CSV file beside the picture, with the numbers in it.

    Raises:
        InputError: If none of the runs is done, or the suffix is unknown.
    """
    check_format(output)
    missing = {run.id for run in missing_runs(pieces, root)}
    placed = [(piece, None if piece.run.id in missing else root / piece.run.id) for piece in pieces]
    if not any(folder for _, folder in placed):
        raise InputError(f"{root} has none of the runs of figure {number}; add --run to do them")
    with rc_context(STYLE):
        drawing = FIGURES[number](placed)
        with atomic_path(output) as partial:
            drawing.figure.savefig(partial)
    numbers = output.with_suffix(".csv")
    write_text(numbers, _as_csv(drawing))
    return numbers


def _as_csv(drawing: Drawing) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(drawing.columns)
    writer.writerows(drawing.rows)
    return text.getvalue()
