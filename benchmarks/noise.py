"""Time and memory of mask noise, and of a plain form of the published code.

    python benchmarks/noise.py                   # writes benchmarks/noise.md, in some minutes
    python benchmarks/noise.py displacement      # benchmarks/noise_displacement.md, in one minute

The plain form, `tests/noise/plain.py`, makes each pass over the whole image, and rotates and shifts
whole images. Ours must give the same masks.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anl_seg.formats.files import write_text
from anl_seg.geometry import bounding_box
from anl_seg.noise import (
    CORRECTED,
    NoiseSettings,
    affine,
    corrupt,
    corrupt_masks,
    generator,
    published,
)
from anl_seg.noise.base import Surroundings
from common import conditions, wrapped

ROOT = Path(__file__).resolve().parents[1]
NATIVE = ROOT / "../shared/data/isic2017-sample/masks-native"
ETA_BETA = 0.5
ANYWHERE = Surroundings()
GOALS = {"erosion": 100, "dilation": 100, "affine": 10}
#: Number of masks in the sample, evenly spaced among the smaller ones in the order of their sizes.
SMALL, AMONG = 36, 130
#: Larger sizes in the sample. Of each, the mask with the smallest object of the first eight is
#: used, because the plain form would take hours on others.
LARGE = ((3008, 2000), (3872, 2592), (4288, 2848), (6688, 4439))

Mask = NDArray[np.bool_]

PLAIN = "plain"

sys.path.insert(0, str(ROOT / "tests" / "noise"))
import plain  # noqa: E402 (the truth of the tests)


def read(path: Path) -> Mask:
    mask: Mask = np.asarray(Image.open(path)) > 0
    return mask


def fixed_sample() -> tuple[list[Path], Path, list[Path]]:
    """Return 40 masks of all sizes, the large one with the widest object, 80 of middle size."""
    sizes = {path: Image.open(path).size for path in sorted(NATIVE.iterdir())}
    ranked = sorted(sizes, key=lambda path: (np.prod(sizes[path]), path.name))
    small = [ranked[i] for i in np.linspace(0, AMONG - 1, SMALL).round().astype(int)]
    groups = [[path for path in ranked if sizes[path] == size][:8] for size in LARGE]
    large = [min(group, key=extent) for group in groups]
    return small + large, max(groups[-1], key=extent), ranked[120:200]


def extent(path: Path) -> int:
    mask = read(path)
    return mask[bounding_box(mask)].size


def volume(classes: int = 14, shape: tuple[int, ...] = (160, 256, 256)) -> NDArray[np.uint8]:
    """Create a label map of organ-sized ellipsoids, some cut by others or by the border."""
    rng = np.random.default_rng(0)
    labels = np.zeros(shape, np.uint8)
    axes = np.ogrid[tuple(slice(size) for size in shape)]
    for label in range(1, classes + 1):
        centre, radii = rng.uniform(0.1, 0.9, 3) * shape, rng.uniform(0.06, 0.16, 3) * shape
        terms = (((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True))
        labels[sum(terms) <= 1] = label
    return labels


def pairs(case: str) -> dict[str, tuple[Callable[[Mask], Mask], Callable[[Mask], Mask]]]:
    """Return our form and the plain form of each kind."""
    drawn = published.draw_motion(generator(0, case), 2)
    return {
        "erosion": (
            lambda mask: published.erode(mask, ETA_BETA, ANYWHERE)[0],
            lambda mask: plain.erode(mask, ETA_BETA),
        ),
        "dilation": (
            lambda mask: published.dilate(mask, ETA_BETA, ANYWHERE)[0],
            lambda mask: plain.dilate(mask, ETA_BETA),
        ),
        "affine": (
            lambda mask: published.displace(mask, ETA_BETA, ANYWHERE, **drawn)[0],
            lambda mask: plain.displace(mask, ETA_BETA, **drawn),
        ),
    }


def timed(work: Callable[[Mask], Mask], mask: Mask, repeats: int = 1) -> tuple[float, Mask]:
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        result = work(mask)
        best = min(best, time.process_time() - start)
    return best, result


def compare(masks: Iterator[tuple[str, Mask]], kinds: tuple[str, ...]) -> list[str]:
    seconds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    count = 0
    for case, mask in masks:
        count += 1
        for kind in kinds:
            ours, plainly = pairs(case)[kind]
            our_time, result = timed(ours, mask, repeats=3)
            plain_time, truth = timed(plainly, mask)
            assert np.array_equal(result, truth), (case, kind)
            corrected, _ = timed(
                lambda mask, kind=kind, case=case: corrupt_only(mask, kind, case), mask, repeats=3
            )
            for place, value in enumerate((plain_time, our_time, corrected)):
                seconds[kind][place] += value
        print(f"{case}: {mask.shape}, {seconds['erosion'][0]:.1f} s of plain erosion", flush=True)
    lines = [
        "| noise | published method, times faster | goal | corrected method, times faster |",
        "|---|---|---|---|",
    ]
    for kind, (plain_time, our_time, corrected) in seconds.items():
        lines.append(
            f"| {kind} | {plain_time / our_time:.0f} | {GOALS[kind]} | "
            f"{plain_time / corrected:.0f} |"
        )
    return [f"{count} masks, the same pixels from both.", "", *lines]


def corrupt_only(mask: Mask, kind: str, case: str) -> Mask:
    """Apply the corrected method without measuring the result."""
    from anl_seg.noise.masks import distort, draw

    drawn = draw(kind, generator(0, case), mask.ndim)
    return distort(mask, kind, ETA_BETA, drawn, CORRECTED, ANYWHERE).noisy


def displacement(masks: Iterator[tuple[str, Mask]]) -> list[str]:
    """Compare the plain displacement with ours, warped by OpenCV (as now) and by SciPy."""
    seconds: dict[str, float] = defaultdict(float)
    furthest: dict[str, float] = defaultdict(float)
    limit = affine.OPENCV_MAX_SIZE
    pixels = differing = count = 0
    for case, mask in masks:
        ours, plainly = pairs(case)["affine"]
        works = {
            PLAIN: (plainly, limit, 1),
            "published": (ours, limit, 3),
            "corrected, warped by SciPy": (partial(corrupt_only, kind="affine", case=case), 0, 3),
            "corrected, warped by OpenCV": (
                partial(corrupt_only, kind="affine", case=case),
                limit,
                3,
            ),
        }
        noisy = {}
        for name, (work, largest, repeats) in works.items():
            affine.OPENCV_MAX_SIZE = largest
            spent, noisy[name] = timed(work, mask, repeats)
            seconds[name] += spent
            level = np.count_nonzero(noisy[name] ^ mask) / np.count_nonzero(mask)
            furthest[name] = max(furthest[name], abs(level - ETA_BETA))
        affine.OPENCV_MAX_SIZE = limit
        assert np.array_equal(noisy[PLAIN], noisy["published"]), case
        count += 1
        pixels += np.count_nonzero(mask)
        before, after = (noisy[name] for name in works if name.startswith("corrected"))
        differing += np.count_nonzero(before ^ after)
    lines = [
        "| displacement | seconds | times faster | furthest from eta_beta |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {spent:.2f} | {seconds[PLAIN] / spent:.0f} | {furthest[name]:.4f} |"
        for name, spent in seconds.items()
    ]
    share = f"{differing / pixels:.1e} of the foreground differs between the two warps."
    return [f"{count} masks. {share}", "", *lines]


def memory(mask: Mask) -> list[str]:
    lines = [
        "| noise | published method | corrected method | corrected, with its measures |",
        "|---|---|---|---|",
    ]
    for kind in GOALS:
        row = []
        for work in (
            pairs("memory")[kind][0],
            lambda mask, kind=kind: corrupt_only(mask, kind, "memory"),
            lambda mask, kind=kind: corrupt(mask, kind, ETA_BETA, generator(0, "memory")),
        ):
            tracemalloc.start()
            work(mask)
            row.append(f"{tracemalloc.get_traced_memory()[1] / mask.nbytes:.1f}")
            tracemalloc.stop()
        lines.append(f"| {kind} | " + " | ".join(row) + " |")
    return lines


def processes(paths: list[Path]) -> list[str]:
    lines = ["| -np | times faster |", "|---|---|"]
    first = 0.0
    with TemporaryDirectory() as folder:
        source = Path(folder, "source")
        source.mkdir()
        for path in paths:
            (source / path.name).symlink_to(path.resolve())
        for count in range(1, (os.cpu_count() or 1) + 1):
            start = time.perf_counter()
            corrupt_masks(
                source,
                Path(folder, str(count)),
                NoiseSettings(eta_alpha=1, eta_beta=ETA_BETA),
                processes=count,
            )
            seconds = time.perf_counter() - start
            first = first or seconds
            lines.append(f"| {count} | {first / seconds:.2f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=["displacement"])
    part = parser.parse_args().part
    if not NATIVE.is_dir():
        parser.error(f"{NATIVE.resolve()} does not exist; put the masks of ISIC-2017 there")
    if part:
        write_displacement()
    else:
        write_all()


def write_displacement() -> None:
    sample, _, _ = fixed_sample()
    lines = [
        "# Displacement of masks: time beside the published code",
        "",
        "Written by `python benchmarks/noise.py displacement`; do not edit.",
        "",
        measured(),
        "",
        *displacement((path.stem, read(path)) for path in sample),
    ]
    write(Path(__file__).with_name("noise_displacement.md"), lines)


def write_all() -> None:
    sample, largest, middle = fixed_sample()
    sizes = [Image.open(path).size for path in sample]
    two = compare(((path.stem, read(path)) for path in sample), ("erosion", "dilation"))
    displaced = displacement((path.stem, read(path)) for path in sample)
    labels = volume()
    three = compare(
        ((f"class {label}", labels == label) for label in range(1, 15)), ("erosion", "dilation")
    )
    widest = read(largest)
    lines = [
        "# Mask noise: time and memory beside the published code",
        "",
        "Written by `python benchmarks/noise.py`; do not edit.",
        "",
        measured(),
        "",
        f"## ISIC-2017 at native resolution, {sizes[0][0]}x{sizes[0][1]} to "
        f"{sizes[-1][0]}x{sizes[-1][1]}",
        "",
        *two,
        "",
        "### Displacement of the same masks",
        "",
        *displaced,
        "",
        "## A synthetic label map of 256x256x160 voxels and 14 classes",
        "",
        *three,
        "",
        "## Peak memory, in masks of one byte a pixel",
        "",
        f"A large object in an image of {widest.shape[1]}x{widest.shape[0]}; the noisy mask is "
        "included. Goal: below 10.",
        "",
        *memory(widest),
        "",
        "## Processes: `corrupt_masks` on 80 masks of middle size, files and manifest included",
        "",
        f"{os.cpu_count()} cores.",
        "",
        *processes(middle),
    ]
    write(Path(__file__).with_suffix(".md"), lines)


def measured() -> str:
    packages = ("opencv-python-headless", "scipy", "scikit-image", "numpy")
    return (
        f"{conditions(*packages, threads=1)}. eta_beta {ETA_BETA}. Times are CPU time: of the "
        "plain code's one run, of our best of three."
    )


def write(path: Path, lines: list[str]) -> None:
    write_text(path, wrapped("\n".join(lines) + "\n"))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
