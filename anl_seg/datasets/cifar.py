"""CIFAR-10 and CIFAR-100, from the official Python archives or an `.npz` file."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anl_seg import cifar100
from anl_seg.datasets import npz, pickles
from anl_seg.datasets.labelled_images import ImageArrays, checked_arrays
from anl_seg.errors import InputError, named

WEBSITE = "https://www.cs.toronto.edu/~kriz/cifar.html"
SHAPE = (32, 32, 3)


@dataclass(frozen=True)
class Release:
    """One of the two official archives, and the folder that it contains."""

    name: str
    archive: str
    folder: str
    train: tuple[str, ...]
    test: str
    label_key: str
    classes: tuple[str, ...]


CIFAR10 = Release(
    name="cifar10",
    archive="cifar-10-python.tar.gz",
    folder="cifar-10-batches-py",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    label_key="labels",
    classes=(
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
)
CIFAR100 = Release(
    name="cifar100",
    archive="cifar-100-python.tar.gz",
    folder="cifar-100-python",
    train=("train",),
    test="test",
    label_key="fine_labels",
    classes=cifar100.CLASSES,
)


def read(release: Release, root: Path) -> ImageArrays:
    """Read CIFAR-10 or CIFAR-100.

    Args:
        release: CIFAR-10 or CIFAR-100.
        root: An `.npz` file; the official archive; or a folder that contains the archive, the
            folder unpacked from it (torchvision's root), or the unpacked files themselves.

    Raises:
        InputError: If the data set is missing or incomplete.
    """
    if npz.is_npz(root):
        return npz.read(release.name, root, classes=release.classes, shape=SHAPE)
    contents = _contents(release, root)
    wanted = (*release.train, release.test)
    missing = [name for name in wanted if name not in contents]
    if missing:
        raise InputError(f"{root} lacks {named(missing)} of {release.archive}: get it again")
    train, test = (
        _joined(root, {name: contents[name] for name in names}, release.label_key)
        for names in (release.train, (release.test,))
    )
    return checked_arrays(
        release.name, root, train=train, test=test, classes=release.classes, shape=SHAPE
    )


def _contents(release: Release, root: Path) -> dict[str, bytes]:
    """Read the wanted files of the folder or archive, by name."""
    wanted = {*release.train, release.test}
    for folder in (root / release.folder, root):
        if any((folder / name).is_file() for name in wanted):
            return {name: (folder / name).read_bytes() for name in wanted & set(_names(folder))}
    archive = root if root.is_file() else root / release.archive
    if not archive.is_file():
        raise InputError(
            f"{root}: {release.name} not found. Get {release.archive} from {WEBSITE} and put it, "
            f"packed or unpacked, into {root}; or give its folder, or an .npz file "
            f"with {', '.join(npz.KEYS)}"
        )
    try:
        with tarfile.open(archive) as bundle:
            members = ((PurePosixPath(member.name).name, member) for member in bundle)
            return {
                name: file.read()
                for name, member in members
                if name in wanted and (file := bundle.extractfile(member))
            }
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{archive} is damaged ({error}); get it again from {WEBSITE}") from error


def _names(folder: Path) -> Iterable[str]:
    return (path.name for path in folder.iterdir() if path.is_file())


def _joined(
    root: Path, batches: Mapping[str, bytes], label_key: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Concatenate images, `(n, 32, 32, 3)`, and labels of several batches."""
    images = []
    labels: list[int] = []
    for name, content in batches.items():
        try:
            batch = pickles.loads(content)
            images.append(batch["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
            labels += batch[label_key]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{root}: {name} is not a batch of CIFAR ({error}); get it again from {WEBSITE}"
            ) from error
    return np.ascontiguousarray(np.concatenate(images)), np.asarray(labels)
