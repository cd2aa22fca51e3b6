"""The runs of each cell of the paper's Tables I to VII."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anl_seg import losses, paper
from anl_seg.classification.protocols import PROTOCOLS
from anl_seg.classification.transforms import Photos
from anl_seg.datasets import cifar_n
from anl_seg.errors import InputError, named
from anl_seg.experiments.kinds import find_kind
from anl_seg.experiments.runs.run import Run, make_run
from anl_seg.experiments.segmentation.settings import PHANTOM
from anl_seg.experiments.tables.layouts import FULL, LAYOUTS, ROMAN, SCALES, Scale, TableLayout
from anl_seg.experiments.tables.names import choose_columns, choose_rows
from anl_seg.paper import PublishedCell

#: Settings that do not make the experiment different from the paper's.
SAME_EXPERIMENT = frozenset({"data", "human", "device"})


@dataclass(frozen=True)
class Choice:
    """The chosen part of a table, and the settings that replace the paper's.

    Attributes:
        rows: Names of losses, ours or as printed; empty for all rows of the table. Losses that the
            table lacks become new rows.
        columns: Names of columns; empty for all.
        seeds: Seeds, each once; empty for the paper's.
        scale: "full", or a name in `SCALES`.
        settings: Settings of the runs, and hyper-parameters for the losses that have them.
    """

    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    seeds: Sequence[int] = ()
    scale: str = FULL
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """The runs of a cell.

    Attributes:
        runs: One run per seed.
        metric: Name of the metric in their records, a share.
        published: Published result, if the paper has this cell.
    """

    runs: tuple[Run, ...]
    metric: str
    published: PublishedCell | None


@dataclass(frozen=True)
class PaperTable:
    """A table with the runs of every cell.

    Attributes:
        number: Number of the table, 1 to 7.
        measure: Quantity in the cells, with its unit.
        data: Data set of the paper.
        rows: Printed names by our name of the loss.
        columns: Names of the columns.
        cells: Cells by loss and column.
        seeds: Seeds of the runs.
        digits: Number of printed decimals.
        changes: Settings that replace the paper's. Empty if the published results are from the same
            experiment.
        left_out: Reason for each column that the data set cannot have.
    """

    number: int
    measure: str
    data: str
    rows: Mapping[str, str]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]
    seeds: tuple[int, ...]
    digits: int
    changes: Mapping[str, Any]
    left_out: tuple[str, ...]


def lay_out(number: int, choice: Choice | None = None) -> PaperTable:
    """Find the runs of each cell of a table.

    Args:
        number: Number of the table, 1 to 7.
        choice: Part of the table; by default the whole table, as in the paper.

    Returns:
        The table, with the runs and the published result of each cell.

    Raises:
        InputError: If table, row, column or scale is unknown, a setting is impossible, or a seed is
            given twice.

    Examples:
        >>> table = lay_out(6, Choice(rows=["anl-ce"], columns=["0.7/0.7"], seeds=[1]))
        >>> table.cells["anl-ce", "0.7/0.7"].published.mean
        77.3
    """
    if number not in LAYOUTS:
        raise InputError(f"table {number} has no runs; choose one of {named([*map(str, LAYOUTS)])}")
    choice = choice or Choice()
    layout, scale = LAYOUTS[number], _scale(number, choice.scale)
    settings = {**layout.settings, **scale.settings, **choice.settings}
    published = {(cell.loss, cell.column): cell for cell in paper.published(number)}
    rows = choose_rows(published.values(), choice.rows or scale.rows)
    columns = choose_columns(published.values(), choice.columns or scale.columns)
    noises = {cell.column: cell.settings for cell in published.values()}
    left_out = _impossible({column: noises[column] for column in columns}, settings)
    possible = [column for column in columns if column not in left_out]
    if not possible:
        raise InputError(f"no column of the table remains: {'; '.join(left_out.values())}")
    _check_names(layout, rows, noises, choice.settings)
    seeds = tuple(choice.seeds or layout.seeds)
    if len(set(seeds)) < len(seeds):
        raise InputError(
            f"the seeds {named([*map(str, seeds)])} name one twice, which would make the standard "
            "deviation too small; give each seed once"
        )
    cells = {
        (loss, column): Cell(
            runs=tuple(
                make_run(layout.kind, _settings(layout, loss, noises[column], settings, seed))
                for seed in seeds
            ),
            metric=layout.metrics.get(column, layout.metric),
            published=published.get((loss, column)),
        )
        for loss in rows
        for column in possible
    }
    return PaperTable(
        number=number,
        measure=layout.measure,
        data=layout.data,
        rows=rows,
        columns=tuple(possible),
        cells=cells,
        seeds=seeds,
        digits=layout.digits,
        changes=_changes(layout, settings),
        left_out=tuple(left_out.values()),
    )


def runs_of(table: PaperTable) -> list[Run]:
    """Return the runs of a table, each once: all of the first seed, then of the next seed."""
    by_seed = zip(*(cell.runs for cell in table.cells.values()), strict=True)
    return list({run.id: run for runs in by_seed for run in runs}.values())


def runs_to_do(table: PaperTable) -> list[Run]:
    """Return the runs of a table, and check that their files are given.

    Raises:
        InputError: If a run needs a file that was not given.
    """
    runs = runs_of(table)
    if any(run.settings.get("noise") == "human" and not run.settings["human"] for run in runs):
        raise InputError(
            "human noise needs CIFAR-N's file: give it, or its folder, with --human (in a sweep: "
            "--set human=FILE), or choose other columns with --column"
        )
    return runs


def _scale(number: int, name: str) -> Scale:
    scales = SCALES.get(number, {})
    if name == FULL:
        return Scale({}, rows=(), columns=())
    if name not in scales:
        raise InputError(
            f"Table {ROMAN[number]} has no scale {name!r}; it has {named([FULL, *scales])}"
            + ("" if scales else ". A CPU does --dataset digits in minutes")
        )
    return scales[name]


def _impossible(
    noises: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any]
) -> dict[str, str]:
    """Return the reason for each column that the data set cannot have."""
    protocol = PROTOCOLS.get(settings["protocol"])
    if protocol is None:  # segmentation, or unknown, which `make_run` reports
        return {}
    reasons = {}
    for column, noise in noises.items():
        kind = noise.get("noise", "clean")
        if kind == "human" and protocol.dataset not in cifar_n.RELEASES:
            reasons[column] = f"{column}: {protocol.dataset} has no second set of human labels"
        elif kind != "clean" and isinstance(protocol.augmentation, Photos):
            reasons[column] = f"{column}: the labels of {protocol.dataset} are already noisy"
    return reasons


def _check_names(
    layout: TableLayout,
    rows: Iterable[str],
    noises: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, Any],
) -> None:
    """Refuse settings that the table varies, and names that no row has."""
    varied = {"loss", "seed", "labels", "loss_parameters"}.union(*noises.values())
    if wrong := sorted(varied & set(given)):
        raise InputError(
            f"{named(wrong)}: set by the table; choose with --row, --column and --seed instead"
        )
    known = set(find_kind(layout.kind).names)
    known |= {name for loss in rows for name in _hyper_parameters(layout, loss)}
    if unknown := sorted(set(given) - known):
        raise InputError(f"unknown {named(unknown)}; valid are {', '.join(sorted(known - varied))}")


def _settings(
    layout: TableLayout,
    loss: str,
    noise: Mapping[str, Any],
    settings: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Return the settings of one run."""
    row = layout.rows.get(loss, {"loss": loss})
    takes = _hyper_parameters(layout, loss)
    fields = set(find_kind(layout.kind).names)
    if noise.get("noise") != "human":
        fields -= {"human"}
    return {
        **{name: value for name, value in settings.items() if name in fields},
        **noise,
        "loss": row["loss"],
        "seed": seed,
        "loss_parameters": {
            **{name: _number(name, value) for name, value in settings.items() if name in takes},
            **row.get("loss_parameters", {}),
        },
    }


def _number(name: str, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a number, got {value!r}") from error


def _hyper_parameters(layout: TableLayout, loss: str) -> Collection[str]:
    """Return the names of the hyper-parameters of a row's loss."""
    name = layout.rows.get(loss, {"loss": loss})["loss"]
    return losses.describe(name).parameters if name in losses.names() else ()


def _changes(layout: TableLayout, settings: Mapping[str, Any]) -> dict[str, Any]:
    changed = {
        name: value for name, value in settings.items() if value != layout.settings.get(name)
    }
    same = changed.keys() <= SAME_EXPERIMENT and changed.get("data") != PHANTOM
    return {} if same else {name: value for name, value in changed.items() if name != "device"}
