"""Report of a comparison: comparison.md, .tex, .html and .json, and the values as cases.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from anl_seg.evaluation.compare import (
    Method,
    MethodComparison,
    advantage,
    compare,
    evaluate_methods,
    needs_surfaces,
)
from anl_seg.evaluation.conclusions import conclude, deciding_interval, display_unit
from anl_seg.evaluation.conventions import Conventions
from anl_seg.evaluation.reports.comparison_tables import PublishedColumn, comparison_grids
from anl_seg.evaluation.reports.grid import Cell, Grid
from anl_seg.evaluation.reports.latex import latex_table
from anl_seg.evaluation.reports.markdown import markdown_document
from anl_seg.evaluation.reports.overlays import CaseFiles, check_pictures, draw_cases
from anl_seg.evaluation.reports.page import (
    MAX_PICTURES,
    NUMBER,
    TEXT,
    Case,
    CaseRow,
    class_names,
    in_words,
    ranks,
    render,
)
from anl_seg.evaluation.reports.plots import Plot, Values, box_strip, intervals, slopes
from anl_seg.formats.files import write_json, write_text
from anl_seg.formats.html_pictures import find_pictures
from anl_seg.progress import Track, untracked

#: Version of comparison.json. Increase it if a key changes its meaning.
SCHEMA = 2
#: Names of the kinds of cases that the page shows.
RANKS = ("lost most", "near the median", "gained most")


def compare_folders(
    folders: Mapping[str, Sequence[Path]],
    reference_dir: Path,
    output: Path,
    *,
    metric: str = "Dice",
    images: Path | None = None,
    notes: Sequence[str] = (),
    plots: Sequence[Plot] = (),
    num_processes: int = 1,
    track: Track = untracked,
) -> MethodComparison:
    """Evaluate several methods, compare them and write the report, in one call.

    Args:
        folders: Folders of predictions of each method, one for each seed or fold. The first method
            is the baseline.
        reference_dir: Folder of reference masks.
        output: Folder for comparison.html, .md, .tex, .json and cases.csv.
        metric: Name of a row of `METRICS`.
        images: Folder of the images, shown below the outlines.
        notes: Additional lines for the section "How this was measured".
        plots: Additional plots for the page, such as curves of the trainings.
        num_processes: Number of processes that measure and draw the cases.
        track: Wrapper of the cases that shows progress.

    Returns:
        The comparison. `conclude` puts it into words.

    Raises:
        InputError: If a mask is missing or wrong, or an image is missing: then nothing is written.
            If an image cannot be read: then everything but the page is written.

    Examples:
        >>> compare_folders(  # doctest: +SKIP
        ...     {"dice+ce": [Path("A")], "anl-ce": [Path("B")]}, Path("labelsTs"), Path("report")
        ... )
    """
    if images:
        check_pictures(images, [each for group in folders.values() for each in group])
    conventions = Conventions(surfaces=needs_surfaces(metric))
    methods = evaluate_methods(
        folders, reference_dir, conventions=conventions, num_processes=num_processes, track=track
    )
    comparison = compare(methods, metric)
    write_comparison(
        comparison,
        output,
        images=images,
        notes=notes,
        plots=plots,
        num_processes=num_processes,
        track=track,
    )
    return comparison


def write_comparison(
    comparison: MethodComparison,
    folder: Path,
    *,
    published: PublishedColumn | None = None,
    images: Path | None = None,
    notes: Sequence[str] = (),
    plots: Sequence[Plot] = (),
    num_processes: int = 1,
    track: Track = untracked,
) -> list[Path]:
    """Write a comparison as Markdown, LaTeX, one self-contained HTML page, JSON and CSV.

    Args:
        comparison: The comparison. The masks are read again for their outlines.
        folder: Folder for comparison.md, .tex, .html, .json and cases.csv.
        published: Published results of the same experiment, shown beside ours.
        images: Folder of the images, with the names of the cases or nnU-Net's image names.
        notes: Additional lines for the section "How this was measured".
        plots: Additional plots for the page.
        num_processes: Number of processes that draw the cases.
        track: Wrapper of the cases that shows progress.

    Returns:
        The files written.

    Raises:
        InputError: If an image is missing: then nothing is written. If one cannot be read: then
            everything but the page is written.
    """
    if images:
        find_pictures(images, comparison.cases)
    grids = comparison_grids(comparison, published)
    labels = ("comparison", "differences")
    measured = [*_notes(comparison), *notes]
    lead = conclude(comparison).lines
    texts = {
        "comparison.md": markdown_document(_title(comparison), grids, measured, lead),
        "comparison.tex": "\n".join(map(latex_table, grids, labels)),
        "cases.csv": _cases_csv(comparison),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    write_json(folder / "comparison.json", _content(comparison, published))
    page = comparison_page(
        comparison,
        published=published,
        images=images,
        notes=notes,
        plots=plots,
        num_processes=num_processes,
        track=track,
    )
    write_text(folder / "comparison.html", page)
    return [folder / name for name in (*texts, "comparison.json", "comparison.html")]


def comparison_page(
    comparison: MethodComparison,
    *,
    published: PublishedColumn | None = None,
    images: Path | None = None,
    notes: Sequence[str] = (),
    plots: Sequence[Plot] = (),
    num_processes: int = 1,
    track: Track = untracked,
) -> str:
    """Render the HTML page. Arguments and errors are those of `write_comparison`."""
    first = comparison.methods[0].groups[0]
    unit = display_unit(comparison)
    return render(
        "comparison.html.jinja",
        comparison=comparison,
        conclusion=conclude(comparison),
        unit=unit,
        reference_dir=first.cases[0].reference_file.parent,
        grids=comparison_grids(comparison, published),
        plots=[*comparison_plots(comparison), *plots],
        several=any(len(method.groups) > 1 for method in comparison.methods),
        classes=class_names(comparison.labels),
        cases=_cases(comparison, images, num_processes, track),
        headings=_headings(comparison),
        rows=[
            _row(comparison, target, place)
            for target in comparison.targets
            for place in range(len(comparison.cases))
        ],
        limit=f"Lowest {unit.title}",
        title=_title(comparison),
        notes=[*_notes(comparison), *notes],
        most_pictures=MAX_PICTURES,
    )


def _title(comparison: MethodComparison) -> str:
    return f"{len(comparison.methods)} methods on {len(comparison.cases)} cases"


def _notes(comparison: MethodComparison) -> list[str]:
    return [
        *(
            f"{method.name}: {', '.join(map(str, _folders(method)))}"
            for method in comparison.methods
        ),
        f"classes: {comparison.labels.source}",
        *in_words(comparison.methods[0].groups[0].conventions),
    ]


def comparison_plots(comparison: MethodComparison) -> list[Plot]:
    """Draw the differences to the baseline, and the values of each case."""
    unit = display_unit(comparison)
    first = comparison.targets[0]
    several = len(comparison.targets) > 1
    rows = {}
    for row in comparison.differences:
        low, high = deciding_interval(row)
        name = f"{row.method}, {row.target}" if several else row.method
        rows[name] = (unit.factor * row.mean, (unit.factor * low, unit.factor * high))
    values = {
        target: {name: unit.factor * row for name, row in by_method.items()}
        for target, by_method in comparison.averages.items()
    }
    return [
        intervals(
            f"Difference to {comparison.baseline}",
            rows,
            f"difference in {comparison.metric.name} ({unit.difference})",
        ),
        slopes(f"Each case, {first}", comparison.baseline, values[first], unit.title),
        *(box_strip(f"{unit.title}, {target}", values[target], unit.title) for target in values),
    ]


def _cases(
    comparison: MethodComparison, images: Path | None, num_processes: int, track: Track
) -> list[Case]:
    """Build the view of every case, the ones shown on the page itself first."""
    by_method = comparison.averages[comparison.targets[0]]
    gains = _gains(comparison)
    chosen = ranks(dict(zip(comparison.cases, gains.tolist(), strict=True)), RANKS)
    by_size = np.argsort(-np.abs(np.nan_to_num(gains)), kind="stable")[:MAX_PICTURES]
    pictured = {*chosen, *(comparison.cases[place] for place in by_size)}
    pictures = find_pictures(images, sorted(pictured)) if images else {}
    files = {
        name: CaseFiles(reference, predictions, pictures.get(name))
        for name, (reference, predictions) in _files(comparison).items()
        if name in pictured
    }
    threshold = comparison.methods[0].groups[0].conventions.threshold
    overlays = draw_cases(files, comparison.labels, num_processes, track, threshold)
    unit = display_unit(comparison)
    places = {name: place for place, name in enumerate(comparison.cases)}
    return [
        Case(
            case=name,
            rank=chosen.get(name, ""),
            summary="",
            overlay=overlays.get(name),
            panels={
                method: f"{method} {unit.mean(values[places[name]])}"
                for method, values in by_method.items()
            },
            grid=_case_grid(comparison, places[name]),
        )
        for name in [*chosen, *(case for case in comparison.cases if case not in chosen)]
    ]


def _gains(comparison: MethodComparison) -> Values:
    """Compute how much better the other methods are, on average, than the baseline, `(n,)`."""
    baseline, *others = comparison.averages[comparison.targets[0]].values()
    gains = [advantage(other, baseline, comparison.metric) for other in others]
    return np.asarray(np.mean(gains, axis=0))


def _files(comparison: MethodComparison) -> dict[str, tuple[Path, dict[str, Path]]]:
    """Map each case to its reference and to the prediction of each method's first training."""
    files: dict[str, tuple[Path, dict[str, Path]]] = {}
    for method in comparison.methods:
        for group in method.groups:
            for case in group.cases:
                _, predictions = files.setdefault(case.case, (case.reference_file, {}))
                predictions.setdefault(method.name, case.prediction_file)
    return files


