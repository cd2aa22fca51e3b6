"""A report: the gallery, `suspects.csv`, `suspects.json` and the predicted masks."""

from __future__ import annotations

import csv
import io
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from anl_seg.formats.files import write_json, write_text
from anl_seg.progress import Track, untracked
from anl_seg.suspects.cases import CaseFiles
from anl_seg.suspects.classes import Classes
from anl_seg.suspects.examine import examine
from anl_seg.suspects.gallery import write_gallery
from anl_seg.suspects.ranking import Ranking, Suspect, rank

CSV_NAME = "suspects.csv"
JSON_NAME = "suspects.json"
#: Folder of the predicted masks, one file a case, for `anl-seg revise`.
PREDICTIONS = "predictions"
COLUMNS = (
    *("case", "score", "rank", "kind", "class", "dice", "area_change", "shift", "unit"),
    *("box", "fold"),
)


def write_report(
    files: Sequence[CaseFiles],
    classes: Classes,
    output: Path,
    source: Mapping[str, Any],
    not_judged: Mapping[str, str],
    *,
    num_processes: int = 1,
    track: Track = untracked,
) -> tuple[Ranking, list[Path]]:
    """Judge cases, rank them and write the report: whole, or not at all.

    Args:
        files: The cases.
        classes: The classes of the data set.
        output: Folder of the report.
        source: What was judged and by which network, with a "title".
        not_judged: Case -> why it was not judged.
        num_processes: Processes that judge and draw.
        track: Shows the cases done.

    Returns:
        The ranked cases, and the files of the report.

    Raises:
        InputError: If files cannot be read or do not fit together.
    """
    with _replaced(output / PREDICTIONS) as predictions:
        judged = examine(files, classes, predictions, num_processes=num_processes, track=track)
        ranking = rank(judged, classes, {each.case: each.fold for each in files}, not_judged)
        page = write_gallery(
            ranking,
            {each.case: each for each in files},
            classes,
            output,
            title=str(source["title"]),
            num_processes=num_processes,
            track=track,
        )
    return ranking, [page, *write_files(ranking, output, source)]


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """Give a new folder that replaces `folder` if the block ends without an error."""
    with TemporaryDirectory(prefix="predictions-") as temporary:
        scratch = Path(temporary, folder.name)  # readable by others, unlike a temporary folder
        scratch.mkdir()
        yield scratch
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(scratch, folder)


def write_files(ranking: Ranking, output: Path, source: Mapping[str, Any]) -> list[Path]:
    """Write `suspects.csv` and `suspects.json`.

    Args:
        ranking: The ranked cases.
        output: Folder of the report.
        source: What was judged and by which network, for the JSON file.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_row(suspect) for suspect in ranking.suspects)
    write_text(output / CSV_NAME, table.getvalue())
    estimate = ranking.estimate
    content = {
        "source": dict(source),
        "agreement": _number(ranking.agreement),
        "warning": ranking.warning,
        "wrong_masks": {
            "cases": estimate.cases,
            "estimate": _number(estimate.wrong),
            "low": _number(estimate.low),
            "high": _number(estimate.high),
            "in_words": estimate.in_words,
        },
        "cases": [_entry(suspect) for suspect in ranking.suspects],
        "not_judged": dict(ranking.not_judged),
    }
    write_json(output / JSON_NAME, content)
    return [output / CSV_NAME, output / JSON_NAME]


def box_in_words(suspect: Suspect) -> str:
    """Write the box as start and stop along each axis, as in `12:40 8:33`; "" if there is none."""
    return " ".join(f"{start}:{stop}" for start, stop in suspect.box)


def class_in_words(suspect: Suspect) -> str:
    """Return the name of the class, or its label if it has none."""
    if suspect.label is None:
        return ""
    return suspect.name or str(suspect.label)


def _row(suspect: Suspect) -> list[object]:
    return [
        suspect.case,
        f"{suspect.score:.6f}",
        suspect.rank,
        suspect.kind,
        class_in_words(suspect),
        f"{suspect.dice:.4f}",
        "" if math.isnan(suspect.area_change) else f"{suspect.area_change:.4f}",
        f"{suspect.shift:.3f}",
        suspect.unit,
        box_in_words(suspect),
        suspect.fold,
    ]


def _entry(suspect: Suspect) -> dict[str, Any]:
    names = (name for name in COLUMNS if name not in ("class", "box"))
    values = {name: getattr(suspect, name) for name in names}
    return {
        **{name: _number(value) for name, value in values.items()},
        "class": class_in_words(suspect),
        "box": [list(side) for side in suspect.box],
        "scores": {str(label): _number(value) for label, value in suspect.by_class.items()},
    }


def _number(value: Any) -> Any:  # noqa: ANN401 (NaN is no JSON)
    return None if isinstance(value, float) and math.isnan(value) else value
