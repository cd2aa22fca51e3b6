"""Conventions of an evaluation, written into every file of results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from anl_seg.evaluation.metrics import (
    ISIC_THRESHOLD,
    METRICS,
    OVERLAP_METRICS,
    SURFACE_METRICS,
    EmptyRule,
)
from anl_seg.evaluation.statistics import CONFIDENCE, RESAMPLES

_BOTH_EMPTY = {
    "nan": "undefined, left out of the means over cases, and counted",
    "one": "scored as perfect if the metric is otherwise 0/0",
    "zero": "scored as worst (lengths: the image's diagonal) if the metric is otherwise 0/0",
}


@dataclass(frozen=True)
class Conventions:
    """Conventions of one evaluation.

    Attributes:
        empty: Rule for a class that is in neither mask of a case.
        surfaces: Whether surfaces are measured.
        unit: Unit of lengths: "mm", or "px" if the files have no spacing.
        tolerance: Largest distance at which surfaces agree (NSD), in `unit`.
        seed: Seed of the bootstrap.
        threshold: Smallest foreground value of grey masks; None for label maps.
    """

    empty: EmptyRule = "nan"
    surfaces: bool = False
    unit: Literal["mm", "px"] = "px"
    tolerance: float = 2.0
    seed: int = 1
    threshold: float | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the computed metrics, in the order of every output."""
        rows = (*OVERLAP_METRICS, *SURFACE_METRICS) if self.surfaces else OVERLAP_METRICS
        return tuple(row.name for row in rows)

    def title(self, metric: str) -> str:
        """Return the metric with its unit or tolerance, for headings of tables.

        Args:
            metric: A name from `METRICS`.

        Returns:
            The heading, such as "HD95 (mm)".
        """
        if METRICS[metric].is_length:
            return f"{metric} ({self.unit})"
        return f"NSD at {self.tolerance:g} {self.unit}" if metric == "NSD" else metric

    def described(self) -> dict[str, str]:
        """Describe each convention in words.

        Returns:
            Descriptions by the name of the convention.
        """
        words = {
            "both_empty": f"{self.empty} ({_BOTH_EMPTY[self.empty]})",
            "one_empty": "0 (a missed object, or one that does not exist), and never left out; "
            "RVD is undefined if the reference is empty",
            "mean": "over cases; foreground_mean: over the means of all classes except 0",
            "pooled": "from the pixels of all cases taken as one image",
            "std": "over cases, n - 1",
            "confidence_interval": f"of the mean, {CONFIDENCE:.0%}: BCa bootstrap over cases, "
            f"{RESAMPLES} resamples, seed {self.seed}",
            "ignore_label": "pixels with this label in the reference are left out",
            "TJ": f"thresholded Jaccard of the ISIC challenges: 0 below {ISIC_THRESHOLD}",
        }
        if self.threshold is not None:
            words["threshold"] = (
                f"in masks with other values than 0 and 1, pixels of at least "
                f"{self.threshold:g} are foreground"
            )
        if self.surfaces:
            spacing = "from the files' headers" if self.unit == "mm" else "none in the files"
            words |= {
                "spacing": f"{spacing}; lengths are in {self.unit}; an axis of one pixel is left "
                "out",
                "surface": "pixels of a mask that share a face with a pixel outside it; ignored "
                "pixels are outside",
                "one_empty_surface": "HD95 and ASSD: the image's diagonal; NSD: 0",
                "HD95": "the larger of the two directed 95th percentiles",
                "ASSD": "mean over the pixels of both surfaces",
                "NSD": f"share of both surfaces within {self.tolerance:g} {self.unit}",
            }
        return words
