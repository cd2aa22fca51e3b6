"""The runs of each figure of the paper, and their places in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from anl_seg.classification.settings import (
    OF_REGULARIZERS,
    ClassificationSettings,
    preset_of,
    protocol_of,
)
from anl_seg.errors import InputError, named
from anl_seg.experiments.runs.run import Run, make_run
from anl_seg.experiments.tables.layouts import FULL
from anl_seg.experiments.tables.paper_table import Choice, lay_out
from anl_seg.losses import Preset
from anl_seg.paper import TRIED

#: The losses whose predictions Fig. 2 shows.
MARGINAL_LOSSES = ("ce", "anl-ce", "anl-ce*")
#: Noise rate of Fig. 3 on CIFAR-100, and on everything else.
ETA, ETA_CIFAR100 = 0.8, 0.6
#: Weights of the penalties in Fig. 4 and 5.
DELTAS = TRIED["delta"]
#: Settings of the penalties by title. L2 is weight decay.
PENALTIES = {"L2": "l2", "L1": "delta", "Jacobian": "jacobian"}
NO_PENALTY = dict.fromkeys(PENALTIES.values(), 0.0)
NONE = "none"
#: Noise rates of Fig. 7.
GRADIENT_ETAS = (0.6, 0.8)


@dataclass(frozen=True)
class FigureRun:
    """A run and its place in a figure.

    Attributes:
        run: The run.
        row: Title of the row of panels; "" if there is only one row.
        column: Title of the column.
        label: Label in the legend, if a panel shows several runs.
    """

    run: Run
    row: str = ""
    column: str = ""
    label: str = ""


def runs_of_figure(
    number: int,
    dataset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    scale: str = FULL,
) -> list[FigureRun]:
    """Return the runs of a figure; a run may occur in several places.

    Args:
        number: Number of the figure, 2 to 8.
        dataset: A protocol of `anl-seg classify` that replaces the paper's. Figure 6 has none.
        settings: Settings of all runs, such as data, seed, device, epochs.
        scale: Scale of figure 6, as for Table VI.

    Returns:
        The runs with their places.

    Raises:
        InputError: If the figure is unknown, sets a setting itself, or has no data set or scale to
            choose, or a setting is impossible.

    Examples:
        >>> pieces = runs_of_figure(3, dataset="digits")
        >>> [piece.column for piece in pieces]
        ['CE', 'MAE', 'NCE+RCE', 'ANL-CE (w/ L2)', 'ANL-CE (w/ L1)']
    """
    if number not in SET_BY_FIGURE:
        numbers = named([str(each) for each in SET_BY_FIGURE])
        raise InputError(f"figure {number} has no runs; choose one of {numbers}")
    settings = settings or {}
    if wrong := sorted(set(settings) & SET_BY_FIGURE[number]):
        raise InputError(f"--set {named(wrong)}: set by figure {number} itself; omit it")
    if number == OF_MASKS:
        if dataset is not None:
            raise InputError(
                f"figure {number} shows segmentation; give the folder of its images with --data"
            )
        return _masks(scale, settings)
    if scale != FULL:
        raise InputError(f"--scale is for figure {OF_MASKS} only; omit it for figure {number}")
    return PIECES[number](dataset, settings)


def _marginals(dataset: str | None, shared: Mapping[str, Any]) -> list[FigureRun]:
    make = partial(_classification, dataset or "cifar10", shared, noise="asymmetric", eta=0.4)
    return [FigureRun(make(loss), label=loss.upper()) for loss in MARGINAL_LOSSES]


def _accuracies(dataset: str | None, shared: Mapping[str, Any]) -> list[FigureRun]:
    """List CE, MAE, NCE+RCE, and ANL-CE with the weight decay of NCE+RCE and with its own L1."""
    datasets = ("cifar10", "cifar100") if dataset is None else (dataset,)
    pieces = []
    for each in datasets:
        eta = ETA_CIFAR100 if each.startswith("cifar100") else ETA
        make = partial(_classification, each, shared, eta=eta)
        runs = {loss.upper(): make(loss) for loss in ("ce", "mae", "nce+rce")}
        runs["ANL-CE (w/ L2)"] = make("anl-ce", values=_only_weight_decay(each))
        runs["ANL-CE (w/ L1)"] = make("anl-ce")
        row = f"{each}, η = {eta:g}" if len(datasets) > 1 else ""
        pieces += [FigureRun(run, row, column) for column, run in runs.items()]
    return pieces


def _penalties(loss: str, dataset: str | None, shared: Mapping[str, Any]) -> list[FigureRun]:
    """List a loss without a penalty and with each weight, with ANL-CE if it is another loss."""
    make = partial(_classification, dataset or "cifar10", shared, eta=ETA)
    pieces = []
    for column, penalty in PENALTIES.items():
        runs = {NONE: make(loss, values=NO_PENALTY)}
        runs |= {f"{d:g}": make(loss, values={**NO_PENALTY, penalty: d}) for d in DELTAS}
        if loss != "anl-ce":
            runs["ANL-CE"] = make("anl-ce")
        pieces += [FigureRun(run, column=column, label=label) for label, run in runs.items()]
    return pieces


def _masks(scale: str, shared: Mapping[str, Any]) -> list[FigureRun]:
    """List the run of ANL-CE on the worst masks of Table VI."""
    settings = dict(shared)
    seed = settings.pop("seed", 1)
    place = "anl-ce", "0.7/0.7"
    choice = Choice(place[:1], place[1:], (seed,), scale, settings)
    return [FigureRun(lay_out(6, choice).cells[place].runs[0])]


def _gradients(dataset: str | None, shared: Mapping[str, Any]) -> list[FigureRun]:
    make = partial(_classification, dataset or "cifar10", shared, "anl-ce")
    return [FigureRun(make(eta=eta), column=f"η = {eta:g}") for eta in GRADIENT_ETAS]


def _weights(dataset: str | None, shared: Mapping[str, Any]) -> list[FigureRun]:
    """List the runs of NCE + NNCE with the weight decay of NCE+RCE."""
    dataset = dataset or "cifar10"
    make = partial(_classification, dataset, shared, "anl-ce", eta=ETA)
    penalties = _only_weight_decay(dataset)
    return [
        FigureRun(
            make(values={**penalties, "alpha": alpha, "beta": beta}),
            row=f"α = {alpha:g}",
            column=f"β = {beta:g}",
        )
        for alpha in TRIED["alpha"]
        for beta in TRIED["beta"]
    ]


#: Number of the figure of segmentation.
OF_MASKS = 6
#: Functions of a data set and common settings that list the runs of each other figure.
PIECES: Mapping[int, Callable[[str | None, Mapping[str, Any]], list[FigureRun]]] = MappingProxyType(
    {
        2: _marginals,
        3: _accuracies,
        4: partial(_penalties, "anl-ce"),
        5: partial(_penalties, "nce+rce"),
        7: _gradients,
        8: _weights,
    }
)
_OF_CLASSIFIERS = frozenset(
    {"protocol", "loss", "loss_parameters", "noise", "eta", "labels", "human"}
)
_OF_PENALTIES = _OF_CLASSIFIERS.union(OF_REGULARIZERS)
#: Settings that differ between the runs of a figure, or that its labels name.
SET_BY_FIGURE: Mapping[int, frozenset[str]] = MappingProxyType(
    {
        2: _OF_CLASSIFIERS,
        3: _OF_PENALTIES,
        4: _OF_PENALTIES,
        5: _OF_PENALTIES,
        OF_MASKS: frozenset({"loss", "loss_parameters", "eta_alpha", "eta_beta"}),
        7: _OF_CLASSIFIERS,
        8: _OF_PENALTIES,
    }
)


def _classification(
    dataset: str,
    shared: Mapping[str, Any],
    loss: str,
    *,
    eta: float,
    noise: str = "symmetric",
    values: Mapping[str, float] = MappingProxyType({}),
) -> Run:
    """Make a run with hyper-parameters and penalties; default values do not change its id."""
    preset = _preset(dataset, loss)
    usual = {name: getattr(preset, name) for name in OF_REGULARIZERS}
    usual |= preset.hyper_parameters
    changed = {name: value for name, value in values.items() if usual[name] != value}
    weights = {name: changed.pop(name) for name in OF_REGULARIZERS if name in changed}
    own = {"protocol": dataset, "loss": loss, "noise": noise, "eta": eta}
    return make_run("classification", {**shared, **own, **weights, "loss_parameters": changed})


def _only_weight_decay(dataset: str) -> dict[str, float]:
    """Return the penalties of NCE+RCE, which replace those of ANL-CE."""
    return {"delta": 0.0, "l2": _preset(dataset, "nce+rce").l2}


def _preset(dataset: str, loss: str) -> Preset:
    settings = ClassificationSettings(protocol=dataset, loss=loss)
    return preset_of(settings, protocol_of(settings))
