"""Files of noisy labels (`.npz`): saved atomically, checked when loaded."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import anl_seg
from anl_seg.errors import InputError
from anl_seg.formats.files import atomic_path
from anl_seg.noise.labels.draws import as_labels
from anl_seg.noise.labels.record import NoisyLabels, label_hash

SCHEMA_VERSION = 1


def save(noisy: NoisyLabels, path: Path) -> None:
    """Write noisy labels to an `.npz` file, atomically.

    The file contains `labels`, the transition `matrix` if there is one, and `json`: settings,
    realised rate, versions, and the SHA-256 of the noisy and the clean labels. It does not contain
    the clean labels.

    Args:
        noisy: Labels from `draw`.
        path: A file whose name ends in `.npz`.

    Raises:
        InputError: If `path` does not end in `.npz`.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from anl_seg.noise.labels import draw
        >>> clean = np.arange(8) % 4
        >>> noisy = draw(clean, kind="symmetric", eta=0.5, seed=1, n_classes=4)
        >>> with TemporaryDirectory() as folder:
        ...     save(noisy, Path(folder, "noisy.npz"))
        ...     again = load(Path(folder, "noisy.npz"), clean)
        >>> again.sha256 == noisy.sha256
        True
    """
    if path.suffix != ".npz":
        raise InputError(f"{path}: noisy labels are saved as .npz; give a name that ends in .npz")
    record = {
        "schema_version": SCHEMA_VERSION,
        "kind": noisy.kind,
        "eta": noisy.eta,
        "rate": noisy.rate,
        "seed": noisy.seed,
        "draw": noisy.draw,
        "n_classes": noisy.n_classes,
        "sha256": noisy.sha256,
        "clean_sha256": label_hash(noisy.clean),
        "anl_seg": anl_seg.__version__,
        "numpy": np.__version__,
    }
    arrays: dict[str, Any] = {"labels": noisy.labels, "json": np.array(json.dumps(record))}
    if noisy.matrix is not None:
        arrays["matrix"] = noisy.matrix
    with atomic_path(path) as partial:
        np.savez_compressed(partial, **arrays)


def load(path: Path, clean: ArrayLike) -> NoisyLabels:
    """Read a file that `save` wrote.

    Args:
        path: The `.npz` file.
        clean: Clean labels of the data set, `(n,)`, in the order that the noise was made for.

    Returns:
        The noisy labels beside the clean ones.

    Raises:
        InputError: If the file is missing, damaged, made for other labels, or of another kind.

    Examples:
        >>> load(Path("nowhere.npz"), [0, 1])
        Traceback (most recent call last):
        anl_seg.errors.InputError: nowhere.npz: no such file; `anl-seg label-noise -o` writes one
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; `anl-seg label-noise -o` writes one")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = dict(content)
        record = json.loads(str(arrays["json"]))
        labels = as_labels("labels", arrays["labels"], record["n_classes"])
        clean_labels = as_labels("clean labels", clean, record["n_classes"])
        if label_hash(labels) != record["sha256"]:
            raise InputError("its labels do not match its hash")
        if label_hash(clean_labels) != record["clean_sha256"]:
            raise InputError("it was made for other clean labels, or for another order of them")
    except InputError as error:
        raise InputError(f"{path} cannot be used: {error}; write it again") from error
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is not a file of noisy labels ({error}); `anl-seg label-noise -o` writes one"
        ) from error
    return NoisyLabels(
        labels=labels,
        clean=clean_labels,
        n_classes=record["n_classes"],
        kind=record["kind"],
        eta=record["eta"],
        seed=record["seed"],
        draw=record["draw"],
        matrix=arrays.get("matrix"),
    )
