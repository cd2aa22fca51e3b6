"""A report: the gallery, `suspects.csv`, `suspects.json` and the predicted masks."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from anl_seg.errors import InputError
from anl_seg.formats.files import write_json, write_text
from anl_seg.formats.images import ENDINGS, stem
from anl_seg.formats.text import read_json
from anl_seg.progress import Track, untracked
from anl_seg.suspects.cases import CaseFiles
from anl_seg.suspects.classes import Classes
from anl_seg.suspects.examine import examine
from anl_seg.suspects.gallery import NAME as PAGE_NAME
from anl_seg.suspects.gallery import write_gallery
from anl_seg.suspects.ranking import Ranking, Suspect, rank

CSV_NAME = "suspects.csv"
JSON_NAME = "suspects.json"
#: Folder of the predicted masks, one file a case, for `anl-seg revise`.
PREDICTIONS = "predictions"
#: All parts of a report.
PARTS = (PAGE_NAME, CSV_NAME, JSON_NAME, PREDICTIONS)
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
        source: Names of the data and of the network, with a "title".
        not_judged: Case -> why it was not judged.
        num_processes: Processes that judge and draw.
        track: Shows the cases done.

    Returns:
        The ranked cases, and the files of the report.

    Raises:
        InputError: If files cannot be read or do not fit together, or if the report would replace
            files that are not of an earlier report.
    """
    check_output(output, files)
    with _replaced(output) as folder:
        (folder / PREDICTIONS).mkdir()
        judged = examine(
            files, classes, folder / PREDICTIONS, num_processes=num_processes, track=track
        )
        ranking = rank(judged, classes, {each.case: each.fold for each in files}, not_judged)
        write_gallery(
            ranking,
            {each.case: each for each in files},
            classes,
            folder,
            title=str(source["title"]),
            num_processes=num_processes,
            track=track,
        )
        write_files(ranking, folder, source)
    return ranking, [output / name for name in (PAGE_NAME, CSV_NAME, JSON_NAME)]


def check_output(output: Path, files: Sequence[CaseFiles] = ()) -> None:
    """Check that a report replaces nothing but an earlier report.

    Args:
        output: Folder of the report.
        files: The cases; none of their files may lie in the folder of predicted masks.

    Raises:
        InputError: If the folder of predicted masks has other files, or files of the cases.
    """
    folder = output / PREDICTIONS
    inputs = (path for each in files for path in (each.label, each.prediction, *each.images))
    used = next((path for path in inputs if _is_within(path, folder.resolve())), None)
    if used is not None:
        raise InputError(
            f"-o {output}: the report would replace the folder {folder}, and {used} is in it; "
            "give another folder with -o"
        )
    if (folder.exists() or folder.is_symlink()) and not _is_of_report(folder, output / JSON_NAME):
        raise InputError(
            f"-o {output}: the report would replace the folder {folder}, which is not of an "
            "earlier report; give another folder with -o"
        )


def _is_within(path: Path, folder: Path) -> bool:
    """Tell whether a file, or the file that a link points to, lies below a resolved folder."""
    return folder in path.resolve().parents or folder in (path.parent / "_").resolve().parents


def _is_of_report(folder: Path, report: Path) -> bool:
    """Tell whether all files of a folder are predicted masks of the cases in `suspects.json`."""
    if folder.is_symlink() or not folder.is_dir() or not report.is_file():
        return False
    content = read_json(report)
    try:
        cases = {each["case"] for each in content["cases"]}
    except (KeyError, TypeError):  # another file of this name
        return False
    # SimpleITK writes the pixels of an .mhd file into a hidden file beside it
    return all(
        path.is_file() and (path.name.startswith(".") or stem(path, ENDINGS) in cases)
        for path in folder.iterdir()
    )


@contextmanager
def _replaced(output: Path) -> Iterator[Path]:
    """Provide a folder for a report, which replaces that in `output` if the block has no error.

    The new report is complete before the old one is moved, on the same file system. If a file
    cannot be moved, the old report returns.
    """
    absent = [folder for folder in (output, *output.parents) if not folder.exists()]
    output.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(prefix=".partial-", dir=output) as name:
            new, old = Path(name, "new"), Path(name, "old")
            new.mkdir()
            old.mkdir()
            yield new
            _exchange(output, new, old)
    finally:
        for folder in absent:
            if not any(folder.iterdir()):
                folder.rmdir()


def _exchange(output: Path, new: Path, old: Path) -> None:
    """Move the report in `output` to `old`, and that in `new` to `output`; or leave both."""
    try:
        for name in PARTS:
            if (output / name).exists():
                (output / name).rename(old / name)
            (new / name).rename(output / name)
    except BaseException:
        for name in PARTS:
            if not (new / name).exists():
                (output / name).rename(new / name)
            if (old / name).exists():
                (old / name).rename(output / name)
        raise


def write_files(ranking: Ranking, output: Path, source: Mapping[str, Any]) -> None:
    """Write `suspects.csv` and `suspects.json`.

    Args:
        ranking: The ranked cases.
        output: Folder of the report.
        source: Names of the data and of the network, for the JSON file.
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
