"""Noisy copies of a folder of masks or an nnU-Net raw data set, with the same layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from anl_seg.errors import InputError, listed, named
from anl_seg.formats import noise_manifest as manifest
from anl_seg.formats.files import copy_file, link_file, write_json
from anl_seg.formats.images import ending_of
from anl_seg.formats.masks import check_threshold
from anl_seg.formats.text import read_json
from anl_seg.noise.cases import problem, rehearse_case, write_case
from anl_seg.noise.layout import (
    CLEAN_LABELS,
    DATASET_JSON,
    IMAGES,
    LABELS,
    Layout,
    side_cars,
)
from anl_seg.noise.plan import NoisePlan, plan_masks
from anl_seg.noise.settings import NoiseSettings
from anl_seg.noise.summary import summarize
from anl_seg.processes import map_in, process_pool
from anl_seg.progress import Track, untracked

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Lock file of the run that writes a folder. The system releases the lock when the process ends,
#: even if killed, so a leftover file blocks nobody.
LOCK_NAME = ".noise.lock"


def corrupt_masks(
    source: Path,
    target: Path,
    settings: NoiseSettings,
    *,
    processes: int = 1,
    overwrite: bool = False,
    track: Track = untracked,
) -> dict[str, Any]:
    """Corrupt a share of the masks in `source` and write them all, with a manifest, to `target`.

    A folder of masks becomes a folder of masks with the same names. An nnU-Net raw data set (a
    folder with a `dataset.json`) becomes a complete raw data set: `labelsTr` is noisy, and
    `labelsTr_clean` holds the clean labels. Its images are hard links if the file system supports
    them; everything else is copied. Masks that are not chosen are copied byte for byte.

    Nothing is written before every mask has been read once. Nothing is deleted, except that
    `overwrite` deletes the files that `target` has of a skipped case. If a run was killed, the same
    call resumes it. Two runs never write the same `target` at the same time.

    Args:
        source: Folder of masks or label maps (0 and 255 counts as binary), or nnU-Net raw data set.
        target: The folder to write. Without `overwrite` it must be absent, empty, or contain the
            beginning of the same run.
        settings: Kind and amount of noise, and share of masks.
        processes: Number of processes.
        overwrite: Replace files of the same name in a `target` that is not empty. A data set must
            have no training cases that `source` lacks.
        track: Wrapper of an iterable that shows progress.

    Returns:
        The content of `noise_manifest.json`: settings, versions, summary and cases.

    Raises:
        InputError: If an argument or a file of `source` cannot be used, if a policy is "fail" for
            the situation of a mask, if another run is writing `target`, or if it has further cases.
        OSError: If `target` cannot be written.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> from PIL import Image
        >>> mask = np.zeros((64, 64), dtype=np.uint8)
        >>> mask[20:40, 20:40] = 1
        >>> with TemporaryDirectory() as folder:
        ...     source = Path(folder, "clean")
        ...     source.mkdir()
        ...     Image.fromarray(mask).save(source / "case_1.png")
        ...     settings = NoiseSettings(eta_alpha=1, eta_beta=0.5)
        ...     content = corrupt_masks(source, Path(folder, "noisy"), settings)
        >>> content["summary"]["corrupted"], content["cases"][0]["achieved"]
        (1, 0.5)
    """
    _check_processes(processes)
    _check_apart(source, target)
    plan = plan_masks(source, settings)
    asked = settings.as_json()
    _check_target(target, asked, overwrite)
    _check_strays(plan.layout, target)
    with process_pool(processes) as pool:
        _check_masks(plan, pool, track)
        with _claimed(target):
            _check_target(target, asked, overwrite)  # another run may just have ended
            if overwrite:
                (target / manifest.JOURNAL_NAME).unlink(missing_ok=True)
            entries = _write_cases(plan, target, pool, track)
            _check_failures(entries, settings)
            _carry_over(plan, target, entries)
            left_out = [str(file) for file in plan.layout.left_out]
            return manifest.finish(target, asked, entries, summarize(entries), left_out)


def rehearse(
    source: Path, settings: NoiseSettings, *, processes: int = 1, track: Track = untracked
) -> dict[str, Any]:
    """Count what `corrupt_masks` would change, and write nothing.

    Args:
        source: Folder of masks or label maps, or nnU-Net raw data set.
        settings: Kind and amount of noise, and share of masks.
        processes: Number of processes.
        track: Wrapper of an iterable that shows progress.

    Returns:
        The summary that the manifest would contain.

    Raises:
        InputError: If `corrupt_masks` would raise it.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> from PIL import Image
        >>> mask = np.zeros((64, 64), dtype=np.uint8)
        >>> mask[20:40, 20:40] = 1
        >>> with TemporaryDirectory() as folder:
        ...     source = Path(folder, "clean")
        ...     source.mkdir()
        ...     Image.fromarray(mask).save(source / "case_1.png")
        ...     summary = rehearse(source, NoiseSettings(eta_alpha=1, eta_beta=0.5))
        >>> summary["corrupted"], summary["eta_beta"]["mean"]
        (1, 0.5)
    """
    _check_processes(processes)
    plan = plan_masks(source, settings)
    with process_pool(processes) as pool:
        _check_masks(plan, pool, track)
        work = partial(rehearse_case, source, settings, plan.ignore_label)
        entries = list(_run(work, plan.tasks, pool, track, "counting changes"))
    _check_failures(entries, settings)
    return summarize(entries)


def _write_cases(
    plan: NoisePlan, target: Path, pool: ProcessPoolExecutor | None, track: Track
) -> list[manifest.Entry]:
    """Write the masks that an earlier call did not write, and return the entries of all cases."""
    source, settings = plan.source, plan.settings
    done = {
        case: entry
        for case, entry in manifest.begin(target, settings.as_json()).items()
        if _is_as_written(source, target, entry)
    }
    todo = [task for task in plan.tasks if task.case not in done]
    work = partial(write_case, source, target, settings, plan.ignore_label)
    for entry in _run(work, todo, pool, track, "corrupting masks"):
        manifest.note(target, entry)
        done[entry.case] = entry
    return [done[task.case] for task in plan.tasks]


def _run(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    pool: ProcessPoolExecutor | None,
    track: Track,
    text: str,
) -> Iterator[Result]:
    """Yield `work(item)` for all items in order, and show the progress."""
    results = map_in(pool, work, items)
    for _ in track(items, text):
        yield next(results)


@contextmanager
def _claimed(target: Path) -> Iterator[None]:
    """Lock `target` against other runs.

    Raises:
        InputError: If another run is writing it.
    """
    target.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"{target}: another `anl-seg noise` is writing it; wait until it ends, or choose "
            "another folder"
        ) from error
    try:
        yield
    finally:
        with suppress(PermissionError):  # Windows cannot delete open files
            (target / LOCK_NAME).unlink(missing_ok=True)
        lock.release()


def _is_as_written(source: Path, target: Path, entry: manifest.Entry) -> bool:
    """Return whether a case's files still match the journal; a skipped case has no noisy file."""
    row = entry.rows[0]
    path = target / row.file
    clean = source / row.file
    if not clean.is_file() or manifest.sha256(clean) != row.sha256_clean:
        return False
    if not row.sha256_noisy:
        return not path.exists()
    return path.is_file() and manifest.sha256(path) == row.sha256_noisy


