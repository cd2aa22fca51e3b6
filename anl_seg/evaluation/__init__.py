"""Compare predicted masks with reference masks: metrics, statistics, summaries, reports."""

from __future__ import annotations

from anl_seg.evaluation.conventions import Conventions
from anl_seg.evaluation.folders import CaseResult, Evaluation, evaluate_folders
from anl_seg.evaluation.labels import LabelSet
from anl_seg.evaluation.metrics import (
    METRICS,
    ConfusionMatrix,
    Counts,
    Metric,
    confusion_matrix,
    count,
    dice,
    iou,
)
from anl_seg.evaluation.statistics import Statistics
from anl_seg.evaluation.summary import ClassSummary, foreground_mean, summarize
from anl_seg.evaluation.writers import write_results

__all__ = [
    "METRICS",
    "CaseResult",
    "ClassSummary",
    "ConfusionMatrix",
    "Conventions",
    "Counts",
    "Evaluation",
    "LabelSet",
    "Metric",
    "Statistics",
    "confusion_matrix",
    "count",
    "dice",
    "evaluate_folders",
    "foreground_mean",
    "iou",
    "summarize",
    "write_results",
]
