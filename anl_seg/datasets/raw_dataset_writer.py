"""Pairs of images and masks, written as an nnU-Net raw data set: each pair read once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anl_seg.formats.images import Geometry, write_volume
from anl_seg.formats.nnunet import image_name
from anl_seg.formats.pictures import write_picture
from anl_seg.progress import Track

#: Endings of what nnU-Net gets: pictures as PNG, volumes as NIfTI.
PICTURE, VOLUME = ".png", ".nii.gz"


@dataclass(frozen=True)
class Case:
    """An image and its mask; `part` is nnU-Net's name of the part that they belong to, Tr or Ts."""

    name: str
    part: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class Conversion:
    """The result of a conversion to an nnU-Net raw data set.

    Attributes:
        folder: The data set.
        n_training: Number of training cases.
        n_test: Number of test cases.
        labels: Value of each label by name, as in dataset.json.
        ignored: Folders of the source that were not used.
    """

    folder: Path
    n_training: int
    n_test: int
    labels: Mapping[str, int]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Content:
    """Pixels of a case, as they will be written.

    Attributes:
        image: `(H, W)`, `(H, W, 3)` or a volume.
        labels: `(H, W)` or a volume, uint8, or uint16 if there are more than 256 labels.
        geometry: Geometry of a volume, or None.
        values: Values of the mask before they became labels.
        is_colour: Whether the image was read as RGB.
    """

    image: Image.Image | NDArray[Any]
    labels: NDArray[np.uint8 | np.uint16]
    geometry: Geometry | None = None
    values: frozenset[int] = frozenset()
    is_colour: bool = True


@dataclass
class Written:
    """Findings while all cases were written.

    Attributes:
        values: Values of the masks before they became labels.
        any_colour: Whether any image was RGB.
        problems: What is wrong with files, a line each.
    """

    values: set[int] = field(default_factory=set)
    any_colour: bool = False
    problems: list[str] = field(default_factory=list)


def write_cases(
    cases: Sequence[Case],
    folder: Path,
    read: Callable[[Case], Content | list[str]],
    ending: str,
    track: Track,
) -> Written:
    """Read and write all cases, in threads: decoding and encoding happen outside the GIL.

    Args:
        cases: The cases.
        folder: The data set's folder; gets `imagesTr`, `labelsTr` and the same of test cases.
        read: Returns the content of a case, or what is wrong with its files.
        ending: `PICTURE` or `VOLUME`.
        track: Shows the progress.
    """
    for part in {case.part for case in cases}:
        (folder / f"images{part}").mkdir(exist_ok=True)
        (folder / f"labels{part}").mkdir(exist_ok=True)

    def work(case: Case) -> Written:
        content = read(case)
        if isinstance(content, list):
            return Written(problems=content)
        image = folder / f"images{case.part}" / image_name(case.name, ending)
        mask = folder / f"labels{case.part}" / f"{case.name}{ending}"
        for path, pixels in ((image, content.image), (mask, content.labels)):
            if ending == VOLUME:
                write_volume(path, pixels, content.geometry)
            else:
                write_picture(path, pixels)
        return Written(set(content.values), content.is_colour)

    total = Written()
    pool = ThreadPoolExecutor()
    try:
        runs = [pool.submit(work, case) for case in cases]
        for run in track(runs, "converting"):
            found = run.result()
            total.values |= found.values
            total.any_colour |= found.any_colour
            total.problems += found.problems
    finally:
        pool.shutdown(cancel_futures=True)
    return total


def describe(
    labels: Mapping[str, int],
    n_training: int,
    ending: str,
    n_channels: int,
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of nnU-Net's `dataset.json`. nnU-Net ignores the key `provenance`.

    Args:
        labels: Name of each label and its value.
        n_training: Number of training cases.
        ending: `PICTURE` or `VOLUME`.
        n_channels: 3 for RGB, else 1.
        provenance: Where the data set comes from, and how it was made.
    """
    reader = {"overwrite_image_reader_writer": "NaturalImage2DIO"} if ending == PICTURE else {}
    return {
        "channel_names": {"0": "R", "1": "G", "2": "B"} if n_channels == 3 else {"0": "image"},
        "labels": dict(labels),
        "numTraining": n_training,
        "file_ending": ending,
        **reader,
        "provenance": dict(provenance),
    }
