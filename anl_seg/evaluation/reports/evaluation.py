"""Report of one evaluation: report.md, report.tex and report.html."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anl_seg.evaluation.folders import CaseResult, Evaluation
from anl_seg.evaluation.foreground import FOREGROUND, target_value, targets
from anl_seg.evaluation.metrics import METRICS
from anl_seg.evaluation.reports.evaluation_tables import (
    MAIN,
    digits_of,
    evaluation_grids,
)
from anl_seg.evaluation.reports.grid import Cell, Grid, figure, span
from anl_seg.evaluation.reports.latex import latex_table
from anl_seg.evaluation.reports.markdown import markdown_document
from anl_seg.evaluation.reports.overlays import CaseFiles, draw_cases
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
from anl_seg.evaluation.reports.plots import Plot, Values, against_size, box_strip
from anl_seg.evaluation.summary import EvaluationSummary
from anl_seg.formats.dataset_json import Label
from anl_seg.formats.files import write_text
from anl_seg.formats.html_pictures import find_pictures
from anl_seg.progress import Track, untracked

#: Name of the only panel of a case.
PREDICTION = "prediction"
FILES = ("report.md", "report.tex", "report.html")
#: Headings of the counts in the tables, in pixels and in millilitres.
SIZES = {"n_ref": "reference size", "n_pred": "predicted size"}
VOLUMES = {"n_ref": "reference (mL)", "n_pred": "predicted (mL)"}


@dataclass(frozen=True)
class Tile:
    """A figure at the top of the page."""

    name: str
    figure: str
    detail: str


def write_report(
    summary: EvaluationSummary,
    folder: Path,
    *,
    images: Path | None = None,
    num_processes: int = 1,
    track: Track = untracked,
) -> list[Path]:
    """Write an evaluation as Markdown, LaTeX and one self-contained HTML page.

    Args:
        summary: Result of `summarize`. The masks are read again for their outlines.
        folder: Folder for report.md, report.tex and report.html.
        images: Folder of the images, with the names of the cases or nnU-Net's image names. They are
            shown below the outlines.
        num_processes: Number of processes that draw the cases.
        track: Wrapper of the cases that shows progress.

    Returns:
        The files written.

    Raises:
        InputError: If an image is missing or cannot be read. Then nothing is written.
    """
    evaluation = summary.evaluation
    grids = evaluation_grids(summary)
    texts = (
        markdown_document(_title(evaluation), grids, _notes(evaluation)),
        "\n".join(latex_table(grid, f"evaluation-{n}") for n, grid in enumerate(grids, start=1)),
        evaluation_page(summary, images=images, num_processes=num_processes, track=track),
    )
    files = [folder / name for name in FILES]
    for file, text in zip(files, texts, strict=True):
        write_text(file, text)
    return files


def evaluation_page(
    summary: EvaluationSummary,
    *,
    images: Path | None = None,
    num_processes: int = 1,
    track: Track = untracked,
) -> str:
    """Render the HTML page. Arguments and errors are those of `write_report`."""
    evaluation = summary.evaluation
    first = evaluation.cases[0]
    shown = targets(evaluation.labels)
    return render(
        "evaluation.html.jinja",
        evaluation=evaluation,
        prediction_dir=first.prediction_file.parent,
        reference_dir=first.reference_file.parent,
        tiles=_tiles(summary),
        grids=evaluation_grids(summary),
        plots=_plots(evaluation),
        classes=class_names(evaluation.labels),
        cases=_cases(evaluation, images, num_processes, track),
        headings=_headings(evaluation),
        rows=[_row(evaluation, case, name) for name in shown for case in evaluation.cases],
        targets=list(shown),
        title=_title(evaluation),
        notes=_notes(evaluation),
        most_pictures=MAX_PICTURES,
    )


def _title(evaluation: Evaluation) -> str:
    count = len(evaluation.cases)
    return f"Segmentation of {count} case{'s' * (count != 1)}"


def _notes(evaluation: Evaluation) -> list[str]:
    return [f"classes: {evaluation.labels.source}", *in_words(evaluation.conventions)]


def _case_values(evaluation: Evaluation, members: Sequence[Label], metric: str) -> Values:
    """Average a metric over classes in each case, `(n,)`, NaN if undefined."""
    return np.array([target_value(case.values, members, metric) for case in evaluation.cases])


def _main_values(evaluation: Evaluation) -> Values:
    """Return the Dice of each case, of the foreground or of the only class."""
    return _case_values(evaluation, next(iter(targets(evaluation.labels).values())), MAIN)


def _two_references(evaluation: Evaluation) -> dict[str, tuple[Values, Values]]:
    """Return Dice against clean and against noisy masks, of all cases and by kind of noise."""
    members = next(iter(targets(evaluation.labels).values()))
    cases = [case for case in evaluation.cases if case.noisy_values is not None]
    kinds = sorted({case.noise for case in cases if case.noise is not None})
    groups = {"all": cases, **{k: [case for case in cases if case.noise == k] for k in kinds}}
    return {
        kind: (
            np.array([target_value(case.values, members, MAIN) for case in group]),
            np.array([target_value(case.noisy_values or {}, members, MAIN) for case in group]),
        )
        for kind, group in groups.items()
    }


def _titles(evaluation: Evaluation) -> list[str]:
    return [evaluation.conventions.title(metric) for metric in evaluation.metrics]


def _tiles(summary: EvaluationSummary) -> list[Tile]:
    evaluation = summary.evaluation
    name, target = next(iter(summary.targets.items()))
    main = target.statistics[MAIN]
    values = _main_values(evaluation)
    n_classes = len(summary.classes)
    tiles = [
        Tile("Cases", str(len(evaluation.cases)), f"{n_classes} class{'es' * (n_classes > 1)}"),
        Tile(f"Mean {MAIN}, {name}", figure(main.mean), f"95 % CI {span(main.low, main.high)}"),
        Tile(f"Median {MAIN}", figure(main.median), f"middle half {span(main.q1, main.q3)}"),
        Tile(f"Pooled {MAIN}", figure(target.pooled[MAIN]), "all pixels as one image"),
    ]
    if main.n:
        worst = int(np.nanargmin(values))
        tiles.append(Tile(f"Lowest {MAIN}", figure(values[worst]), evaluation.cases[worst].case))
    missed = sum(found.n_missed for found in summary.classes.values())
    tiles.append(Tile("Missed", str(missed), "objects not found at all"))
    if hd95 := target.statistics.get("HD95"):
        detail = f"{evaluation.conventions.unit}, median {figure(hd95.median, 2)}"
        tiles.append(Tile("Mean HD95", figure(hd95.mean, 2), detail))
    return tiles


def _plots(evaluation: Evaluation) -> list[Plot]:
    shown = targets(evaluation.labels)
    first, first_members = next(iter(shown.items()))
    classes = {name: members for name, members in shown.items() if name != FOREGROUND}
    dices = {name: _case_values(evaluation, members, MAIN) for name, members in shown.items()}
    shares = [name for name in evaluation.metrics if METRICS[name].worst == 0]
    lengths = [name for name in evaluation.metrics if METRICS[name].is_length]
    plots = [
        box_strip(f"{MAIN} of each class", dices, MAIN),
        against_size(
            f"{MAIN} against size",
            {name: _reference_sizes(evaluation, members) for name, members in classes.items()},
            dices,
            MAIN,
            "mL" if _in_millilitres(evaluation) else "pixels",
        ),
        box_strip(
            f"Other metrics, {first}",
            {
                name: _case_values(evaluation, first_members, name)
                for name in shares
                if name != MAIN
            },
            "score",
        ),
    ]
    if lengths:
        distances = {name: _case_values(evaluation, first_members, name) for name in lengths}
        unit = evaluation.conventions.unit
        plots.append(box_strip(f"Distances, {first}", distances, f"distance ({unit})"))
    if evaluation.cases[0].noise is not None:
        two = {
            f"{kind}, {reference}": values
            for kind, pair in _two_references(evaluation).items()
            for reference, values in zip(("clean", "noisy"), pair, strict=True)
        }
        plots.append(box_strip(f"{MAIN} against clean and noisy masks", two, MAIN))
    return plots


def _cases(
    evaluation: Evaluation, images: Path | None, num_processes: int, track: Track
) -> list[Case]:
    """Build the view of every case, the ones shown on the page itself first."""
    values = dict(
        zip(
            [case.case for case in evaluation.cases], _main_values(evaluation).tolist(), strict=True
        )
    )
    chosen = ranks(values)
    worst_first = sorted(values, key=lambda case: (math.isnan(values[case]), values[case]))
    pictured = {*chosen, *worst_first[:MAX_PICTURES]}
    pictures = find_pictures(images, sorted(pictured)) if images else {}
    results = {case.case: case for case in evaluation.cases}
    files = {
        name: CaseFiles(
            results[name].reference_file,
            {PREDICTION: results[name].prediction_file},
            pictures.get(name),
        )
        for name in results
        if name in pictured
    }
    threshold = evaluation.conventions.threshold
    overlays = draw_cases(files, evaluation.labels, num_processes, track, threshold)
    return [
        Case(
            case=name,
            rank=chosen.get(name, ""),
            summary=f"{MAIN} {figure(values[name])}",
            overlay=overlays.get(name),
            panels={PREDICTION: ""},
            grid=_case_grid(evaluation, results[name]),
        )
        for name in [*chosen, *(case for case in results if case not in chosen)]
    ]


def _figures(evaluation: Evaluation, case: CaseResult, members: Sequence[Label]) -> list[str]:
    """Format all figures of a class of one case: the metrics, then the sizes."""
    metrics = [
        figure(target_value(case.values, members, name), digits_of(name))
        for name in evaluation.metrics
    ]
    sizes = [target_value(case.values, members, name) for name in SIZES]
    if _in_millilitres(evaluation) and case.voxel_ml is not None:
        return [*metrics, *(figure(size * case.voxel_ml, 2) for size in sizes)]
    return [*metrics, *(figure(size, 0) for size in sizes)]


def _reference_sizes(evaluation: Evaluation, members: Sequence[Label]) -> Values:
    """Return the size of a class in the reference of each case, in millilitres or pixels."""
    pixels = _case_values(evaluation, members, "n_ref")
    if not _in_millilitres(evaluation):
        return pixels
    volumes: Values = pixels * np.array([case.voxel_ml for case in evaluation.cases], dtype=float)
    return volumes


def _in_millilitres(evaluation: Evaluation) -> bool:
    """Return whether sizes are volumes: every case is 3D and states its voxel size."""
    return all(case.voxel_ml is not None for case in evaluation.cases)


def _size_titles(evaluation: Evaluation) -> list[str]:
    return list((VOLUMES if _in_millilitres(evaluation) else SIZES).values())


def _case_grid(evaluation: Evaluation, case: CaseResult) -> Grid:
    return Grid(
        title=f"Figures of {case.case}",
        headings=("class", *_titles(evaluation), *_size_titles(evaluation)),
        rows=[
            [Cell(text) for text in (name, *_figures(evaluation, case, members))]
            for name, members in targets(evaluation.labels).items()
        ],
        note=f"noise: {case.noise}" if case.noise else "",
    )


def _headings(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return the columns of the table of cases, and how they are sorted."""
    noisy = evaluation.cases[0].noise is not None
    return [
        ("case", TEXT),
        *([("class", TEXT)] if len(evaluation.labels.names) > 1 else []),
        *((title, NUMBER) for title in (*_titles(evaluation), *_size_titles(evaluation))),
        *([("noise", TEXT), (f"noisy {MAIN}", NUMBER)] if noisy else []),
    ]


def _row(evaluation: Evaluation, case: CaseResult, target: str) -> CaseRow:
    members = targets(evaluation.labels)[target]
    cells = [target] if len(evaluation.labels.names) > 1 else []
    cells += _figures(evaluation, case, members)
    if case.noise is not None and case.noisy_values is not None:
        cells += [case.noise, figure(target_value(case.noisy_values, members, MAIN))]
    return CaseRow(case.case, target, target_value(case.values, members, MAIN), cells)