def _case_grid(comparison: MethodComparison, place: int) -> Grid:
    unit = display_unit(comparison)
    return Grid(
        title=unit.title,
        headings=("class", *(method.name for method in comparison.methods)),
        rows=[
            [
                Cell(target),
                *(Cell(unit.mean(values[place])) for values in by_method.values()),
            ]
            for target, by_method in comparison.averages.items()
        ],
    )


def _headings(comparison: MethodComparison) -> list[tuple[str, str]]:
    """Return the columns of the table of cases, and how they are sorted."""
    _, *others = comparison.methods
    return [
        ("case", TEXT),
        *([("class", TEXT)] if len(comparison.targets) > 1 else []),
        *((method.name, NUMBER) for method in comparison.methods),
        *((f"Δ {method.name}", NUMBER) for method in others),
    ]


def _row(comparison: MethodComparison, target: str, place: int) -> CaseRow:
    unit = display_unit(comparison)
    values = [values[place] for values in comparison.averages[target].values()]
    baseline, *others = values
    return CaseRow(
        case=comparison.cases[place],
        target=target,
        value=unit.factor * float(np.nanmin([*values, np.inf])),
        cells=[
            *([target] if len(comparison.targets) > 1 else []),
            *map(unit.mean, values),
            *(unit.mean(other - baseline) for other in others),
        ],
    )


