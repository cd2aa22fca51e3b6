"""Write an evaluation to files: nnU-Net's summary.json and a CSV of every case and class."""

from __future__ import annotations

import csv
import io
from importlib.metadata import version
from pathlib import Path
from typing import Any

from anl_seg.evaluation.folders import Evaluation
from anl_seg.evaluation.metrics import METRICS, scores
from anl_seg.evaluation.summary import foreground_mean, summarize
from anl_seg.files import write_json, write_text

#: Version of what stands under `anl_seg` in summary.json; raised when a key changes its meaning.
SCHEMA = 1


def write_results(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write `summary.json` and `cases.csv` to `folder`, replacing files of these names.

    Returns:
        The files written.

    Raises:
        OSError: If the folder cannot be made or written.
    """
    files = [folder / "summary.json", folder / "cases.csv"]
    write_json(files[0], summary_content(evaluation))
    write_text(files[1], cases_csv(evaluation))
    return files


def summary_content(evaluation: Evaluation) -> dict[str, Any]:
    """Content of `summary.json`: nnU-Net's schema, with one more key, `anl_seg`.

    Undefined figures are NaN, which Python's json writes and reads though the JSON standard does
    not have it; nnU-Net's own files do the same.
    """
    summaries = summarize(evaluation)
    return {
        "foreground_mean": foreground_mean(summaries),
        "mean": {str(label): summary.mean for label, summary in summaries.items()},
        "anl_seg": {
            "schema": SCHEMA,
            "versions": {name: version(name) for name in ("anl-seg", "numpy", "SimpleITK")},
            "conventions": {
                "both_empty": "nan: left out of the means over cases, counted in n_both_empty",
                "one_empty": "0",
                "mean": "over cases; foreground_mean: over the means of the classes but 0",
                "pooled": "from the pixels of all cases taken as one image",
                "ignore_label": "pixels with this label in the reference are left out",
            },
            "labels_source": evaluation.labels.source,
            "ignore_label": evaluation.labels.ignore_label,
            "n_cases": len(evaluation.cases),
            "classes": {
                str(label): {
                    "name": evaluation.labels.names[label],
                    "n_scored": summary.n_scored,
                    "n_both_empty": summary.n_both_empty,
                    "pooled": {name: metric(summary.pooled) for name, metric in METRICS.items()},
                }
                for label, summary in summaries.items()
            },
        },
        "metric_per_case": [
            {
                "prediction_file": str(case.prediction_file),
                "reference_file": str(case.reference_file),
                "metrics": {str(label): scores(counts) for label, counts in case.counts.items()},
            }
            for case in evaluation.cases
        ],
    }


def cases_csv(evaluation: Evaluation) -> str:
    """One row per case and class; undefined figures are `nan`."""
    rows = [
        {"case": case.case, "class": str(label), **scores(counts)}
        for case in evaluation.cases
        for label, counts in case.counts.items()
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
