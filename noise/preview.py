"""Preview of a noisy data set: clean and noisy outlines on the images, worst cases last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from anl_seg.errors import InputError
from anl_seg.formats import noise_manifest as manifest
from anl_seg.formats.files import atomic_path
from anl_seg.formats.html_pictures import contours
from anl_seg.formats.images import read_for_display
from anl_seg.formats.masks import read_labels
from anl_seg.formats.nnunet import image_name
from anl_seg.formats.text import read_json
from anl_seg.noise.layout import CLEAN_LABELS, DATASET_JSON, IMAGES

#: Path in a noisy data set. In its own folder, the preview cannot be mistaken for a mask.
PREVIEW = Path("preview", "noise_preview.png")
#: Largest number of cases shown, spread evenly over the severities.
SHOWN, COLUMNS = 24, 6
#: Longest file name that is shown in full.
NAME_LENGTH = 32
#: Pictures are reduced to about this many pixels a side.
PICTURE_PIXELS = 400
#: Colours that colour-blind readers can distinguish (Okabe and Ito).
CLEAN_COLOUR, NOISY_COLOUR = "#56B4E9", "#E69F00"
#: Percentiles of an image that are shown as black and white.
WINDOW_PERCENTILES = (1, 99)


def write_preview(source: Path, target: Path) -> Path:
    """Write `preview/noise_preview.png` into a noisy data set.

    Args:
        source: Folder of the clean masks or data set.
        target: The folder that `corrupt_masks` wrote.

    Returns:
        Path of the picture.

    Raises:
        InputError: If `target` is not complete, or no mask in it is corrupted.
    """
    figure = draw_preview(source, target)
    with atomic_path(target / PREVIEW) as partial:
        figure.savefig(partial, dpi=200)
    return target / PREVIEW


def draw_preview(source: Path, target: Path) -> Figure:
    """Draw clean and noisy outlines of up to `SHOWN` corrupted masks.

    Each panel shows the image (grey if the source is a plain folder of masks), the outline of all
    classes in the clean and in the noisy mask, the file name, the kind of noise and Dice (mean over
    the classes). Panels are sorted from the highest Dice to the lowest. For a volume, the slice
    along the first axis with the most changes is shown.

    Args:
        source: Folder of the clean masks or data set.
        target: The folder that `corrupt_masks` wrote.

    Raises:
        InputError: If `target` is not complete, or no mask in it is corrupted.
    """
    content = manifest.read(target)
    threshold = content["settings"].get("threshold")
    cases = _by_severity(content["cases"])
    if not cases:
        raise InputError(f"{target}: no mask is corrupted, so there is nothing to show")
    spread = np.unique(np.linspace(0, len(cases) - 1, min(SHOWN, len(cases))).round().astype(int))
    panels = [cases[index] for index in spread]
    pictures = [_read(source, target, Path(file), threshold) for file, _, _ in panels]
    rows = -(-len(panels) // COLUMNS)
    columns = min(COLUMNS, len(panels))
    tallest = max(clean.shape[0] / clean.shape[1] for _, clean, _ in pictures)
    height = 2.0 * min(tallest, 2.0) + 0.4
    figure = Figure(figsize=(2.0 * columns, height * rows + 1.0), layout="constrained")
    FigureCanvasAgg(figure)
    total = content["summary"]["cases"]
    figure.suptitle(
        f"{len(panels)} of {len(cases)} corrupted masks are shown\n"
        f"(the data set has {total} masks)",
        fontsize=9,
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, picture, (file, kind, dice) in zip(grid.flat, pictures, panels, strict=False):
        _draw(axes, *picture)
        title = f"{_shortened(Path(file).name)}\n{kind}, Dice {dice:.2f}"
        axes.set_title(title, fontsize=7, pad=3, parse_math=False)
    lines = [
        Line2D([], [], color=CLEAN_COLOUR, label="clean"),
        Line2D([], [], color=NOISY_COLOUR, label="noisy"),
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _by_severity(rows: Sequence[dict[str, Any]]) -> list[tuple[str, str, float]]:
    """List file, kind and mean Dice of every corrupted case, mildest noise first."""
    found: dict[str, tuple[str, list[float]]] = {}
    for row in rows:
        if row["kind"] not in (manifest.CLEAN, manifest.SKIPPED):
            found.setdefault(row["file"], (row["kind"], []))[1].append(row["dice"])
    cases = [(file, kind, float(np.mean(dice))) for file, (kind, dice) in found.items()]
    return sorted(cases, key=lambda case: (-case[2], case[0]))


def _read(
    source: Path, target: Path, file: Path, threshold: float | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Read one slice of a case, reduced in size: picture, clean labels and noisy labels."""
    folder = target / CLEAN_LABELS
    clean = read_labels(folder / file.name if folder.is_dir() else source / file, threshold)
    noisy = read_labels(target / file, threshold)
    picture = _picture(target, file)
    if clean.ndim == 3:
        slice_ = int((clean != noisy).sum(axis=(1, 2)).argmax())
        clean, noisy = clean[slice_], noisy[slice_]
        picture = picture[slice_] if picture is not None else None
    stride = max(1, round(max(clean.shape) / PICTURE_PIXELS))
    if picture is None:
        picture = np.full(clean.shape, 60, np.uint8)
    return tuple(each[::stride, ::stride] for each in (picture, clean, noisy))  # type: ignore[return-value]


def _picture(target: Path, file: Path) -> NDArray[Any] | None:
    """Read the image of a case, its first channel or in colour; None if it has none."""
    if not (target / DATASET_JSON).is_file():
        return None
    content = read_json(target / DATASET_JSON)
    ending = content["file_ending"]
    path = target / IMAGES / image_name(file.name.removesuffix(ending), ending)
    return read_for_display(path)


def _draw(axes: Any, picture: NDArray[Any], clean: NDArray[Any], noisy: NDArray[Any]) -> None:  # noqa: ANN401 (matplotlib's axes)
    if picture.ndim == 2 and picture.min() < picture.max():
        low, high = np.percentile(picture, WINDOW_PERCENTILES)
        axes.imshow(picture, cmap="gray", vmin=low, vmax=high)
    else:
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
    for labels, colour, width in ((clean, CLEAN_COLOUR, 1.6), (noisy, NOISY_COLOUR, 1.0)):
        lines = [
            line - 0.5  # matplotlib's whole numbers are the centres of pixels
            for label in np.unique(labels[labels > 0])
            for line in contours(labels == label)
        ]
        axes.add_collection(
            PolyCollection(lines, facecolors="none", edgecolors=colour, linewidths=width)
        )


def _shortened(name: str) -> str:
    """Shorten a name to its start and end, and replace unprintable characters by ?."""
    name = "".join(each if each.isprintable() else "?" for each in name)
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 14]}…{name[-13:]}"
