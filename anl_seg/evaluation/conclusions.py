"""A comparison in words: one sentence of conclusion, the seed spread, and warnings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from anl_seg.evaluation.compare import Difference, Method, MethodComparison

#: Level of the tests, the counterpart of the 95 % intervals.
LEVEL = 0.05
#: With fewer pairs than this no outcome of the signed-rank test reaches the level.
FEWEST_PAIRS = 6
#: Trainings whose means are listed one by one. Of more, only the range is given.
MOST_LISTED = 5


@dataclass(frozen=True)
class DisplayUnit:
    """Unit in which a comparison prints all values of its metric.

    Attributes:
        factor: Printed value over computed value.
        title: The metric with its unit, as in "Dice (%)".
        difference: Unit of a difference in words.
        digits: Decimals of means. Differences have one more.
    """

    factor: float
    title: str
    difference: str
    digits: int

    def mean(self, value: float) -> str:
        """Print a value or a mean; a dash if it is undefined."""
        return "–" if math.isnan(value) else f"{self.factor * value:.{self.digits}f}"

    def change(self, value: float) -> str:
        """Print a difference; a dash if it is undefined."""
        return "–" if math.isnan(value) else f"{self.factor * value:.{self.digits + 1}f}"

    def change_span(self, interval: tuple[float, float]) -> str:
        """Print an interval of differences; a dash if it is undefined."""
        return "–" if any(map(math.isnan, interval)) else " to ".join(map(self.change, interval))


@dataclass(frozen=True)
class Conclusion:
    """A comparison in words.

    Attributes:
        sentence: Which methods differ from the baseline, and by how much.
        remarks: Why interval and test disagree, if they do, and the seed spread.
        warnings: Limits of the comparison.
    """

    sentence: str
    remarks: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it, a line each."""
        return (self.sentence, *self.remarks, *(f"Warning: {line}" for line in self.warnings))


def display_unit(comparison: MethodComparison) -> DisplayUnit:
    """Choose the unit of a comparison: per cent, or the unit of lengths."""
    conventions = comparison.methods[0].groups[0].conventions
    title = conventions.title(comparison.metric.name)
    if comparison.metric.is_length:
        return DisplayUnit(1, title, conventions.unit, 2)
    return DisplayUnit(100, f"{title} (%)", "percentage points", 1)


def conclude(comparison: MethodComparison) -> Conclusion:
    """Put a comparison into words, by the foreground or the only class.

    A method counts as better or worse if the 95 % interval of the mean difference excludes 0 and
    Holm's p of the signed-rank test is below 0.05. The interval is the one over cases and trainings
    if any method has several trainings.

    Args:
        comparison: At least two methods.

    Returns:
        One sentence, with remarks and warnings.

    Examples:
        >>> comparison = compare_folders(...)  # doctest: +SKIP
        >>> for line in conclude(comparison).lines:  # doctest: +SKIP
        ...     print(line)
    """
    target = comparison.targets[0]
    rows = [row for row in comparison.differences if row.target == target]
    unit = display_unit(comparison)
    clauses = [_clause(row, comparison, unit) for row in rows]
    remarks = [remark for row in rows if (remark := _disagreement(row))]
    if spread := _seed_spread(comparison, unit):
        remarks.append(spread)
    return Conclusion("; ".join(clauses) + ".", tuple(remarks), tuple(_warnings(comparison)))


def deciding_interval(row: Difference) -> tuple[float, float]:
    """Return the interval that decides a conclusion: over cases and trainings if there is one."""
    return row.group_interval or row.interval


def _clause(row: Difference, comparison: MethodComparison, unit: DisplayUnit) -> str:
    baseline, metric = comparison.baseline, comparison.metric.name
    if not row.n:
        return f"{row.method} and {baseline} cannot be compared, {metric} is defined in no case"
    figures = (
        f"mean difference {unit.change(row.mean)} {unit.difference} of {metric}, "
        f"95 % CI {unit.change_span(deciding_interval(row))}, {_p(row.p_holm)}, "
        f"{row.n} case{'s' * (row.n != 1)}"
    )
    if not (_excludes_zero(row) and row.p_holm < LEVEL):
        if not _excludes_zero(row) and not row.p_holm < LEVEL:
            return f"There is no evidence that {row.method} and {baseline} differ ({figures})"
        return f"It is unclear whether {row.method} and {baseline} differ ({figures})"
    word = {True: "better", False: "worse", None: "different"}[_is_better(row, comparison)]
    joint = "from" if word == "different" else "than"
    return f"{row.method} is {word} {joint} {baseline} on these cases ({figures})"


def _is_better(row: Difference, comparison: MethodComparison) -> bool | None:
    """Whether a method is better; None if its mean cannot tell, nearest to 0 being best."""
    if comparison.metric.higher_is_better is None:
        return None
    return (row.mean > 0) == comparison.metric.higher_is_better


def _disagreement(row: Difference) -> str:
    """Why the interval and the test of one method do not agree, if they do not."""
    if not row.n or _excludes_zero(row) == (row.p_holm < LEVEL):
        return ""
    begin = f"{row.method}: the interval and the test disagree. "
    if _excludes_zero(row) and row.n < FEWEST_PAIRS:
        return begin + f"With {row.n} cases no signed-rank test can give p < {LEVEL}."
    if _excludes_zero(row) and row.p < LEVEL:
        return begin + (
            f"p alone is {row.p:.3f}, but Holm's correction raises it to {row.p_holm:.3f}, because "
            "several methods are tested; the interval is not corrected."
        )
    if (
        not _excludes_zero(row)
        and row.group_interval
        and not row.interval[0] <= 0 <= row.interval[1]
    ):
        return begin + (
            "The test takes the trained networks as they are; the interval also asks whether new "
            "trainings would differ."
        )
    return begin + (
        "The interval is of the mean, which a few cases with large differences can move; the "
        "signed-rank test weighs how many cases changed, and in which order of size."
    )


def _excludes_zero(row: Difference) -> bool:
    low, high = deciding_interval(row)
    return low > 0 or high < 0


def _seed_spread(comparison: MethodComparison, unit: DisplayUnit) -> str:
    """Means of the trainings of each method that has several."""
    spreads = []
    for name, mean in comparison.means[comparison.targets[0]].items():
        known = [value for value in mean.groups if not math.isnan(value)]
        if len(known) > MOST_LISTED:
            spreads.append(f"{name} {unit.mean(min(known))} to {unit.mean(max(known))}")
        elif len(known) > 1:
            spreads.append(f"{name} {', '.join(map(unit.mean, known))}")
    if not spreads:
        return ""
    return f"Spread over trainings, {unit.title} of each: {'; '.join(spreads)}."


def _warnings(comparison: MethodComparison) -> list[str]:
    once = [method for method in comparison.methods if method.trainings_per_case == 1]
    if not once:
        return []
    if len(once) == len(comparison.methods):
        who = "each method has"
    else:
        who = f"{_joined(once)} ha{'s' if len(once) == 1 else 've'}"
    return [
        f"{who} a single training for each case, so the differences between seeds are unknown. "
        "Another seed may change the conclusion; train with several seeds and give all folders of "
        "a method under one name."
    ]


def _joined(methods: list[Method]) -> str:
    return " and ".join(method.name for method in methods)


def _p(p: float) -> str:
    if math.isnan(p):
        return "p undefined"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
