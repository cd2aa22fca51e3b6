"""Noise on label maps: each class is corrupted separately, then the classes are merged.

If noisy classes overlap, the higher label wins. Pixels without a class become background. Pixels of
the ignore label neither change nor count. The achieved noise is measured after merging. It can
differ from the requested noise if classes compete for the same pixels.

In a class swap, the pixels that a class loses and those that it gains both count as changed.
`exchange` chooses their numbers so that no class changes by more than requested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anl_seg.errors import InputError
from anl_seg.noise.base import Surroundings
from anl_seg.noise.class_swap import exchange, part_beyond_plane
from anl_seg.noise.masks import Distortion, NoiseRecord, check_spacing, distort, draw
from anl_seg.noise.measures import measure
from anl_seg.noise.methods import CORRECTED, NoiseMethod
from anl_seg.noise.rates import check_eta_beta


def corrupt_labels(
    labels: NDArray[Any],
    kind: str,
    eta_beta: float,
    rng_of: Callable[[int], np.random.Generator],
    method: NoiseMethod = CORRECTED,
    *,
    spacing_mm: tuple[float, ...] | None = None,
    ignore_label: int | None = None,
) -> tuple[NDArray[Any], dict[int, NoiseRecord]]:
    """Corrupt every class of a label map.

    Args:
        labels: (H, W) or (D, H, W), bool or whole numbers, 0 is background.
        kind: A name of `KINDS`, for all classes.
        eta_beta: Changed pixels over foreground pixels of each class, in (0, 1).
        rng_of: Returns the generator of a class, such as
            `lambda label: generator(seed, case, str(label))`.
        method: `CORRECTED` or `PUBLISHED`.
        spacing_mm: Size of a pixel along every axis, as in `corrupt`.
        ignore_label: Pixels of this label stay as they are.

    Returns:
        A new label map of the shape and type of `labels`, and the record of each class in it.

    Raises:
        InputError: If an argument is invalid.

    Examples:
        >>> from anl_seg.noise import generator
        >>> labels = np.zeros((40, 80), dtype=np.uint8)
        >>> labels[10:30, 10:30], labels[10:30, 50:70] = 1, 2
        >>> noisy, records = corrupt_labels(
        ...     labels, "erosion", 0.5, lambda label: generator(0, "case", str(label))
        ... )
        >>> [int((noisy == label).sum()) for label in (1, 2)]
        [200, 200]
    """
    method.kind(kind)  # check the name even if there is no class to draw for
    drawn = {
        label: draw(kind, rng_of(label), labels.ndim, method)
        for label in classes_in(labels, ignore_label)
    }
    return apply_labels(
        labels, kind, eta_beta, drawn, method, spacing_mm=spacing_mm, ignore_label=ignore_label
    )


def apply_labels(
    labels: NDArray[Any],
    kind: str,
    eta_beta: float,
    drawn: Mapping[int, Mapping[str, Any]],
    method: NoiseMethod = CORRECTED,
    *,
    spacing_mm: tuple[float, ...] | None = None,
    ignore_label: int | None = None,
) -> tuple[NDArray[Any], dict[int, NoiseRecord]]:
    """Corrupt the classes in `drawn` with parameters drawn earlier; nothing is random here.

    Args:
        labels: (H, W) or (D, H, W), bool or whole numbers, 0 is background.
        kind: A name of `KINDS`, for all classes.
        eta_beta: Changed pixels over foreground pixels of each class, in (0, 1).
        drawn: Parameters from `draw` for each class to corrupt.
        method: `CORRECTED` or `PUBLISHED`.
        spacing_mm: Size of a pixel along every axis, as in `corrupt`.
        ignore_label: Pixels of this label stay as they are.

    Returns:
        A new label map of the shape and type of `labels`, and the record of each class in `drawn`.

    Raises:
        InputError: If an argument is invalid.

    Examples:
        >>> labels = np.zeros((9, 9), dtype=np.uint8)
        >>> labels[2:7, 2:7] = 3
        >>> noisy, records = apply_labels(labels, "erosion", 16 / 25, {3: {"split_seed": 0}})
        >>> int((noisy == 3).sum()), records[3].achieved
        (9, 0.64)
    """
    check_eta_beta(eta_beta)
    return distort_labels(
        labels, kind, eta_beta, drawn, method, spacing_mm=spacing_mm, ignore_label=ignore_label
    )


def distort_labels(
    labels: NDArray[Any],
    kind: str,
    eta_beta: float,
    drawn: Mapping[int, Mapping[str, Any]],
    method: NoiseMethod,
    *,
    spacing_mm: tuple[float, ...] | None,
    ignore_label: int | None,
) -> tuple[NDArray[Any], dict[int, NoiseRecord]]:
    """Do the work of `apply_labels` with a checked `eta_beta`."""
    frozen = None if ignore_label is None else labels == ignore_label
    around = Surroundings(check_spacing(spacing_mm, labels.ndim, method), frozen)
    noisy = np.zeros_like(labels)
    distortions = {}
    for label in sorted(drawn):
        clean = labels == label
        distortion = distort(clean, kind, eta_beta, drawn[label], method, around)
        noisy[distortion.noisy] = label
        distortions[label] = distortion._replace(noisy=clean[:0])  # one mask at a time in memory
    if method.kind(kind).swaps and distortions:
        distortions = _hand_over(labels, noisy, distortions, around)
    if frozen is not None:
        noisy[frozen] = ignore_label
    return noisy, {
        label: NoiseRecord(
            kind,
            method.name,
            eta_beta,
            *measure(labels == label, noisy == label, spacing_mm),
            *distortion[1:],
        )
        for label, distortion in distortions.items()
    }


def classes_in(labels: NDArray[Any], ignore_label: int | None = None) -> list[int]:
    """List the labels in a label map, sorted, without background and ignore label.

    Raises:
        InputError: If `labels` is not a label map.
    """
    if labels.ndim not in (2, 3) or labels.dtype.kind not in "bui" or labels.size == 0:
        raise InputError(
            "labels must be an array of bool or whole numbers, (H, W) or (D, H, W), "
            f"got {labels.dtype} {labels.shape}"
        )
    if labels.min() < 0:
        raise InputError(f"labels must not be negative, got {labels.min()}")
    seen = np.zeros(int(labels.max()) + 1, bool)
    for layer in labels:  # a layer at a time, because an index takes eight bytes per pixel
        seen[layer.astype(np.intp)] = True
    return [int(label) for label in np.flatnonzero(seen) if label not in (0, ignore_label)]


def confusion(clean: NDArray[Any], noisy: NDArray[Any]) -> dict[tuple[int, int], int]:
    """Count the pixels of each pair of clean and noisy label that occurs."""
    changed = clean != noisy
    base = int(max(clean.max(), noisy.max())) + 1
    pairs = clean[changed].astype(np.int64) * base + noisy[changed]
    codes, counts = np.unique(pairs, return_counts=True)
    table = {
        divmod(code, base): count
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True)
    }
    for label in [0, *classes_in(clean)]:
        stayed = int(np.count_nonzero((clean == label) & ~changed))
        if stayed:
            table[label, label] = stayed
    return table


def _hand_over(
    labels: NDArray[Any],
    noisy: NDArray[Any],
    distortions: Mapping[int, Distortion],
    around: Surroundings,
) -> dict[int, Distortion]:
    """Give pixels that classes lost to other classes, and the rest back; `noisy` is changed."""
    sizes = {label: int(np.count_nonzero(labels == label)) for label in distortions}
    lost = {
        label: int(np.count_nonzero((labels == label) & (noisy != label)))
        for label in sorted(sizes, key=sizes.__getitem__)
    }
    gifts = exchange(lost) if len(lost) > 1 else {}
    takers = {taker for taker, pixels in gifts.values() if pixels}
    result = {}
    for label, distortion in distortions.items():
        clean = labels == label
        noisy[clean] = label
        taker, pixels = gifts.get(label, (label, 0))
        if pixels:
            normal = distortion.parameters["normal"]
            noisy[part_beyond_plane(clean, pixels, around, normal)] = taker
            parameters = {**distortion.parameters, "swapped_with": taker}
            distortion = distortion._replace(parameters=parameters)
        elif label not in takers and not distortion.situation:
            reason = "the label map has no other class that is large enough to swap with"
            distortion = distortion._replace(situation="too-small", reason=reason)
        result[label] = distortion
    return result
