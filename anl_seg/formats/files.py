"""Files that are either whole or absent: atomic writes for results of every kind."""

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

#: What `anl-seg classify` writes into the folder of a run. Its name stands here, where reading it
#: loads no torch.
RUN_NAME = "run.json"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that becomes `path` when the block ends without an error.

    The temporary name has the same ending, since image writers choose the format by it. A reader of
    `path` sees the old file or the whole new one, also after a kill.

    Raises:
        OSError: If the folder of `path` cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".partial-", suffix=path.name[-16:], dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o666 & ~_umask())  # mkstemp makes the file private; results are not secrets
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically.

    Names of files keep their bytes, also those that are not UTF-8.
    """
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401 (whatever json accepts)
    r"""Write `content` to `path` as indented JSON, atomically, keys in the order given.

    Bytes of a file's name that are not UTF-8 are escaped (`\udcfc`), so the file is always UTF-8.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False)
    text = re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)
    write_text(path, text + "\n")


def copy_file(source: Path, target: Path) -> None:
    """Copy a file byte for byte, atomically."""
    with atomic_path(target) as partial:
        shutil.copyfile(source, partial)


def link_file(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source` if the file system allows it, otherwise a copy."""
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
