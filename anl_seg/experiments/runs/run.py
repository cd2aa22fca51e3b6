"""One run of either kind as data: complete settings, and the id that follows from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from anl_seg.experiments.kinds import find_kind

#: Settings that change neither the numbers of a run nor its id.
NOT_IN_ID = ("device",)
#: Settings of which the id uses only the name of the file or folder.
PATHS = ("data", "human")
HASH_LETTERS = 8


@dataclass(frozen=True)
class Run:
    """A run to be done, created by `make_run`.

    Attributes:
        kind: A key of `KINDS`.
        settings: All settings, as JSON values.
        name: Readable name.
    """

    kind: str
    settings: Mapping[str, Any]
    name: str

    @property
    def id(self) -> str:
        """Name and hash of kind and settings, equal for the same run on any machine.

        The device has no effect. A data set counts by the name of its folder, and a file of noisy
        labels by its content. So if a folder of the same name contains other images, use another
        folder of runs.
        """
        identity = find_kind(self.kind).identity(self.settings)
        settings = {key: value for key, value in identity.items() if key not in NOT_IN_ID}
        settings |= {key: Path(settings[key]).name for key in PATHS if settings.get(key)}
        if settings.get("labels"):
            settings["labels"] = _digest(Path(settings["labels"]))
        text = json.dumps([self.kind, settings], sort_keys=True)
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:HASH_LETTERS]}"


def make_run(kind: str, settings: Mapping[str, Any]) -> Run:
    """Complete and check the settings of a run.

    Args:
        kind: "classification" or "segmentation".
        settings: JSON values by name. Missing ones take their defaults.

    Returns:
        The run.

    Raises:
        InputError: If the kind or a setting is unknown, or a value impossible.

    Examples:
        >>> make_run("classification", {"loss": "ce", "epochs": 3}).id
        'digits-clean-ce-seed1-2258c4b8'
    """
    complete = find_kind(kind).make(settings)
    return Run(kind, MappingProxyType(complete.as_json()), complete.name)


def _digest(path: Path) -> str:
    """Return the hash of a file's content, or its path if the file does not exist."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else str(path)
