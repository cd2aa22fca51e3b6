"""The paper's Figures 2 to 8: the runs that each one needs, and its drawing.

pieces = runs_of_figure(8, dataset="digits")
draw_figure(8, pieces, Path("runs"), Path("figure_8.pdf"))
"""

from anl_seg.experiments.figures.drawing import FIGURES, check_format, draw_figure, missing_runs
from anl_seg.experiments.figures.figure_runs import FigureRun, runs_of_figure

__all__ = ["FIGURES", "FigureRun", "check_format", "draw_figure", "missing_runs", "runs_of_figure"]
