"""A search for hyper-parameters of a loss: the settings of its runs, and the values to try."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from anl_seg import losses
from anl_seg.errors import InputError, named
from anl_seg.experiments.kinds import GIVEN, find_kind, nest_parameters
from anl_seg.experiments.runs.run import Run, make_run
from anl_seg.paper import TRIED
from anl_seg.trainers.settings import NNUNET_LOSS

Range = tuple[float, float]
#: Hyper-parameters to search by default, if the loss has them.
BY_DEFAULT = ("alpha", "beta", "lambda_")
#: Default ranges, on a logarithmic scale. They include all values that the paper uses or tries.
RANGES: Mapping[str, Range] = MappingProxyType(
    {"alpha": (0.1, 50.0), "beta": (0.1, 50.0), "lambda_": (0.01, 10.0), "delta": (1e-7, 1e-3)}
)


@dataclass(frozen=True)
class Search:
    """A search for hyper-parameters, created by `make_search`.

    Attributes:
        kind: Kind of the runs, a key of `KINDS`.
        settings: Settings of all runs, including fixed hyper-parameters.
        ranges: Lowest and highest value of each hyper-parameter.
        metric: Metric of the held-out images that the search maximises.
    """

    kind: str
    settings: Mapping[str, Any]
    ranges: Mapping[str, Range]
    metric: str

    def run(self, values: Mapping[str, float]) -> Run:
        """Create the run of a trial, with values rounded to three digits.

        Raises:
            InputError: If a setting or a value is impossible.
        """
        return make_run(self.kind, nest_parameters(self.kind, {**self.settings, **rounded(values)}))


def parse_ranges(texts: Iterable[str]) -> dict[str, Range]:
    """Parse `NAME` and `NAME=LOW:HIGH` texts. A name alone gets its default range.

    Raises:
        InputError: If a text is neither, or a range is empty or reaches 0.
    """
    ranges = {}
    for text in texts:
        name, _, ends = text.partition("=")
        name = _own_name(name)
        if not ends:
            if name not in RANGES:
                raise InputError(f"--range {text} needs its ends: {text}=LOW:HIGH")
            ranges[name] = RANGES[name]
            continue
        try:
            low, high = map(float, ends.split(":"))
        except ValueError as error:
            raise InputError(f"--range takes NAME or NAME=LOW:HIGH, got {text!r}") from error
        if not 0 < low < high < math.inf:
            raise InputError(f"--range {text}: the scale is logarithmic, so 0 < LOW < HIGH")
        ranges[name] = low, high
    return ranges


def make_search(
    kind: str,
    settings: Mapping[str, Any],
    ranges: Mapping[str, Range] | None = None,
    objective: str = GIVEN,
) -> Search:
    """Complete and check a search.

    Args:
        kind: "classification" or "segmentation".
        settings: Settings of the runs, and fixed hyper-parameters of the loss. By default a fifth
            of a classifier's training images is held out (`validation`), or fold 0 of a
            segmentation (`fold`).
        ranges: Ranges of the hyper-parameters to search. They override or extend the default: those
            in `BY_DEFAULT` that the loss has, with their `RANGES`.
        objective: Labels that held-out images are compared with, "given" or "clean".

    Returns:
        The search.

    Raises:
        InputError: If something is unknown or impossible, nothing is left to search, or no images
            are held out.

    Examples:
        >>> search = make_search("classification", {"protocol": "digits", "loss": "anl-ce"})
        >>> search.metric, sorted(search.ranges)
        ('validation_accuracy', ['alpha', 'beta'])
    """
    row = find_kind(kind)
    if objective not in row.objectives:
        choices = named(list(row.objectives))
        raise InputError(f"unknown objective {objective!r}; choose one of {choices}")
    held_out = row.held_out
    settings = {held_out.setting: held_out.default, "loss": "anl-ce"} | {
        _own_name(name): value for name, value in settings.items()
    }
    settings["loss"] = losses.canonical_name(settings["loss"], also=[NNUNET_LOSS])
    if settings[held_out.setting] == held_out.nothing:
        raise InputError(
            f"{held_out.setting} is {held_out.nothing}, so no images are held out for the search"
        )
    sought = _sought(settings, ranges or {})
    search = Search(kind, settings, sought, row.objectives[objective])
    for place in (0.0, 0.5, 1.0):  # the ends and the middle must be possible values
        search.run(_values(sought, place))
    return search


def differences(search: Search, other: Search) -> list[str]:
    """Name what differs between two searches. Paths, and settings left at default, do not count.

    Args:
        search: A search.
        other: Another one.

    Returns:
        Names of options or settings; empty if the same values give the same runs.
    """
    parts = {"kind": "--kind", "metric": "--objective", "ranges": "--range"}
    found = [
        option for name, option in parts.items() if getattr(search, name) != getattr(other, name)
    ]
    if search.kind != other.kind:
        return found
    one, two = (each.run(_values(search.ranges, 0.5)) for each in (search, other))
    if one.id != two.id:
        first, second = (find_kind(each.kind).identity(each.settings) for each in (one, two))
        found += [name for name in {**first, **second} if first.get(name) != second.get(name)]
    return found


def _values(ranges: Mapping[str, Range], place: float) -> dict[str, float]:
    """Return values at a place from 0 to 1 of all ranges."""
    return {name: low ** (1 - place) * high**place for name, (low, high) in ranges.items()}


def grid(ranges: Mapping[str, Range]) -> list[dict[str, float]]:
    """Combine the values of the paper that are in the ranges.

    Raises:
        InputError: If the paper has no value in one of the ranges.
    """
    axes = {
        name: [value for value in TRIED.get(name, ()) if low <= value <= high]
        for name, (low, high) in ranges.items()
    }
    if empty := [name.rstrip("_") for name, values in axes.items() if not values]:
        raise InputError(
            f"the paper has no grid for {named(empty)} in this range; it has values of "
            f"{named(list(TRIED))}; use --sampler tpe, or fix others with --set"
        )
    return [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Round values to three digits, as the runs of a search have them."""
    return {name: float(f"{value:.3g}") for name, value in values.items()}


def _own_name(name: str) -> str:
    """Return the name in the table of losses: `lambda_`, because lambda is a Python keyword."""
    return "lambda_" if name == "lambda" else name


def _sought(settings: Mapping[str, Any], ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Return the given ranges and the default ones of the loss."""
    if twice := sorted(set(ranges) & set(settings)):
        raise InputError(
            f"{named(twice)}: fixed by --set and searched by --range; omit one of the two"
        )
    loss = settings["loss"]
    has = losses.describe(loss).parameters if loss in losses.names() else ()
    free = [name for name in BY_DEFAULT if name in has and name not in settings]
    sought = {name: RANGES[name] for name in free} | dict(ranges)
    if not sought:
        raise InputError(
            f"nothing to search: {loss} has no free {named(BY_DEFAULT)}; name another "
            "hyper-parameter, such as --range q=0.1:1, or --range delta"
        )
    return sought
