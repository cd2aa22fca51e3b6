"""Atomic writes of folders: a folder is either complete or absent."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Provide a temporary folder that is renamed to `path` if the block ends without an error.

    Raises:
        OSError: If the parent folder cannot be written, or `path` exists and is not empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{uuid.uuid4().hex[:8]}-{path.name}")
    partial.mkdir()
    try:
        yield partial
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # after the renaming there is nothing to delete
