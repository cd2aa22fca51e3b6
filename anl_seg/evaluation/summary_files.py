"""Files of an evaluation: nnU-Net's summary.json and a long CSV of every figure."""

from __future__ import annotations

import csv
import io
import platform
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from anl_seg.evaluation.folders import CaseResult, Evaluation
from anl_seg.evaluation.metrics import overlap_values
from anl_seg.evaluation.summary import ClassSummary, EvaluationSummary
from anl_seg.formats.dataset_json import Label
from anl_seg.formats.files import write_json, write_text

#: Version of the key `anl_seg` in summary.json. Increase it if a key below changes its meaning.
SCHEMA = 2
#: Columns of cases.csv. `reference` is "noisy" for figures against the training mask.
COLUMNS = ("case", "class", "name", "noise", "reference", "metric", "value")


def write_results(summary: EvaluationSummary, folder: Path) -> list[Path]:
    """Write `summary.json` and `cases.csv` to `folder`, replacing files of these names.

    Args:
        summary: Result of `summarize`.
        folder: Output folder, created if it does not exist.

    Returns:
        The files written.

    Raises:
        OSError: If the folder cannot be created or written.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> from anl_seg.evaluation import evaluate_folders, summarize
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (8, 8), 1).save(Path(folder, "case.png"))
        ...     summary = summarize(evaluate_folders(Path(folder), Path(folder)))
        ...     files = write_results(summary, Path(folder, "results"))
        >>> [file.name for file in files]
        ['summary.json', 'cases.csv']
    """
    files = [folder / "summary.json", folder / "cases.csv"]
    contents = summary_content(summary), cases_csv(summary.evaluation)
    write_json(files[0], contents[0])
    write_text(files[1], contents[1])
    return files


def summary_content(summary: EvaluationSummary) -> dict[str, Any]:
    """Build `summary.json`: nnU-Net's schema with more metrics and the additional key `anl_seg`.

    Undefined figures are NaN, as in nnU-Net's own files. Python's json writes and reads NaN, but
    the JSON standard lacks it.
    """
    evaluation = summary.evaluation
    packages = ("anl-seg", "numpy", "pillow", "SimpleITK")
    return {
        "foreground_mean": dict(summary.foreground_mean),
        "mean": {str(label): found.mean for label, found in summary.classes.items()},
        "anl_seg": {
            "schema": SCHEMA,
            "versions": {"python": platform.python_version()} | {p: version(p) for p in packages},
            "settings": asdict(evaluation.conventions),
            "conventions": evaluation.conventions.described(),
            "labels_source": evaluation.labels.source,
            "ignore_label": evaluation.labels.ignore_label,
            "n_cases": len(evaluation.cases),
            "classes": {
                str(label): _class_content(evaluation, label, found)
                for label, found in summary.classes.items()
            },
            "memorisation": [asdict(row) for row in summary.memorisation],
        },
        "metric_per_case": [_case_content(case) for case in evaluation.cases],
    }


def cases_csv(evaluation: Evaluation) -> str:
    """Return one row for each case, class and figure; undefined figures are `nan`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for case in evaluation.cases:
        writer.writerows(_long_rows(case, evaluation))
    return text.getvalue()


def _class_content(evaluation: Evaluation, label: Label, summary: ClassSummary) -> dict[str, Any]:
    return {
        "name": evaluation.labels.names[label],
        "n_scored": summary.n_scored,
        "n_both_empty": summary.n_both_empty,
        "n_missed": summary.n_missed,
        "n_extra": summary.n_extra,
        "statistics": {name: asdict(found) for name, found in summary.statistics.items()},
        "pooled": overlap_values(summary.pooled, evaluation.conventions.empty),
    }


def _case_content(case: CaseResult) -> dict[str, Any]:
    content: dict[str, Any] = {
        "prediction_file": str(case.prediction_file),
        "reference_file": str(case.reference_file),
        "metrics": {str(label): values for label, values in case.values.items()},
    }
    if case.noisy_values is not None:
        content["noise"] = case.noise
        content["metrics_noisy"] = {str(k): values for k, values in case.noisy_values.items()}
    return content


def _long_rows(case: CaseResult, evaluation: Evaluation) -> Iterator[tuple[object, ...]]:
    names = evaluation.labels.names
    for reference, by_label in (("given", case.values), ("noisy", case.noisy_values or {})):
        for label, values in by_label.items():
            for metric, value in values.items():
                yield case.case, label, names[label], case.noise, reference, metric, value
