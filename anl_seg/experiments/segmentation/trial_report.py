"""What a trial on a user's own data shows: sentences, one HTML page, and a JSON file."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from anl_seg.evaluation.compare import Difference, MethodComparison
from anl_seg.evaluation.conclusions import conclude, display_unit, is_shown
from anl_seg.evaluation.reports.comparison import comparison_plots, write_comparison
from anl_seg.evaluation.reports.comparison_tables import comparison_grids
from anl_seg.evaluation.reports.page import in_words, render
from anl_seg.formats.files import write_json, write_text
from anl_seg.progress import Track, untracked
from anl_seg.provenance import git_state, versions
from anl_seg.suspects.estimate import Estimate
from anl_seg.trainers.timing import Timing

#: Version of advice.json; raised when a key changes its meaning.
SCHEMA = 1
PAGE_NAME, JSON_NAME = "advice.html", "advice.json"
#: Names of the comparisons, and of their folders, which show every case.
GIVEN, CLEAN = "given", "clean"
FOLDERS = {GIVEN: "comparison", CLEAN: "comparison_clean"}
#: Without clean masks, the trial decides only if at most this part of the masks is probably wrong.
FEW_WRONG = 0.1
MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Trial:
    """What was trained.

    Attributes:
        dataset: Name of the data set.
        plans: The user's plans, which the small ones were made from.
        configuration: Such as "2d".
        folds: Folds of the trial.
        epochs: Epochs of each training.
        iterations: Training steps in an epoch.
        seed: Seed of all trainings.
        device: "cpu", "cuda" or "mps".
        precision: Precision of the networks: "float32", "float16" or "bf16".
        planned_patch: Patch of the user's plans in pixels.
        patch: Patch of the trial in pixels. It covers the same part of an image.
        corrected: Number of folds in which our trainer corrected labels.
    """

    dataset: str
    plans: str
    configuration: str
    folds: tuple[int, ...]
    epochs: int
    iterations: int
    seed: int
    device: str
    precision: str
    planned_patch: tuple[int, ...]
    patch: tuple[int, ...]
    corrected: int

    @property
    def in_words(self) -> str:
        """Describe the trial in two sentences."""
        folds = f"{len(self.folds)} fold{'s' * (len(self.folds) != 1)}"
        return (
            "Small networks were trained with nnU-Net's own loss (nnU-Net) and our trainer "
            f"(anl-seg) on {folds}, for {self.epochs} epochs of {self.iterations} steps, "
            f"seed {self.seed}, {self.precision}, on {self.device}. A patch has "
            f"{_by(self.patch)} pixels, and {_by(self.planned_patch)} in {self.plans}."
        )


@dataclass(frozen=True)
class Advice:
    """All that a trial found.

    Attributes:
        trial: What was trained.
        given: Both methods against the given masks, on the validation cases of each fold. Our
            trainer chooses the epoch of its correction by the same cases and masks.
        clean: Comparison against the clean masks. None if these are not known.
        estimate: How many masks are probably wrong.
        timing: Duration of the full training, or why it could not be measured.
        images: Folder of the images for the pictures of the cases, if any.
    """

    trial: Trial
    given: MethodComparison
    clean: MethodComparison | None
    estimate: Estimate
    timing: Timing | str
    images: Path | None = None

    @property
    def decisive(self) -> MethodComparison:
        """The comparison that counts: against clean masks if they are known."""
        return self.clean or self.given

    @property
    def recommendation(self) -> str:
        """Say which training the trial speaks for, if any."""
        if self.clean is None and not self._few_wrong:
            return f"The trial cannot decide: no clean masks are known, and {self._doubt}."
        row = _row(self.decisive)
        if not is_shown(row):
            return (
                "The trial gives no evidence for either loss. Both are reasonable, and nnU-Net's "
                "own trainer is the simpler choice."
            )
        if row.mean > 0:
            return "The trial speaks for our trainer: train with -tr nnUNetTrainerANL."
        return "The trial speaks for nnU-Net's own loss: train with -tr nnUNetTrainer."

    @property
    def _few_wrong(self) -> bool:
        """Whether the given masks are probably good enough to decide; False if unknown."""
        return self.estimate.high <= FEW_WRONG * self.estimate.cases

    @property
    def _doubt(self) -> str:
        """Why the given masks cannot decide."""
        estimate = self.estimate
        if estimate.reason:
            return "the number of wrong masks cannot be estimated"
        return f"up to {estimate.high:.0f} of {estimate.cases} given masks may be wrong"

    @property
    def findings(self) -> list[str]:
        """The comparisons, the number of wrong masks and the duration, a sentence each."""
        lines = [f"Against the masks as given: {conclude(self.given).sentence}"]
        if self.clean:
            lines.append(f"Against the clean masks: {conclude(self.clean).sentence}")
        return [*lines, self.estimate.in_words, self.duration]

    @property
    def warnings(self) -> list[str]:
        """The limits of the trial, in one or two sentences each."""
        if self.clean is None and self._few_wrong:
            masks = (
                "No clean masks are known. The recommendation relies on the given ones, because at "
                f"most {self.estimate.high:.0f} of {self.estimate.cases} are probably wrong."
            )
        elif self.clean is None:
            masks = (
                "The given masks may be wrong themselves, and a network that copies their errors "
                "then scores higher. Only clean masks, in a folder labelsTr_clean beside labelsTr, "
                "can decide."
            )
        else:
            masks = (
                "The given masks may be wrong themselves, so the comparison against the clean "
                "masks counts."
            )
        lines = [masks]
        n = len(self.trial.folds)
        if self.trial.corrected:
            lines.append(
                "Our trainer chose the epoch of its correction by the given masks of the same "
                "validation cases, which may favour it."
            )
        if self.trial.corrected < n:
            lines.append(
                f"Our trainer corrected labels in {self.trial.corrected} of "
                f"{n} fold{'s' * (n != 1)}. Without a "
                "correction it differs from nnU-Net's own loss in averaged weights only. Longer "
                "trainings memorise more, and are corrected more often."
            )
        lines.append(
            "The trial has one seed and small networks. A full training may come out differently."
        )
        return lines

    @property
    def duration(self) -> str:
        """Say how long the full training would take, and how that was measured."""
        name = f"{self.trial.plans}, {self.trial.configuration}"
        if isinstance(self.timing, str):
            return (
                f"The duration of the full training ({name}) could not be measured: {self.timing}"
            )
        timing = self.timing
        return (
            f"The full training of one fold ({name}) would take about "
            f"{time_in_words(timing.total)} on this machine ({self.trial.device}): "
            f"{timing.epochs:,} epochs of {timing.iterations} steps, {timing.train_step:.2g} s for "
            f"each, measured on {timing.steps} steps. If other programs ran "
            "meanwhile, this is an overestimate."
        )

    @property
    def lines(self) -> list[str]:
        """All of it, for a terminal."""
        return [
            *self.findings,
            self.recommendation,
            *(f"Warning: {line}" for line in self.warnings),
        ]


def time_in_words(seconds: float) -> str:
    """Print seconds in the unit that suits them.

    Examples:
        >>> time_in_words(50), time_in_words(4000), time_in_words(300000)
        ('1 minute', '67 minutes', '3.5 days')
    """
    if seconds < 2 * HOUR:
        minutes = max(1, round(seconds / MINUTE))
        return f"{minutes} minute{'s' * (minutes != 1)}"
    if seconds < 2 * DAY:
        return f"{seconds / HOUR:.1f} hours"
    return f"{seconds / DAY:.1f} days"


def write_advice(
    advice: Advice, folder: Path, *, num_processes: int = 1, track: Track = untracked
) -> Path:
    """Write `advice.html`, `advice.json` and the comparisons with every case.

    Args:
        advice: What the trial found.
        folder: Gets the files. The gallery of masks is there already.
        num_processes: Processes that draw the cases.
        track: Wraps the cases to show progress.

    Returns:
        The page.
    """
    for name, comparison in _comparisons(advice).items():
        write_comparison(
            comparison,
            folder / FOLDERS[name],
            images=advice.images,
            num_processes=num_processes,
            track=track,
        )
    write_text(folder / PAGE_NAME, advice_page(advice))
    write_json(folder / JSON_NAME, _content(advice))
    return folder / PAGE_NAME


def advice_page(advice: Advice) -> str:
    """Make the HTML page."""
    shown = [
        (
            "Against the clean masks" if name == CLEAN else "Against the masks as given",
            comparison_grids(comparison),
            comparison_plots(comparison)[:2],
            f"{FOLDERS[name]}/comparison.html",
        )
        for name, comparison in reversed(_comparisons(advice).items())
    ]
    return render(
        "advice.html.jinja",
        advice=advice,
        tiles=_tiles(advice),
        comparisons=shown,
        notes=[advice.trial.in_words, *in_words(advice.given.methods[0].groups[0].conventions)],
    )


def _comparisons(advice: Advice) -> dict[str, MethodComparison]:
    """The comparisons by name."""
    return {GIVEN: advice.given} | ({CLEAN: advice.clean} if advice.clean else {})


def _tiles(advice: Advice) -> list[tuple[str, str, str]]:
    """The most important figures: what it is, the figure, what to know about it."""
    comparison = advice.decisive
    unit = display_unit(comparison)
    masks = "clean masks" if advice.clean else "masks as given"
    means = comparison.means[comparison.targets[0]]
    estimate, timing = advice.estimate, advice.timing
    wrong = (
        ("cannot tell", "")
        if math.isnan(estimate.wrong)
        else (
            f"{estimate.wrong:.0f} of {estimate.cases}",
            f"{estimate.low:.0f} to {estimate.high:.0f}",
        )
    )
    measured = isinstance(timing, Timing)
    return [
        *((f"{unit.title}, {name}", unit.mean(mean.mean), masks) for name, mean in means.items()),
        ("Wrong masks", *wrong),
        (
            "Full training of a fold",
            time_in_words(timing.total) if isinstance(timing, Timing) else "not measured",
            advice.trial.device if measured else "",
        ),
    ]


def _content(advice: Advice) -> dict[str, Any]:
    """Content of advice.json; undefined figures are null."""
    timing = advice.timing
    return {
        "schema": SCHEMA,
        "versions": versions("anl-seg", "nnunetv2", "torch", "numpy", "scipy"),
        "git": git_state(),
        "command": sys.argv,
        "trial": asdict(advice.trial),
        "comparisons": {
            name: {
                "sentence": conclude(comparison).sentence,
                "shown": is_shown(_row(comparison)),
                "difference": _without_nan(asdict(_row(comparison))),
                "cases": len(comparison.cases),
            }
            for name, comparison in _comparisons(advice).items()
        },
        "wrong_masks": _without_nan(asdict(advice.estimate)),
        "full_training": {"failed": timing}
        if isinstance(timing, str)
        else {**asdict(timing), "seconds": timing.total},
        "recommendation": advice.recommendation,
        "warnings": advice.warnings,
    }


def _row(comparison: MethodComparison) -> Difference:
    """The difference of our default, by the foreground or the only class."""
    return comparison.differences[0]


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in values.items()
    }


def _by(sides: Sequence[int]) -> str:
    return " x ".join(map(str, sides))
