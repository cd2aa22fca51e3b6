"""Pictures of cases in rows: the image, then each mask as an outline upon it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

#: Seen on skin and lesion alike, and by colour-blind readers (Okabe and Ito).
OUTLINE = "#56B4E9"
#: Width and height of one panel in inches.
PANEL = 2.2


@dataclass(frozen=True)
class Row:
    """One case: its title, its image, and by column title the masks to draw."""

    title: str
    image: Path
    masks: Mapping[str, Path]


def draw_rows(rows: Sequence[Row]) -> Figure:
    """Draw cases below each other, the image first, then every mask as an outline.

    Args:
        rows: At least one case, all with the same columns.

    Raises:
        OSError: If an image or a mask cannot be read.
    """
    columns = ["image", *rows[0].masks]
    figure = Figure(figsize=(PANEL * len(columns), PANEL * 1.12 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), len(columns), squeeze=False)
    for row, row_panels in zip(rows, panels, strict=True):
        image = np.asarray(Image.open(row.image))
        row_panels[0].set_ylabel(row.title, fontsize=8)
        for column, panel in zip(columns, row_panels, strict=True):
            panel.imshow(image)
            panel.set(xticks=[], yticks=[])
            if column in row.masks:
                _outline(panel, np.asarray(Image.open(row.masks[column])) > 0)
    for column, panel in zip(columns, panels[0], strict=True):
        panel.set_title(column, fontsize=9)
    return figure


def _outline(panel: Axes, mask: NDArray[np.bool_]) -> None:
    if mask.any() and not mask.all():  # else there is no outline, and matplotlib warns
        panel.contour(mask, levels=[0.5], colors=OUTLINE, linewidths=1.5)
