"""Tables and curves of `isic2017_gpu.py`, with the paper's figures beside ours.

    python benchmarks/isic2017_gpu_tables.py RUNS

The output is tables.md, runs.csv and, for each schedule, memorisation_1.png or memorisation_2.png
in results/isic2017_gpu. Dice is the mean over the last ten epochs. Differences are paired by test
image.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from anl_seg.evaluation.paired import group_interval
from anl_seg.formats.files import write_text
from anl_seg.paper.tables import published
from common import wrapped
from isic2017_gpu import BASELINE, DEFAULT, FOLD_BASELINE, LAST, METHODS, NOISE, PAPER, SCHEDULES

RESULTS = Path(__file__).parents[1] / "results/isic2017_gpu"
NOISES = (*NOISE, "clean")
COLOURS = {
    BASELINE: "#D55E00",
    FOLD_BASELINE: "#E69F00",
    DEFAULT: "#0072B2",
    "ce": "#999999",
    "anl-ce (5, 5)": "#009E73",
}

#: Trainings of a schedule with one noise, by method, in the order of the seeds.
Trained = Mapping[str, Sequence[Mapping[str, Any]]]


def read(runs: Path, schedule: str, noise: str) -> Trained:
    """Read the finished trainings in the order of `METHODS`."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(runs.glob("*.json"))]
    chosen = [each for each in records if (each["schedule"], each["noise"]) == (schedule, noise)]
    found = {
        method: sorted(
            (each for each in chosen if each["method"] == method), key=lambda each: each["seed"]
        )
        for method in METHODS
    }
    return {method: trained for method, trained in found.items() if trained}


def last_dice(trained: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Compute the mean Dice over the last epochs in per cent, `(seeds, test images)`."""
    return 100 * np.stack([np.mean(each["test"][-LAST:], axis=0) for each in trained])


def row(noise: str, method: str, trained: Trained, baseline: str) -> str:
    """Format a line of the table."""
    own, values = trained[method], last_dice(trained[method])
    means = values.mean(1)
    seeds = [each["seed"] for each in own]
    difference = ""
    if method != baseline and baseline in trained:
        common = [each for each in trained[baseline] if each["seed"] in seeds]
        paired = last_dice(common)
        same = values[[seeds.index(each["seed"]) for each in common]]
        low, high = group_interval(same, paired, seed=0)
        difference = f"{same.mean() - paired.mean():+.1f} ({low:.1f} to {high:.1f})"
    wrong = np.mean([each["curve"][-1]["memorised"] for each in own])
    cells = [
        noise,
        method,
        ", ".join(map(str, seeds)),
        f"{means.mean():.1f}" + (f"±{means.std(ddof=1):.1f}" if len(means) > 1 else ""),
        difference,
        f"{100 * np.mean([each['final'] for each in own]):.1f}",
        f"{np.mean([each['area'] for each in own]):.2f}",
        "" if np.isnan(wrong) else f"{wrong:.0%}",
        ", ".join(str(each["corrected in"] or "never") for each in own)
        if METHODS[method].corrected
        else "",
        _published(own[0]),
    ]
    return f"| {' | '.join(cells)} |"


def _published(record: Mapping[str, Any]) -> str:
    """Return the figure of the paper's Table VI, if it has this training."""
    method, noise = METHODS[record["method"]], record["noise"]
    column = "0.0" if noise == "clean" else noise
    for cell in published(6) if record["schedule"] == PAPER and not method.corrected else ():
        if (cell.loss, cell.column) == (method.loss, column):
            return f"{cell.mean:.1f}±{cell.std:.1f}"
    return ""


def table(runs: Path, schedule: str) -> str:
    """Format the trainings of a schedule in Markdown."""
    lines = [
        "| masks | training | seeds | test Dice (%) | difference (95 % interval) "
        "| mirrored, after the last epoch | predicted / true area | wrong pixels memorised "
        "| corrected after epoch | paper |",
        "|---" * 10 + "|",
    ]
    for noise in NOISES:
        trained = read(runs, schedule, noise)
        for method in trained:
            baseline = FOLD_BASELINE if METHODS[method].fold else BASELINE
            lines.append(row(noise, method, trained, baseline))
    return "\n".join(lines) if len(lines) > 2 else ""


def draw(runs: Path, schedule: str, file: Path) -> None:
    """Draw the share of wrong pixels that is memorised, and the Dice of the test images."""
    noises = [noise for noise in NOISES if read(runs, schedule, noise)]
    rows = {"memorised": "wrong pixels memorised", "test": "Dice, test images"}
    figure = Figure(figsize=(2.9 * len(noises), 5), layout="constrained")
    panels = figure.subplots(len(rows), len(noises), sharex=True, sharey="row", squeeze=False)
    for column, noise in zip(panels.T, noises, strict=True):
        column[0].set_title(noise, fontsize=9)
        column[-1].set_xlabel("epoch", fontsize=8)
        trained = read(runs, schedule, noise)
        for panel, key in zip(column, rows, strict=True):
            panel.spines[["top", "right"]].set_visible(False)
            for method, colour in COLOURS.items():
                for number, each in enumerate(trained.get(method, ())):
                    values = [point[key] for point in each["curve"]]
                    label = None if number else method
                    epochs = range(1, len(values) + 1)
                    panel.plot(epochs, values, color=colour, lw=1.3, label=label)
            panel.set_visible(
                bool(np.isfinite([y for x in panel.lines for y in x.get_ydata()]).any())
            )
    for panel, label in zip(panels[:, 0], rows.values(), strict=True):
        panel.set_ylabel(label, fontsize=8)
    panels[-1, 0].legend(frameon=False, fontsize=7, loc="lower right")
    figure.savefig(file, dpi=150)


def write_runs(runs: Path, file: Path) -> None:
    """Write a line for each training, without its curves."""
    names = ("schedule", "noise", "method", "seed", "corrected in", "area", "seconds", "conditions")
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*names, "test Dice, last epochs", "test Dice, mirrored"])
        for path in sorted(runs.glob("*.json")):
            record = json.loads(path.read_text(encoding="utf-8"))
            means = last_dice([record]).mean() / 100, np.mean(record["final"])
            writer.writerow([*(record[name] for name in names), *(f"{mean:.4f}" for mean in means)])


def main() -> None:
    """Read the trainings and write the tables, the curves and the CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    runs = parser.parse_args().runs
    RESULTS.mkdir(exist_ok=True)
    parts = ["# ISIC-2017 on a GPU: all tables", ""]
    parts += ["Written by `python benchmarks/isic2017_gpu_tables.py`; README.md explains them.", ""]
    for number, schedule in enumerate(SCHEDULES):
        if found := table(runs, schedule):
            parts += [f"## Trainings with {schedule}", "", found, ""]
            draw(runs, schedule, RESULTS / f"memorisation_{number + 1}.png")
    write_text(RESULTS / "tables.md", wrapped("\n".join(parts)))
    write_runs(runs, RESULTS / "runs.csv")
    print("\n".join(parts))


if __name__ == "__main__":
    main()
