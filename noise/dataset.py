"""Corrupt a folder of masks or an nnU-Net raw data set into a new folder of the same layout."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from anl_seg.errors import InputError, listed
from anl_seg.files import atomic_path
from anl_seg.noise import manifest
from anl_seg.noise.layout import CLEAN_LABELS, Layout, read_layout
from anl_seg.noise.mask_files import read_mask, write_mask
from anl_seg.noise.masks import check_eta_beta, corrupt, measure
from anl_seg.noise.selection import check_eta_alpha, choose, generator
from anl_seg.progress import Track, untracked


@dataclass(frozen=True)
class Settings:
    """What was asked for; checked on creation.

    Raises:
        InputError: If a rate is out of range.
    """

    eta_alpha: float
    eta_beta: float
    seed: int

    def __post_init__(self) -> None:
        """Check the rates."""
        check_eta_alpha(self.eta_alpha)
        check_eta_beta(self.eta_beta)


def corrupt_masks(
    source: Path,
    target: Path,
    *,
    eta_alpha: float,
    eta_beta: float,
    seed: int = 0,
    overwrite: bool = False,
    track: Track = untracked,
) -> dict[str, Any]:
    """Corrupt a share of the masks in `source` and write them all, with a manifest, to `target`.

    A folder of masks gives a folder of masks under the same names. An nnU-Net raw data set (a
    folder with a `dataset.json`) gives a complete raw data set: `labelsTr` is noisy,
    `labelsTr_clean` holds the clean labels, the images are hard links where the file system can,
    everything else is copied. Masks that are not chosen are copied byte for byte. A chosen one that
    cannot take its noise stays clean too and is counted, so fewer may be corrupted than chosen.
    Nothing is deleted, and nothing is written before every mask has been read once.

    Args:
        source: Folder of binary 2D masks (values 0 and 1, or 0 and 255), or nnU-Net raw data set
            (values 0 and 1, as nnU-Net needs them).
        target: The folder to make; must be empty or absent unless `overwrite`.
        eta_alpha: Share of the n masks to corrupt, in [0, 1]: `round(eta_alpha * n)` are chosen.
        eta_beta: Changed pixels over foreground pixels in each of them, in (0, 1).
        seed: With the name of a case all that decides on its noise.
        overwrite: Replace files of the same name in a `target` that is not empty.
        track: Shows progress.

    Returns:
        What `noise_manifest.json` holds: settings, versions, summary and cases.

    Raises:
        InputError: If an argument or a file of `source` cannot be used; counts such files and names
            the first.
        OSError: If `target` cannot be written.
    """
    settings = Settings(eta_alpha, eta_beta, seed)
    _check_folders(source, target, overwrite)
    layout = read_layout(source)
    _check_masks(source, layout, track)

    manifest.begin(target, asdict(settings))
    for file in layout.links:
        _link(source / file, target / file)
    for file in layout.copies:
        _copy(source / file, target / file)
    kinds = choose(list(layout.masks), eta_alpha, seed)
    rows = []
    for case, file in track(sorted(layout.masks.items()), "corrupting masks"):
        if layout.clean:
            _copy(source / file, target / layout.clean / file.name)
        rows.append(_corrupt_case(source, target, case, file, kinds.get(case), settings))
    left_out = [str(file) for file in layout.left_out]
    return manifest.finish(target, asdict(settings), rows, left_out)


def _corrupt_case(
    source: Path, target: Path, case: str, file: Path, kind: str | None, settings: Settings
) -> manifest.Row:
    """Write the mask of one case, noisy if `kind` is given and possible, and account for it."""
    image = read_mask(source / file)
    noisy, record = image.mask, None
    if kind:
        noisy, record = corrupt(image.mask, kind, settings.eta_beta, generator(settings.seed, case))
    if record is None or record.reason:
        _copy(source / file, target / file)
    else:
        write_mask(target / file, noisy, image)
    achieved, dice, area_change = (
        (record.achieved, record.dice, record.area_change) if record else measure(noisy, noisy)
    )
    return manifest.Row(
        case=case,
        file=file.as_posix(),
        kind="clean" if record is None or record.reason else record.kind,
        requested=record.requested if record else None,
        achieved=achieved,
        dice=dice,
        area_change=area_change,
        reason=f"{record.kind}: {record.reason}" if record and record.reason else "",
        parameters=record.parameters if record else {},
        sha256_clean=manifest.sha256(source / file),
        sha256_noisy=manifest.sha256(target / file),
    )


def _check_folders(source: Path, target: Path, overwrite: bool) -> None:
    here, there = source.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise InputError(f"{target}: source and destination must lie apart; choose another folder")
    for sign in (manifest.JSON_NAME, CLEAN_LABELS):
        if (source / sign).exists():
            raise InputError(
                f"{source}: holds {sign}, so it is noisy already; give the clean masks"
            )
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: is a file; choose a folder that is new or empty")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise InputError(
            f"{target}: is not empty; choose another folder, or add --overwrite "
            "to replace files of the same name (nothing is deleted)"
        )


def _check_masks(source: Path, layout: Layout, track: Track) -> None:
    """Read every mask once, so that all that is wrong is known before anything is written."""
    problems = []
    for file in track(list(layout.masks.values()), "checking masks"):
        try:
            image = read_mask(source / file)
        except InputError as error:
            problems.append(str(error))
        else:
            if layout.clean and image.foreground != 1:
                problems.append(
                    f"{source / file}: holds 0 and {image.foreground}, but a mask of an nnU-Net "
                    "data set holds the labels 0 and 1; convert it"
                )
    if problems:
        raise InputError(listed(problems, f"of {len(layout.masks)} masks cannot be used"))


def _link(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`, or a copy where that cannot be."""
    if target.exists() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # other file system, no permission, or `target` exists
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as partial:
        shutil.copyfile(source, partial)
