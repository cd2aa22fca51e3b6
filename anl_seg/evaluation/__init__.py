"""Evaluation of predicted masks against reference masks: metrics, statistics, reports."""

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
from anl_seg.evaluation.summary import (
    ClassSummary,
    EvaluationSummary,
    TargetSummary,
    summarize,
)
from anl_seg.evaluation.summary_files import write_results

__all__ = [
    "METRICS",
    "CaseResult",
    "ClassSummary",
    "ConfusionMatrix",
    "Conventions",
    "Counts",
    "Evaluation",
    "EvaluationSummary",
    "LabelSet",
    "Metric",
    "Statistics",
    "TargetSummary",
    "confusion_matrix",
    "count",
    "dice",
    "evaluate_folders",
    "iou",
    "summarize",
    "write_results",
]
