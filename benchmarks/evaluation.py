"""Time and memory of the commands `anl-seg evaluate` and nnUNetv2_evaluate_folder.

    python benchmarks/evaluation.py [--repeats 2]   # writes benchmarks/evaluation.md

Both score the same files: 600 pairs of PNG (256 x 256, one class) and 20 pairs of NIfTI
(256 x 256 x 160, 14 classes). The commands alternate. The fastest run of each counts, because other
work on the machine only adds time. On a busy machine, compare CPU seconds. The figures must agree
to 1e-9.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image

from anl_seg.formats.files import write_text
from common import conditions, take_turns, wrapped

CPUS = os.cpu_count() or 1
BASELINE = f"nnUNetv2_evaluate_folder -np {CPUS}"
REPORT = "anl-seg evaluate"
OURS = f"{REPORT} --figures-only"
#: Additional arguments of our command for each row of the table, or None for nnU-Net's command.
ROWS: dict[str, list[str] | None] = {
    BASELINE: None,
    OURS: ["--figures-only"],
    f"{OURS} -np {CPUS}": ["--figures-only", "-np", str(CPUS)],
    REPORT: [],
    f"{OURS} --surfaces -np {CPUS}": ["--figures-only", "--surfaces", "-np", str(CPUS)],
}
GOAL = 3.0
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Masks:
    """One set of masks: title, two folders, and number of foreground classes."""

    title: str
    predictions: Path
    references: Path
    n_classes: int


@dataclass(frozen=True)
class Cost:
    """Time and memory of one run of a command.

    Attributes:
        seconds: Wall-clock time.
        cpu_seconds: CPU time of all its processes, which a busy machine changes least.
        peak_mib: Peak memory of its largest process.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float


def ellipsoids(
    shape: tuple[int, ...], n_classes: int, rng: np.random.Generator
) -> tuple[Labels, Labels]:
    """Create one ellipsoid per class, and a prediction with moved and stretched ellipsoids."""
    axes = np.ogrid[tuple(slice(length) for length in shape)]
    masks = np.zeros((2, *shape), dtype=np.uint8)
    for label in range(1, n_classes + 1):
        size = 0.3 / n_classes ** (1 / len(shape))
        centre, radius = (
            rng.uniform(0.25, 0.75, len(shape)),
            rng.uniform(size / 2, size, len(shape)),
        )
        for mask in masks:
            distance = sum(
                ((axis / length - middle) / extent) ** 2
                for axis, length, middle, extent in zip(axes, shape, centre, radius, strict=True)
            )
            mask[distance < 1] = label
            centre = centre + rng.normal(0, 0.01, len(shape))
            radius = radius * rng.uniform(0.9, 1.1, len(shape))
    return masks[0], masks[1]


def write_png(path: Path, mask: Labels) -> None:
    Image.fromarray(mask).save(path.with_suffix(".png"))


def write_nifti(path: Path, mask: Labels) -> None:
    image = sitk.GetImageFromArray(mask)
    image.SetSpacing((0.8, 0.8, 2.0))
    sitk.WriteImage(image, f"{path}.nii.gz", True)


def make(
    folder: Path,
    title: str,
    shape: tuple[int, ...],
    n_cases: int,
    n_classes: int,
    write: Callable[[Path, Labels], None],
) -> Masks:
    rng = np.random.default_rng(1)
    masks = Masks(title, folder / "predictions", folder / "references", n_classes)
    for place in (masks.predictions, masks.references):
        place.mkdir(parents=True)
    for number in range(n_cases):
        for place, mask in zip(
            (masks.references, masks.predictions), ellipsoids(shape, n_classes, rng), strict=True
        ):
            write(place / f"case_{number:03}", mask)
    labels = {"background": 0} | {f"class {label}": label for label in range(1, n_classes + 1)}
    ending = ".png" if write is write_png else ".nii.gz"
    content = {"labels": labels, "file_ending": ending, "channel_names": {"0": "x"}}
    (masks.predictions / "dataset.json").write_text(json.dumps(content))
    (masks.predictions / "plans.json").write_text("{}")
    return masks


