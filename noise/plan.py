"""Assignment of noise to the masks of a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anl_seg.errors import InputError
from anl_seg.formats.noise_manifest import JSON_NAME
from anl_seg.noise.layout import CLEAN_LABELS, IMAGES, LABELS, Layout, read_layout
from anl_seg.noise.settings import NoiseSettings


@dataclass(frozen=True)
class Task:
    """One case and its noise.

    Attributes:
        case: Name of the case.
        file: Mask of the case, relative to source and target.
        kind: A name of `KINDS`; None for a clean case.
        drawn: Parameters that the published method drew; None to draw from the case's generators.
    """

    case: str
    file: Path
    kind: str | None = None
    drawn: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class NoisePlan:
    """The plan of a run.

    Attributes:
        source: Folder of the clean masks.
        layout: Files of the source.
        settings: Settings of the run.
        tasks: One task per case, sorted by name.
    """

    source: Path
    layout: Layout
    settings: NoiseSettings
    tasks: tuple[Task, ...]

    @property
    def ignore_label(self) -> int | None:
        """Label that stays unchanged: from the settings, otherwise from dataset.json."""
        asked = self.settings.ignore_label
        return self.layout.ignore_label if asked is None else asked


def plan_masks(source: Path, settings: NoiseSettings) -> NoisePlan:
    """Decide which masks of `source` get which noise, without reading a mask or writing a file.

    Args:
        source: Folder of masks or label maps, or nnU-Net raw data set.
        settings: Settings of the run.

    Returns:
        The plan: one task per case.

    Raises:
        InputError: If `source` contains no masks, an incomplete data set, or noisy masks.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> from PIL import Image
        >>> mask = np.zeros((64, 64), dtype=np.uint8)
        >>> mask[20:40, 20:40] = 1
        >>> with TemporaryDirectory() as folder:
        ...     source = Path(folder, "clean")
        ...     source.mkdir()
        ...     Image.fromarray(mask).save(source / "case_1.png")
        ...     plan = plan_masks(source, NoiseSettings(1, 0.5, kinds=("dilation",)))
        >>> [(task.case, task.kind) for task in plan.tasks]
        [('case_1', 'dilation')]
    """
    for sign in (JSON_NAME, CLEAN_LABELS):
        if (source / sign).exists():
            raise InputError(
                f"{source}: contains {sign}, so it is noisy already; give the clean masks"
            )
    layout = read_layout(source)
    if layout.is_dataset and settings.threshold is not None:
        raise InputError(
            f"{source}: is an nnU-Net data set, and nnU-Net trains on declared labels only, so "
            "--threshold does not apply; omit it, or first make a data set of its grey masks: "
            f"anl-seg convert {source / IMAGES} {source / LABELS} -d ID "
            f"--threshold {settings.threshold:g}"
        )
    cases = sorted(layout.masks)
    chosen = settings.method.choose(cases, settings.eta_alpha, settings.seed, settings.kinds)
    tasks = [Task(case, layout.masks[case], *chosen.get(case, ())) for case in cases]
    return NoisePlan(source, layout, settings, tuple(tasks))
