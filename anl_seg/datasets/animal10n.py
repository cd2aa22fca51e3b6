"""Animal-10N: ten animals that people confuse, with human labelling errors."""

from __future__ import annotations

import re
from pathlib import Path

from anl_seg.datasets.file_lists import labelled_files, require, require_images
from anl_seg.datasets.labelled_images import ImageFiles, LabelledFiles
from anl_seg.errors import InputError, listed

#: Classes in the order of the official page.
CLASSES = (
    *("cat", "lynx", "wolf", "coyote", "cheetah"),
    *("jaguar", "chimpanzee", "orangutan", "hamster", "guinea pig"),
)
ENDINGS = (".jpg", ".jpeg", ".png")


def read(root: Path) -> ImageFiles:
    """List the files of Animal-10N. The label is the first number in the name, `<label>_<id>.jpg`.

    Args:
        root: Folder with `training/` and `testing/`, as unpacked from the raw images.

    Raises:
        InputError: If a folder is missing or empty, or files are not named in this way.
    """
    advice = (
        "Animal-10N: ask for the raw images at https://dm.kaist.ac.kr/datasets/animal-10n/ and "
        f"unpack them so that {root} contains training/ and testing/"
    )
    require((root / "training", root / "testing"), advice)
    train, test = (_listed(root / part) for part in ("training", "testing"))
    require_images("animal10n", train, test, advice=advice)
    return ImageFiles(
        "animal10n", train.files, train.labels, test.files, test.labels, classes=CLASSES
    )


def _listed(folder: Path) -> LabelledFiles:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    bad = [f"{path} has no label" for path in files if not re.match(r"\d_", path.name)]
    if bad:
        raise InputError(
            f"{listed(bad, 'files without a label:')}\n"
            "Animal-10N's files are named <label>_<id>.jpg, with a label from 0 to 9"
        )
    return labelled_files((path, int(path.name[0])) for path in files)
