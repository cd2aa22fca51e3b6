"""What a source of masks holds: a plain folder of masks, or an nnU-Net raw data set."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from anl_seg.errors import InputError, named
from anl_seg.masks import ENDINGS, find_masks

LABELS = Path("labelsTr")
CLEAN_LABELS = Path("labelsTr_clean")  # not a name that nnU-Net looks for
IMAGES = Path("imagesTr")
TEST_IMAGES = Path("imagesTs")


@dataclass(frozen=True)
class Layout:
    """The files of a source; paths are relative to it and stay the same in the noisy copy.

    Attributes:
        masks: The masks to corrupt, by the name of the case.
        clean: The folder that takes the clean masks of an nnU-Net data set along.
        links: Large files to carry over as hard links where possible.
        copies: Other files to carry over.
        left_out: Files that are not carried over.
    """

    masks: dict[str, Path]
    clean: Path | None = None
    links: tuple[Path, ...] = ()
    copies: tuple[Path, ...] = ()
    left_out: tuple[Path, ...] = ()


def read_layout(source: Path) -> Layout:
    """List what is in `source`; with a `dataset.json` it is an nnU-Net raw data set.

    Raises:
        InputError: If there are no masks, or the data set is incomplete or not binary.
    """
    if (source / "dataset.json").is_file():
        return _read_dataset(source)
    return _read_folder(source)


def _read_folder(source: Path) -> Layout:
    """List the masks directly in a folder; a case is named by its file without the ending."""
    masks = {case: path.relative_to(source) for case, path in find_masks(source).items()}
    left_out = sorted(set(_files(source, source.iterdir())).difference(masks.values()))
    return Layout(masks, left_out=tuple(left_out))


def _read_dataset(source: Path) -> Layout:
    """List the parts of an nnU-Net raw data set; the case names are nnU-Net's."""
    ending = _file_ending(source / "dataset.json")
    tree = os.walk(source, followlinks=True)  # images are often linked folders
    files = _files(source, (Path(folder, name) for folder, _, names in tree for name in names))
    masks = _by_case(files, LABELS, len(ending), ending)
    images = _by_case(files, IMAGES, len("_0000" + ending), ending)
    if not masks:
        raise InputError(f"{source}: no {ending} files in {LABELS}; give a complete raw data set")
    unpaired = [f"{case} (no image)" for case in masks if case not in images]
    unpaired += [f"{case} (no label)" for case in images if case not in masks]
    if unpaired:
        raise InputError(
            f"{source}: {len(unpaired)} cases lack a file in {IMAGES} or {LABELS}: "
            f"{named(unpaired)}; add what is missing or take the rest away"
        )
    links = tuple(file for file in files if file.parent in (IMAGES, TEST_IMAGES))
    carried = set(files).difference(masks.values(), links)
    return Layout(masks, CLEAN_LABELS, links, tuple(sorted(carried)))


def _files(source: Path, paths: Iterable[Path]) -> list[Path]:
    """The files among `paths`, relative to `source` and sorted, without hidden ones."""
    files = (path.relative_to(source) for path in paths if path.is_file())
    return sorted(file for file in files if not any(part.startswith(".") for part in file.parts))


def _by_case(files: Iterable[Path], folder: Path, cut: int, ending: str) -> dict[str, Path]:
    """The files of a folder by their names less the last `cut` characters."""
    return {
        file.name[:-cut]: file
        for file in files
        if file.parent == folder and file.name.endswith(ending)
    }


def _file_ending(dataset_json: Path) -> str:
    """Check what matters here in a `dataset.json`, and give the ending of the data set's files."""
    try:
        content = json.loads(dataset_json.read_text(encoding="utf-8"))
        ending, labels = str(content["file_ending"]), dict(content["labels"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{dataset_json}: no dataset.json of nnU-Net v2 with file_ending and labels ({error!r})"
        ) from error
    if "dataset" in content:
        raise InputError(
            f"{dataset_json}: lists its files under the key dataset, not supported so far; "
            f"put the files into {IMAGES} and {LABELS} and remove the key"
        )
    if ending not in ENDINGS:
        raise InputError(
            f"{dataset_json}: file_ending is {ending}; masks can be read as {', '.join(ENDINGS)}"
        )
    if sorted(map(str, labels.values())) != ["0", "1"]:
        raise InputError(
            f"{dataset_json}: declares the labels {labels}; only binary data sets "
            "(background 0 and one class 1) can be corrupted so far"
        )
    return ending