def _folders(method: Method) -> list[Path]:
    return [group.cases[0].prediction_file.parent for group in method.groups]


def _content(comparison: MethodComparison, published: PublishedColumn | None) -> dict[str, Any]:
    """Build the content of comparison.json; undefined values are NaN, as in nnU-Net's files."""
    return {
        "schema": SCHEMA,
        "versions": {name: version(name) for name in ("anl-seg", "numpy", "scipy")},
        "metric": comparison.metric.name,
        "baseline": comparison.baseline,
        "seed": comparison.seed,
        "conventions": comparison.methods[0].groups[0].conventions.described(),
        "methods": {
            method.name: [str(folder) for folder in _folders(method)]
            for method in comparison.methods
        },
        "n_cases": len(comparison.cases),
        "means": {
            target: {name: asdict(mean) for name, mean in by_method.items()}
            for target, by_method in comparison.means.items()
        },
        "differences": [asdict(row) for row in comparison.differences],
        "conclusion": asdict(conclude(comparison)),
        "published": {
            name: {"mean": mean, "std": std}
            for name, (mean, std) in (published.figures if published else {}).items()
        },
    }


def _cases_csv(comparison: MethodComparison) -> str:
    """Format one row per class, method, training and case; undefined values are `nan`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "class", "method", "training", comparison.metric.name])
    for target, by_method in comparison.values.items():
        for name, groups in by_method.items():
            for training, values in enumerate(groups, start=1):
                for case, value in zip(comparison.cases, values.tolist(), strict=True):
                    writer.writerow([case, target, name, training, value])
    return text.getvalue()
