"""The gallery of suspects: one HTML page that holds its pictures, style and program."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from anl_seg.formats.files import write_text
from anl_seg.formats.html_pictures import MAX_SIDE, outline, picture_uri
from anl_seg.formats.masks import Labels, pixels_of
from anl_seg.processes import process_map
from anl_seg.progress import Track, untracked
from anl_seg.suspects.cases import CaseFiles, read_case
from anl_seg.suspects.classes import Classes
from anl_seg.suspects.kinds import KINDS
from anl_seg.suspects.ranking import Ranking, Suspect

#: Number of cases with pictures.
MAX_PICTURES = 300
NAME = "suspects.html"


@dataclass(frozen=True)
class _Work:
    files: CaseFiles
    suspect: Suspect


def write_gallery(
    ranking: Ranking,
    files: Mapping[str, CaseFiles],
    classes: Classes,
    output: Path,
    *,
    title: str,
    num_processes: int = 1,
    track: Track = untracked,
) -> Path:
    """Write `suspects.html` with the first 300 cases as pictures.

    Args:
        ranking: The ranked cases.
        files: Case -> its files.
        classes: The classes of the data set.
        output: Folder of the report.
        title: Name of the data set.
        num_processes: Processes that read and draw.
        track: Shows the cases done.

    Raises:
        InputError: If an image cannot be read or does not fit its mask.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    shown = ranking.suspects[:MAX_PICTURES]
    work = [_Work(files[suspect.case], suspect) for suspect in shown]
    with process_map(num_processes) as map_:
        drawn = iter(map_(partial(draw, classes=classes), work))
        cases = [next(drawn) for _ in track(work, "drawing")]
    environment = Environment(
        loader=PackageLoader("anl_seg.suspects", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    content = {
        "title": title,
        "identity": _identity(files),
        "cases": cases,
        "others": [*(each.case for each in ranking.suspects[MAX_PICTURES:]), *ranking.not_judged],
        "classes": [name or str(label) for label, name in classes.names.items()],
    }
    page = environment.get_template("gallery.html.jinja").render(
        title=title,
        ranking=ranking,
        shown=len(shown),
        kinds={
            kind: words for kind, words in KINDS.items() if kind in {s.likely_kind for s in shown}
        },
        several=len(classes.names) > 1,
        has_images=any(files[suspect.case].images for suspect in shown),
        # "</" would end the script that holds the data
        data=json.dumps(content, separators=(",", ":"), allow_nan=False).replace("</", "<\\/"),
        version=version("anl-seg"),
    )
    write_text(output / NAME, page)
    return output / NAME


def _identity(files: Mapping[str, CaseFiles]) -> str:
    """Tell data sets apart, even if they have the same title and names of cases.

    A browser keeps the marks of all pages together.
    """
    folders = sorted({os.fsencode(each.label.parent.resolve()) for each in files.values()})
    return hashlib.sha256(b"\0".join(folders)).hexdigest()[:16]


def draw(work: _Work, classes: Classes) -> dict[str, Any]:
    """Draw one case: what the page needs to know of it, as JSON holds it.

    Of a volume, the slice along the first axis in which most pixels differ is shown.
    """
    suspect, files = work.suspect, work.files
    case = read_case(files, classes)
    shape = case.labels.shape
    given, predicted = case.labels, case.predicted
    judged = np.ones(shape, dtype=bool)
    if classes.ignore_label is not None:
        judged = given != classes.ignore_label
    plane = None
    if len(shape) == 3:
        plane = _plane(given, predicted, judged, suspect)
        given, predicted, judged = given[plane], predicted[plane], judged[plane]
    step = -(-max(given.shape) // MAX_SIDE)
    given, predicted, judged = (each[::step, ::step] for each in (given, predicted, judged))
    differs = _differs(given, predicted, classes) & judged
    height, width = given.shape
    size = (width, height)
    return {
        "case": suspect.case,
        "rank": suspect.rank,
        "score": round(suspect.score, 4),
        "kind": suspect.likely_kind,
        "class": list(classes.names).index(suspect.label) if suspect.label is not None else -1,
        "dice": round(suspect.dice, 3),
        "area": None if np.isnan(suspect.area_change) else round(suspect.area_change, 3),
        "shift": round(suspect.shift, 2),
        "unit": suspect.unit,
        "fold": suspect.fold,
        "width": width,
        "height": height,
        "plane": "" if plane is None else f"slice {plane + 1} of {shape[0]}",
        "picture": picture_uri(files.images[0], shape, plane, size) if files.images else "",
        "given": _outlines(given, classes),
        "predicted": _outlines(predicted, classes),
        "only-given": outline(differs & (predicted == 0)),
        "only-predicted": outline(differs & (given == 0)),
        "other-class": outline(differs & (given != 0) & (predicted != 0)),
        "box": _drawn_box(suspect, plane, step),
    }


def _plane(given: Labels, predicted: Labels, judged: Any, suspect: Suspect) -> int:  # noqa: ANN401
    label = suspect.label
    differs = given != predicted
    if label is not None:
        differs = pixels_of(given, label) != pixels_of(predicted, label)
    counts = np.count_nonzero(differs & judged, axis=(1, 2))
    if not counts.any():
        counts = np.count_nonzero(given, axis=(1, 2))
    return int(counts.argmax())


def _differs(given: Labels, predicted: Labels, classes: Classes) -> Any:  # noqa: ANN401
    pairs = ((pixels_of(given, label), pixels_of(predicted, label)) for label in classes.names)
    return np.logical_or.reduce([here != there for here, there in pairs])


def _outlines(mask: Labels, classes: Classes) -> Sequence[str]:
    return [outline(pixels_of(mask, label)) for label in classes.names]


def _drawn_box(suspect: Suspect, plane: int | None, step: int) -> list[float]:
    """Return left, top, width and height of the box in the picture; [] if it is in other slices."""
    box = suspect.box
    if plane is not None and box:
        box = box[1:] if box[0][0] <= plane < box[0][1] else ()
    if not box:
        return []
    (top, bottom), (left, right) = box
    return [left / step, top / step, (right - left) / step, (bottom - top) / step]