def command(masks: Masks, arguments: list[str] | None, output: Path) -> list[str]:
    if arguments is not None:
        folders = [str(masks.predictions), str(masks.references)]
        return ["anl-seg", "evaluate", *folders, "-o", str(output), *arguments]
    files = [str(masks.predictions / name) for name in ("dataset.json", "plans.json")]
    return [
        *("nnUNetv2_evaluate_folder", str(masks.references), str(masks.predictions)),
        *("-djfile", files[0], "-pfile", files[1]),
        *("-o", str(output / "summary.json"), "-np", str(CPUS)),
    ]


def run(arguments: list[str], log: Path) -> Cost:
    start = time.perf_counter()
    with log.open("w") as out:
        process = subprocess.Popen(arguments, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{log.read_text()}")
    seconds = time.perf_counter() - start
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def check_equal(ours: Path, theirs: Path) -> None:
    """Exit unless every figure of nnU-Net is in ours, to 1e-9."""
    found, expected = (
        json.loads((folder / "summary.json").read_text())["metric_per_case"]
        for folder in (ours, theirs)
    )
    assert len(found) == len(expected)
    for case, other in zip(found, expected, strict=True):
        assert case["prediction_file"] == other["prediction_file"]
        for label, figures in other["metrics"].items():
            for name, value in figures.items():
                same = math.isclose(case["metrics"][label][name], value, rel_tol=1e-9, abs_tol=1e-9)
                assert same or (math.isnan(value) and math.isnan(case["metrics"][label][name]))


def measure(masks: Masks, folder: Path, repeats: int) -> dict[str, Cost]:
    def measure_row(row: str) -> Cost:
        output = folder / str(list(ROWS).index(row))
        output.mkdir(parents=True, exist_ok=True)
        cost = run(command(masks, ROWS[row], output), folder / "log")
        print(f"{masks.title}: {row}: {cost}", flush=True)
        if row != BASELINE:
            check_equal(output, folder / "0")
        return cost

    runs = take_turns({row: partial(measure_row, row) for row in ROWS}, repeats)
    return {
        row: Cost(
            min(c.seconds for c in costs),
            min(c.cpu_seconds for c in costs),
            max(c.peak_mib for c in costs),
        )
        for row, costs in runs.items()
    }


def table(masks: Masks, costs: dict[str, Cost]) -> str:
    base = costs[BASELINE]
    lines = [
        f"## {masks.title}\n",
        "| command | s | times faster | CPU s | times less | MiB of its largest process |",
        "|---|---|---|---|---|---|",
    ]
    for row, cost in costs.items():
        faster, less = base.seconds / cost.seconds, base.cpu_seconds / cost.cpu_seconds
        lines.append(
            f"| `{row}` | {cost.seconds:.1f} | {faster:.1f} | {cost.cpu_seconds:.1f} | {less:.1f} "
            f"| {cost.peak_mib:.0f} |"
        )
    reached = base.seconds / costs[REPORT].seconds
    found = "reached" if reached >= GOAL else "MISSED"
    lines.append(f"\nGoal: the whole report {GOAL:.0f} times faster, {found}.\n")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--cases", type=int, nargs=2, default=(600, 20), help="2D and 3D")
    options = parser.parse_args()
    parts = [
        "# Evaluation: the whole command, time and memory\n",
        "Written by `python benchmarks/evaluation.py`; do not edit.\n",
        f"{CPUS} x {conditions('nnunetv2', 'torch', 'numpy')}; fastest of {options.repeats} "
        "interleaved runs. Every figure of nnU-Net's is in ours, equal to 1e-9.\n",
        "`anl-seg evaluate` alone also writes the report (Markdown, LaTeX, HTML with plots and "
        "overlays); `--surfaces` adds HD95, ASSD and NSD. All rows of ours include statistics with "
        "bootstrap intervals, which nnU-Net's does not give.\n",
    ]
    with TemporaryDirectory() as name:
        folder = Path(name)
        sets = [
            (f"{options.cases[0]} pairs of PNG, 256 x 256, 1 class", (256, 256), 0, 1, write_png),
            (
                f"{options.cases[1]} pairs of NIfTI, 256 x 256 x 160, 14 classes",
                *((160, 256, 256), 1, 14, write_nifti),
            ),
        ]
        for title, shape, which, n_classes, write in sets:
            place = folder / str(which)
            masks = make(place, title, shape, options.cases[which], n_classes, write)
            parts.append(table(masks, measure(masks, place / "out", options.repeats)))
    write_text(Path(__file__).with_suffix(".md"), wrapped("\n".join(parts)))


if __name__ == "__main__":
    main()
