"""Comparisons in words: a conclusion of one sentence, the seed spread, and warnings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from anl_seg.evaluation.compare import Difference, Method, MethodComparison

#: Significance level of the tests, the counterpart of the 95 % intervals.
LEVEL = 0.05
#: Fewest pairs with which the signed-rank test can reach the level.
FEWEST_PAIRS = 6
#: Most trainings whose means are listed one by one. Of more, only the range is given.
MOST_LISTED = 5


@dataclass(frozen=True)
class DisplayUnit:
    """Unit in which a comparison prints all values of its metric.

    Attributes:
        factor: Ratio of printed to computed value.
        title: The metric with its unit, as in "Dice (%)".
        difference: Unit of a difference in words.
        digits: Decimals of means. Differences have one more.
    """

    factor: float
    title: str
    difference: str
    digits: int

    def mean(self, value: float) -> str:
        """Format a value or a mean; a dash if it is undefined."""
        return "–" if math.isnan(value) else f"{self.factor * value:.{self.digits}f}"

    def change(self, value: float) -> str:
        """Format a difference; a dash if it is undefined."""
        return "–" if math.isnan(value) else f"{self.factor * value:.{self.digits + 1}f}"

    def change_span(self, interval: tuple[float, float]) -> str:
        """Format an interval of differences; a dash if it is undefined."""
        return "–" if any(map(math.isnan, interval)) else " to ".join(map(self.change, interval))


@dataclass(frozen=True)
class Conclusion:
    """A comparison in words.

    Attributes:
        sentence: The methods that differ from the baseline, and by how much.
        remarks: The reason if interval and test disagree, and the seed spread.
        warnings: Limits of the comparison.
    """

    sentence: str
    remarks: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """All sentences, one per line."""
        return (self.sentence, *self.remarks, *(f"Warning: {line}" for line in self.warnings))


def display_unit(comparison: MethodComparison) -> DisplayUnit:
    """Choose the unit of a comparison: per cent, or the unit of lengths."""
    conventions = comparison.methods[0].groups[0].conventions
    title = conventions.title(comparison.metric.name)
    if comparison.metric.is_length:
        return DisplayUnit(1, title, conventions.unit, 2)
    return DisplayUnit(100, f"{title} (%)", "percentage points", 1)


def conclude(comparison: MethodComparison) -> Conclusion:
    """Put a comparison into words, using the foreground or the only class.

    A method counts as better or worse if the 95 % interval of the mean difference excludes 0 and
    Holm's p of the signed-rank test is below 0.05. If any method has several trainings, the
    interval is the one over cases and trainings.

    Args:
        comparison: Comparison of at least two methods.

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
    """Return the interval that decides a conclusion: over cases and trainings if it exists."""
    return row.group_interval or row.interval


def is_shown(row: Difference) -> bool:
    """Return whether interval and test both say that a method differs from the baseline."""
    return _excludes_zero(row) and row.p_holm < LEVEL


def _clause(row: Difference, comparison: MethodComparison, unit: DisplayUnit) -> str:
    baseline, metric = comparison.baseline, comparison.metric.name
    if not row.n:
        return (
            f"{row.method} and {baseline} cannot be compared, because no case has {metric} for both"
        )
    figures = (
        f"mean difference {unit.change(row.mean)} {unit.difference} of {metric}, "
        f"95 % CI {unit.change_span(deciding_interval(row))}, {_p(row.p_holm)}, "
        f"{row.n} case{'s' * (row.n != 1)}"
    )
    if not is_shown(row):
        if not _excludes_zero(row) and not row.p_holm < LEVEL:
            return f"There is no evidence that {row.method} and {baseline} differ ({figures})"
        return f"It is unclear whether {row.method} and {baseline} differ ({figures})"
    word = {True: "better", False: "worse", None: "different"}[_is_better(row, comparison)]
    joint = "from" if word == "different" else "than"
    return f"{row.method} is {word} {joint} {baseline} on these cases ({figures})"


def _is_better(row: Difference, comparison: MethodComparison) -> bool | None:
    """Return whether a method is better; None if its mean cannot tell because 0 is best."""
    if comparison.metric.higher_is_better is None:
        return None
    return (row.mean > 0) == comparison.metric.higher_is_better


def _disagreement(row: Difference) -> str:
    """Explain why interval and test of one method disagree; "" if they agree."""
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
            "The test treats the trained networks as fixed; the interval also covers the variation "
            "between trainings."
        )
    return begin + (
        "A few cases with large differences can shift the mean and its interval; the signed-rank "
        "test uses only the signs and ranks of the differences."
    )


def _excludes_zero(row: Difference) -> bool:
    low, high = deciding_interval(row)
    return low > 0 or high < 0


def _seed_spread(comparison: MethodComparison, unit: DisplayUnit) -> str:
    """List the means of the trainings of each method that has several."""
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
