"""Comparison of a noisy data set with its manifest."""

from __future__ import annotations

from pathlib import Path

from anl_seg.formats import noise_manifest as manifest
from anl_seg.formats.masks import find_masks
from anl_seg.noise.layout import CLEAN_LABELS, LABELS
from anl_seg.progress import Track, untracked


def verify(folder: Path, track: Track = untracked) -> tuple[int, list[str]]:
    """Compare noisy (and, in a data set, clean) masks with the SHA-256 in the manifest.

    Args:
        folder: The folder that `corrupt_masks` wrote.
        track: Wrapper of an iterable that shows progress.

    Returns:
        Number of masks checked, and a line for each mask that is missing, changed or unknown.

    Raises:
        InputError: If there is no complete manifest of the current schema.

    Examples:
        >>> from anl_seg.noise import NoiseSettings, corrupt_masks
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> from PIL import Image
        >>> mask = np.zeros((64, 64), dtype=np.uint8)
        >>> mask[20:40, 20:40] = 1
        >>> with TemporaryDirectory() as folder:
        ...     source = Path(folder, "clean")
        ...     source.mkdir()
        ...     Image.fromarray(mask).save(source / "case_1.png")
        ...     _ = corrupt_masks(source, Path(folder, "noisy"), NoiseSettings(1, 0.5))
        ...     Path(folder, "noisy", "case_1.png").unlink()
        ...     verify(Path(folder, "noisy"))
        (1, ['case_1.png: missing'])
    """
    expected = {}
    for row in manifest.read(folder)["cases"]:
        if not row["sha256_noisy"]:
            continue
        file = Path(row["file"])
        expected[file] = row["sha256_noisy"]
        if file.parent == LABELS:
            expected[CLEAN_LABELS / file.name] = row["sha256_clean"]
    problems = []
    for file in track(list(expected), "verifying masks"):
        if not (folder / file).is_file():
            problems.append(f"{file}: missing")
        elif manifest.sha256(folder / file) != expected[file]:
            problems.append(f"{file}: changed since the manifest was written")
    for parent in sorted({file.parent for file in expected if (folder / file).is_file()}):
        found = {path.relative_to(folder) for path in find_masks(folder / parent).values()}
        problems += [f"{file}: not in the manifest" for file in sorted(found - expected.keys())]
    return len(expected), problems
