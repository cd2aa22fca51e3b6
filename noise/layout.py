"""Layout of a source of masks: a plain folder of masks, or an nnU-Net raw data set."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from anl_seg.errors import InputError, named
from anl_seg.formats import nnunet
from anl_seg.formats.dataset_json import read_declared_labels, read_file_ending
from anl_seg.formats.images import ENDINGS, TIFF_ENDINGS, side_car
from anl_seg.formats.masks import check_links, find_masks

LABELS = Path(nnunet.LABELS)
CLEAN_LABELS = Path(nnunet.CLEAN_LABELS)
IMAGES = Path(nnunet.IMAGES)
TEST_IMAGES = Path(nnunet.TEST_IMAGES)
DATASET_JSON = Path(nnunet.DATASET_JSON)


@dataclass(frozen=True)
class Layout:
    """The files of a source. Paths are relative to it, and the same in the noisy copy.

    Attributes:
        masks: Masks to corrupt, by case.
        images: Images of each case, which follow its mask.
        labels: Labels declared by an nnU-Net data set; None for a plain folder.
        ignore_label: Ignore label declared by the data set, if any.
        links: Other large files, hard-linked if possible.
        copies: Other files, copied.
        left_out: Files that are not in the noisy copy.
    """

    masks: dict[str, Path]
    images: dict[str, list[Path]] = field(default_factory=dict)
    labels: frozenset[int] | None = None
    ignore_label: int | None = None
    links: tuple[Path, ...] = ()
    copies: tuple[Path, ...] = ()
    left_out: tuple[Path, ...] = ()

    @property
    def is_dataset(self) -> bool:
        """Whether the source is an nnU-Net raw data set."""
        return self.labels is not None


def read_layout(source: Path) -> Layout:
    """List the files of `source`. A folder with a `dataset.json` is an nnU-Net raw data set.

    Raises:
        InputError: If there are no masks, or the data set is incomplete.
    """
    if (source / DATASET_JSON).is_file():
        return _read_dataset(source)
    return _read_folder(source)


def _read_folder(source: Path) -> Layout:
    """List the masks directly in a folder. The name of a case is its file name without ending."""
    masks = {case: path.relative_to(source) for case, path in find_masks(source).items()}
    files = _files(source, source.iterdir())
    possible = {file for mask in masks.values() for file in side_cars(mask)}
    spacings = [file for file in files if file in possible]
    left_out = sorted(set(files).difference(masks.values(), spacings))
    return Layout(masks, copies=tuple(spacings), left_out=tuple(left_out))


def side_cars(mask: Path) -> list[Path]:
    """List the files that may hold the spacing of a mask: nnU-Net's JSON beside a TIFF."""
    return [side_car(mask)] if mask.name.lower().endswith(TIFF_ENDINGS) else []


def _read_dataset(source: Path) -> Layout:
    """List the parts of an nnU-Net raw data set, with nnU-Net's case names."""
    ending, labels, ignore_label = _read_dataset_json(source / DATASET_JSON)
    tree = os.walk(source, followlinks=True)  # images are often linked folders
    paths = [Path(folder, name) for folder, _, names in tree for name in names]
    check_links(source, paths)
    files = _files(source, paths)
    masks = {
        file.name.removesuffix(ending): file
        for file in files
        if file.parent == LABELS and file.name.endswith(ending)
    }
    images: dict[str, list[Path]] = {}
    for file in files:
        if file.parent == IMAGES and file.name.endswith(ending):
            images.setdefault(nnunet.case_of_image(source / file, ending), []).append(file)
    _check_pairs(source, masks, images, ending)
    links = tuple(file for file in files if file.parent == TEST_IMAGES)
    carried = set(files).difference(masks.values(), links, *images.values())
    return Layout(masks, images, labels, ignore_label, links, tuple(sorted(carried)))


def _check_pairs(
    source: Path, masks: dict[str, Path], images: dict[str, list[Path]], ending: str
) -> None:
    if not masks:
        raise InputError(f"{source}: no {ending} files in {LABELS}; give a complete raw data set")
    unpaired = [f"{case} (no image)" for case in masks if case not in images]
    unpaired += [f"{case} (no label)" for case in images if case not in masks]
    if unpaired:
        raise InputError(
            f"{source}: {len(unpaired)} cases lack a file in {IMAGES} or {LABELS}: "
            f"{named(unpaired)}; add the missing files or delete the others"
        )


def _files(source: Path, paths: Iterable[Path]) -> list[Path]:
    """Return the files among `paths`, relative to `source` and sorted, without hidden ones."""
    files = (path.relative_to(source) for path in paths if path.is_file())
    return sorted(file for file in files if not any(part.startswith(".") for part in file.parts))


def _read_dataset_json(path: Path) -> tuple[str, frozenset[int], int | None]:
    """Return a data set's file ending, its labels (regions split up) and its ignore label."""
    try:
        labels = read_declared_labels(path)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: not a dataset.json of nnU-Net v2 ({error})") from error
    ending = read_file_ending(path)
    if ending not in ENDINGS:
        raise InputError(
            f"{path}: file_ending {ending} is not supported; convert to {', '.join(ENDINGS)}"
        )
    return ending, labels.values, labels.ignore_label
