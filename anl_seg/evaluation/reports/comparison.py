"""The report of a comparison: comparison.md, .tex, .html and .json, and the values as cases.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from anl_seg.evaluation.compare import Comparison, Run, advantage
from anl_seg.evaluation.published import Published, loss_name
from anl_seg.evaluation.reports.comparison_tables import comparison_grids, metric_title
from anl_seg.evaluation.reports.grid import Cell, Grid, figure
from anl_seg.evaluation.reports.latex import latex_table
from anl_seg.evaluation.reports.markdown import markdown_document
from anl_seg.evaluation.reports.overlays import draw_overlay, find_pictures
from anl_seg.evaluation.reports.page import (
    MAX_PICTURES,
    NUMBER,
    TEXT,
    Case,
    CaseRow,
    in_words,
    ranks,
    render,
)
from anl_seg.evaluation.reports.plots import Plot, Values, box_strip, intervals, slopes
from anl_seg.formats.files import write_json, write_text
from anl_seg.progress import Track, untracked

#: Version of comparison.json; raised when a key changes its meaning.
SCHEMA = 1
#: What the page calls the cases that it shows.
RANKS = ("lost most", "median", "gained most")


def write_comparison(
    comparison: Comparison,
    folder: Path,
    *,
    published: Mapping[str, Published] | None = None,
    images: Path | None = None,
    track: Track = untracked,
) -> list[Path]:
    """Write the comparison as Markdown, LaTeX, one self-contained HTML page, JSON and CSV.

    Args:
        comparison: What was compared; the masks are read again for their outlines.
        folder: Gets comparison.md, .tex, .html, .json and cases.csv.
        published: Published figures by name of the loss, to stand beside ours.
        images: Folder of the images, named as the cases or as nnU-Net names them.
        track: Wraps the cases to show progress.

    Returns:
        The files written.

    Raises:
        InputError: If an image is missing or cannot be read; nothing is written then.
    """
    grids = comparison_grids(comparison, published)
    labels = ("comparison", "differences")
    texts = {
        "comparison.md": markdown_document(_title(comparison), grids, _notes(comparison)),
        "comparison.tex": "\n".join(map(latex_table, grids, labels)),
        "comparison.html": comparison_page(
            comparison, published=published, images=images, track=track
        ),
        "cases.csv": _cases_csv(comparison),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    write_json(folder / "comparison.json", _content(comparison, published))
    return [folder / name for name in (*texts, "comparison.json")]


def comparison_page(
    comparison: Comparison,
    *,
    published: Mapping[str, Published] | None = None,
    images: Path | None = None,
    track: Track = untracked,
) -> str:
    """The HTML page; arguments and errors as in `write_comparison`."""
    first = comparison.runs[0].groups[0]
    return render(
        "comparison.html.jinja",
        comparison=comparison,
        reference_dir=first.cases[0].reference_file.parent,
        grids=comparison_grids(comparison, published),
        plots=_plots(comparison),
        several=any(len(run.groups) > 1 for run in comparison.runs),
        cases=_cases(comparison, images, track),
        headings=_headings(comparison),
        rows=[
            _row(comparison, target, place)
            for target in comparison.targets
            for place in range(len(comparison.cases))
        ],
        limit=f"Lowest {comparison.metric.name}",
        title=_title(comparison),
        notes=_notes(comparison),
        most_pictures=MAX_PICTURES,
    )


def _title(comparison: Comparison) -> str:
    return f"{len(comparison.runs)} methods on {len(comparison.cases)} cases"


def _notes(comparison: Comparison) -> list[str]:
    return [
        *(f"{run.name}: {', '.join(map(str, _folders(run)))}" for run in comparison.runs),
        f"classes: {comparison.labels.source}",
        *in_words(comparison.runs[0].groups[0].conventions),
    ]


def _plots(comparison: Comparison) -> list[Plot]:
    axis = metric_title(comparison)
    first = comparison.targets[0]
    several = len(comparison.targets) > 1
    rows = {
        f"{row.run}, {row.target}" if several else row.run: (row.mean, row.interval)
        for row in comparison.differences
    }
    return [
        intervals(f"Difference to {comparison.baseline}", rows, f"difference in {axis}"),
        slopes(f"Each case, {first}", comparison.baseline, comparison.averages[first], axis),
        *(
            box_strip(f"{axis}, {target}", values, axis)
            for target, values in comparison.averages.items()
        ),
    ]


def _cases(comparison: Comparison, images: Path | None, track: Track) -> list[Case]:
    """Every case as it opens, those that the page itself shows first."""
    by_run = comparison.averages[comparison.targets[0]]
    gains = _gains(comparison)
    chosen = ranks(dict(zip(comparison.cases, gains.tolist(), strict=True)), RANKS)
    by_size = np.argsort(-np.abs(np.nan_to_num(gains)), kind="stable")[:MAX_PICTURES]
    pictured = {*chosen, *(comparison.cases[place] for place in by_size)}
    pictures = find_pictures(images, sorted(pictured)) if images else {}
    files = _files(comparison)
    cases = []
    for name in track([*chosen, *(c for c in comparison.cases if c not in chosen)], "drawing"):
        place = comparison.cases.index(name)
        overlay = None
        if name in pictured:
            overlay = draw_overlay(*files[name], list(comparison.labels.names), pictures.get(name))
        cases.append(
            Case(
                case=name,
                rank=chosen.get(name, ""),
                summary="",
                overlay=overlay,
                panels={run: f"{run} {figure(by_run[run][place])}" for run in by_run},
                grid=_case_grid(comparison, place),
            )
        )
    return cases


def _gains(comparison: Comparison) -> Values:
    """By how much the other runs, on average, are better than the baseline, `(n,)`."""
    baseline, *others = comparison.averages[comparison.targets[0]].values()
    gains = [advantage(other, baseline, comparison.metric) for other in others]
    return np.asarray(np.mean(gains, axis=0))


def _files(comparison: Comparison) -> dict[str, tuple[Path, dict[str, Path]]]:
    """Case -> the clean mask, and the prediction of the first training of each run."""
    files: dict[str, tuple[Path, dict[str, Path]]] = {}
    for run in comparison.runs:
        for group in run.groups:
            for case in group.cases:
                _, predictions = files.setdefault(case.case, (case.reference_file, {}))
                predictions.setdefault(run.name, case.prediction_file)
    return files


def _case_grid(comparison: Comparison, place: int) -> Grid:
    return Grid(
        title=metric_title(comparison),
        headings=("class", *(run.name for run in comparison.runs)),
        rows=[
            [
                Cell(target),
                *(Cell(figure(values[place])) for values in by_run.values()),
            ]
            for target, by_run in comparison.averages.items()
        ],
    )


def _headings(comparison: Comparison) -> list[tuple[str, str]]:
    """Columns of the table of cases, and how they are sorted."""
    _, *others = comparison.runs
    return [
        ("case", TEXT),
        *([("class", TEXT)] if len(comparison.targets) > 1 else []),
        *((run.name, NUMBER) for run in comparison.runs),
        *((f"Δ {run.name}", NUMBER) for run in others),
    ]


def _row(comparison: Comparison, target: str, place: int) -> CaseRow:
    values = [values[place] for values in comparison.averages[target].values()]
    baseline, *others = values
    return CaseRow(
        case=comparison.cases[place],
        target=target,
        value=float(np.nanmin([*values, np.inf])),
        cells=[
            *([target] if len(comparison.targets) > 1 else []),
            *map(figure, values),
            *(figure(other - baseline) for other in others),
        ],
    )


def _folders(run: Run) -> list[Path]:
    return [group.cases[0].prediction_file.parent for group in run.groups]


def _content(comparison: Comparison, published: Mapping[str, Published] | None) -> dict[str, Any]:
    """Content of comparison.json; undefined figures are NaN, as in nnU-Net's own files."""
    return {
        "schema": SCHEMA,
        "versions": {name: version(name) for name in ("anl-seg", "numpy", "scipy")},
        "metric": comparison.metric.name,
        "baseline": comparison.baseline,
        "seed": comparison.seed,
        "conventions": comparison.runs[0].groups[0].conventions.described(),
        "runs": {run.name: [str(folder) for folder in _folders(run)] for run in comparison.runs},
        "n_cases": len(comparison.cases),
        "means": {
            target: {name: asdict(mean) for name, mean in by_run.items()}
            for target, by_run in comparison.means.items()
        },
        "differences": [asdict(row) for row in comparison.differences],
        "published": {
            run.name: asdict(published[loss_name(run.name)])
            for run in comparison.runs
            if published and loss_name(run.name) in published
        },
    }


def _cases_csv(comparison: Comparison) -> str:
    """One row per class, run, training and case; what is undefined is `nan`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "class", "run", "training", comparison.metric.name])
    for target, by_run in comparison.values.items():
        for name, groups in by_run.items():
            for training, values in enumerate(groups, start=1):
                for case, value in zip(comparison.cases, values.tolist(), strict=True):
                    writer.writerow([case, target, name, training, value])
    return text.getvalue()
