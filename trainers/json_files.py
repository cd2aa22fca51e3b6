"""JSON files of nnU-Net's, read with messages that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from anl_seg.errors import InputError


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        InputError: If it holds something else.
    """
    content = parse(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold a JSON object, got {type(content).__name__}")
    return content


def parse(path: Path) -> Any:  # noqa: ANN401 (whatever JSON may be)
    """Read a JSON file.

    Raises:
        InputError: If it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