def _check_processes(processes: int) -> None:
    if processes < 1:
        raise InputError(f"processes (-np) must be at least 1, got {processes}")


def _check_apart(source: Path, target: Path) -> None:
    here, there = source.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise InputError(f"{target}: SRC and DST must be separate folders, neither in the other")


def _check_target(target: Path, asked: dict[str, Any], overwrite: bool) -> None:
    """Raise InputError unless the run may write `target`, or resume there."""
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: is a file; choose a folder that is new or empty")
    if not target.is_dir() or overwrite or manifest.can_resume(target, asked):
        return
    if all(path.name == LOCK_NAME for path in target.iterdir()):
        return
    if (target / manifest.JOURNAL_NAME).exists():
        raise InputError(
            f"{target}: contains an unfinished run with other settings or versions; choose another "
            "folder, or add --overwrite to start again"
        )
    raise InputError(
        f"{target}: is not empty; choose another folder, or add --overwrite "
        "to replace files of the same name"
    )


def _check_strays(layout: Layout, target: Path) -> None:
    """Refuse further training cases in the target, because nnU-Net would not accept the result."""
    if not layout.is_dataset:
        return
    files = (file for case in layout.masks for file in _files_of(layout, case))
    expected = {*files, *layout.copies}
    strays = [
        str(file)
        for folder in (IMAGES, LABELS, CLEAN_LABELS)
        for path in sorted((target / folder).glob("[!.]*"))
        if ending_of(path) and (file := path.relative_to(target)) not in expected
    ]
    if strays:
        raise InputError(
            f"{target}: has files of cases that SRC lacks: {named(strays)}; delete "
            "them, or choose another folder"
        )


def _files_of(layout: Layout, case: str) -> list[Path]:
    """List the files of a case in the noisy copy of a data set."""
    mask = layout.masks[case]
    return [mask, CLEAN_LABELS / mask.name, *layout.images[case]]


def _check_masks(plan: NoisePlan, pool: ProcessPoolExecutor | None, track: Track) -> None:
    """Read every mask once, to report all problems before anything is written."""
    if plan.settings.threshold is not None:
        masks = (plan.source / task.file for task in plan.tasks)
        check_threshold(plan.source, masks, plan.settings.threshold)
    work = partial(problem, plan.source, plan.settings, plan.layout.labels, plan.ignore_label)
    files = [task.file for task in plan.tasks]
    problems = [problem for problem in _run(work, files, pool, track, "checking masks") if problem]
    if problems:
        raise InputError(listed(problems, f"of {len(files)} masks cannot be used"))


def _check_failures(entries: Sequence[manifest.Entry], settings: NoiseSettings) -> None:
    failures = [
        f"{row.file}: {row.reason}"
        for entry in entries
        for row in entry.rows
        if row.situation and settings.policy(row.situation) == "fail"
    ]
    if failures:
        raise InputError(listed(failures, "masks cannot take their noise, and --policy says fail"))


def _carry_over(plan: NoisePlan, target: Path, entries: Sequence[manifest.Entry]) -> None:
    """Link or copy everything else into the noisy set: images, clean labels, descriptions."""
    layout, source = plan.layout, plan.source
    if not layout.is_dataset:
        for file in layout.copies:
            copy_file(source / file, target / file)
        return
    kept = [entry.case for entry in entries if entry.rows[0].kind != manifest.SKIPPED]
    for case in layout.masks.keys() - kept:
        for file in _files_of(layout, case):  # an overwritten run may have left them
            (target / file).unlink(missing_ok=True)
    for case in kept:
        for file in layout.images[case]:
            link_file(source / file, target / file)
        mask = layout.masks[case]
        for file in (mask, *filter(layout.copies.__contains__, side_cars(mask))):
            copy_file(source / file, target / CLEAN_LABELS / file.name)
    for file in layout.links:
        link_file(source / file, target / file)
    for file in layout.copies:
        copy_file(source / file, target / file)
    if len(kept) < len(entries):
        content = read_json(source / DATASET_JSON)
        write_json(target / DATASET_JSON, content | {"numTraining": len(kept)})
