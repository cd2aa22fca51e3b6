"""Pictures of cases side by side: the image, and below it each mask as an outline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from anl_seg.formats.images import read_for_display
from anl_seg.formats.masks import read_labels

#: Colour visible on skin and lesion, also to colour-blind readers (Okabe and Ito).
OUTLINE = "#56B4E9"
#: Width and height of one panel in inches.
PANEL = 2.2


@dataclass(frozen=True)
class OutlinedCase:
    """One case to draw.

    Attributes:
        title: Title above the case.
        image: Image of the case.
        masks: Mask to outline in each row of pictures, by label of the row.
    """

    title: str
    image: Path
    masks: Mapping[str, Path]


def draw_columns(cases: Sequence[OutlinedCase], panel: float = PANEL) -> Figure:
    """Draw cases side by side, the image above, then every mask as an outline.

    Args:
        cases: At least one, all with the same masks.
        panel: Width and height of one panel in inches.

    Raises:
        InputError: If an image or a mask cannot be read.
    """
    titles = ["image", *cases[0].masks]
    figure = Figure(figsize=(panel * len(cases), panel * len(titles)), layout="constrained")
    panels = figure.subplots(len(titles), len(cases), squeeze=False)
    for case, column in zip(cases, panels.T, strict=True):
        _draw_case(case, column)
        column[0].set_title(case.title)
    for title, first in zip(titles, panels[:, 0], strict=True):
        first.set_ylabel(title)
    return figure


def _draw_case(case: OutlinedCase, panels: Iterable[Axes]) -> None:
    """Draw the image in the first panel, and with the outline of a mask in each other panel."""
    image = read_for_display(case.image)
    for panel, mask in zip(panels, [None, *case.masks.values()], strict=True):
        panel.imshow(image)
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
        if mask is not None:
            _outline(panel, read_labels(mask) > 0)


def _outline(panel: Axes, mask: NDArray[np.bool_]) -> None:
    if mask.any() and not mask.all():  # without an outline matplotlib warns
        panel.contour(mask, levels=[0.5], colors=OUTLINE, linewidths=1.5)
