"""Atomic writes of files: a file is either complete or absent."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: File that `anl-seg classify` writes into the folder of a run. The name is defined here so that
#: reading it does not import torch.
RUN_NAME = "run.json"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Provide a temporary path that is renamed to `path` if the block ends without an error.

    The temporary name has the same ending, because image writers choose the format by it. A reader
    of `path` sees the old file or the complete new one, even after a kill.

    Raises:
        OSError: If the folder of `path` cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".partial-", suffix=path.name[-16:], dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o666 & ~_umask())  # mkstemp makes files private, but others may read results
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically.

    File names in it keep their bytes, even if they are not UTF-8.
    """
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401 (whatever json accepts)
    r"""Write `content` to `path` as indented JSON, atomically, with keys in the given order.

    Bytes of a file name that are not UTF-8 are escaped (`\udcfc`), so the file is always UTF-8.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False)
    text = re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)
    write_text(path, text + "\n")


def copy_file(source: Path, target: Path) -> None:
    """Copy a file byte for byte, atomically."""
    with atomic_path(target) as partial:
        shutil.copyfile(source, partial)


def link_file(source: Path, target: Path) -> None:
    """Create `target` as a hard link to `source`, or as a copy if links are not supported."""
    if target.exists() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # other file system, no permission, or `target` exists
        copy_file(source, target)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
