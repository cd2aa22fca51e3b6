"""Tables and curves of the sweeps in results/isic2017.

    anl-seg sweep results/isic2017/few_images_long.yaml --runs RUNS
    python benchmarks/isic2017.py RUNS

Methods are compared with nnU-Net's own loss on the 300 clean test images, case by case, after
averaging over seeds. The output is tables.md, memorisation.png and runs.csv.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from anl_seg.evaluation.compare import Difference, compare, evaluate_methods
from anl_seg.experiments.runs.collect import collect, write_csv

RESULTS = Path(__file__).parents[1] / "results/isic2017"
BASELINE, DEFAULT = "nnU-Net's own loss", "our default"
#: Kinds of training by name, in the order of the tables: the settings that all runs share.
REGIMES: Mapping[str, Mapping[str, Any]] = {
    "Few images, long": {"protocol": "nnunet", "size": 64, "n_training": 250},
    "Few images, long, 128 x 128 pixels": {"protocol": "nnunet", "size": 128, "n_training": 250},
    "All images, nnU-Net's schedule": {"protocol": "nnunet", "size": 64, "n_training": None},
    "All images, the paper's schedule": {"protocol": "isic2017", "size": 64, "n_training": None},
}
#: Noises in words, by eta_alpha and method of noise, in the order of the tables.
NOISE = {
    (0.7, "published"): "0.7/0.7",
    (0.3, "published"): "0.3/0.7",
    (0.5, "corrected"): "half too large",
    (0.0, "published"): "clean",
}
#: Colours that colour-blind readers can distinguish.
COLOURS = {BASELINE: "#D55E00", DEFAULT: "#0072B2"}


@dataclass(frozen=True)
class Training:
    """One finished run.

    Attributes:
        folder: The folder of the run.
        settings: Settings of its record.
        metrics: Metrics of its record.
    """

    folder: Path
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]

    @property
    def method(self) -> str:
        """Method in words."""
        loss, settings = self.settings["loss"], self.settings
        if loss == "anl-ce" and settings["correct_labels"]:
            return DEFAULT
        if loss == "anl-ce":
            l1 = f", L1 {settings['delta']:g}" if settings["delta"] else ""
            return f"anl-ce (5, 5) alone{l1}"
        parts = {
            BASELINE if loss == "dice+ce" else f"{loss} alone": True,
            f"warm-up {settings['warmup']:g}": settings["warmup"],
            "averaged weights": settings["ema"],
            "corrected": settings["correct_labels"],
        }
        return ", ".join(part for part, used in parts.items() if used)

    @property
    def noise(self) -> str | None:
        """Noise in words; None if it is not in `NOISE`."""
        return NOISE.get((self.settings["eta_alpha"], self.settings["noise_method"]))

    def belongs_to(self, regime: Mapping[str, Any]) -> bool:
        """Return whether the settings of the regime are those of this run."""
        return all(self.settings[name] == value for name, value in regime.items())

    def test_masks(self) -> Path:
        """Return the folder of the clean test masks in the size of this run."""
        size = self.settings["size"]
        data = sorted((self.folder.parent / "data").glob(f"*-{size}px*/nnUNet_raw/Dataset501_*"))
        return data[0] / "labelsTs"

    def curve(self, key: str) -> list[float]:
        """Return a row of the memorisation curve, one value per epoch."""
        (file,) = self.folder.glob("nnUNet_results/*/*/fold_*/memorisation.jsonl")
        points = map(json.loads, file.read_text(encoding="utf-8").splitlines())
        return [np.nan if point[key] is None else point[key] for point in points]


#: Trainings by noise and method.
Grouped = dict[str, dict[str, list[Training]]]


def read(runs: Path) -> list[Training]:
    """Read the finished trainings, in the order of their seeds."""
    records = (
        (path.parent, json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(runs.glob("*/record.json"))
    )
    trainings = [
        Training(folder, record["settings"], record["metrics"])
        for folder, record in records
        if record["status"] == "done"
    ]
    return sorted(trainings, key=lambda each: each.settings["seed"])


def group(trainings: Sequence[Training], regime: Mapping[str, Any]) -> Grouped:
    """Group the trainings of a regime by noise and method.

    Trainings with a noise that is not in `NOISE` are left out, and noises without nnU-Net's own
    loss.
    """
    found: Grouped = {noise: {} for noise in NOISE.values()}
    for training in trainings:
        if training.belongs_to(regime) and training.noise is not None:
            found[training.noise].setdefault(training.method, []).append(training)
    return {noise: methods for noise, methods in found.items() if BASELINE in methods}


def differences(methods: Mapping[str, Sequence[Training]]) -> dict[str, Difference]:
    """Compute differences to nnU-Net's own loss, from the same seeds of both."""
    found = {}
    for name, trainings in methods.items():
        seeds = {each.settings["seed"] for each in trainings}
        seeds &= {each.settings["seed"] for each in methods[BASELINE]}
        if name == BASELINE or not seeds:
            continue
        folders = {
            each: [
                one.folder / "predictions" for one in methods[each] if one.settings["seed"] in seeds
            ]
            for each in (BASELINE, name)
        }
        (found[name],) = compare(evaluate_methods(folders, trainings[0].test_masks())).differences
    return found


def table(found: Grouped) -> str:
    """Format all methods in Markdown, with their differences to nnU-Net's own loss."""
    lines = [
        "| masks | training | seeds | test Dice (%) | difference (95 % interval) "
        "| predicted / true area | wrong pixels memorised |",
        "|---|---|---|---|---|---|---|",
    ]
    for noise, methods in found.items():
        compared = differences(methods)
        for name, trainings in sorted(methods.items(), key=lambda item: item[0] != BASELINE):
            dice = 100 * np.array([each.metrics["test_dice"] for each in trainings])
            area = np.mean([each.metrics["test_area"] for each in trainings])
            wrong = np.mean([each.curve("memorised")[-1] for each in trainings])
            cells = [
                noise,
                name,
                ", ".join(str(each.settings["seed"]) for each in trainings),
                f"{dice.mean():.1f}" + (f"±{dice.std(ddof=1):.1f}" if len(dice) > 1 else ""),
                _in_words(compared.get(name)),
                f"{area:.2f}",
                "" if np.isnan(wrong) else f"{wrong:.0%}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _in_words(difference: Difference | None) -> str:
    if difference is None:
        return ""
    low, high = difference.group_interval or difference.interval
    return f"{100 * difference.mean:+.1f} ({100 * low:.1f} to {100 * high:.1f})"


def draw(found: Grouped, file: Path) -> None:
    """Draw the share of wrong pixels that both trainings memorise, and the fit of clean labels."""
    rows = {"memorised": "wrong pixels memorised", "dice_clean": "Dice, clean training labels"}
    figure = Figure(figsize=(2.6 * len(found), 4.6), layout="constrained")
    panels = figure.subplots(len(rows), len(found), sharex=True, sharey="row", squeeze=False)
    for column, (noise, methods) in zip(panels.T, found.items(), strict=True):
        column[0].set_title(noise, fontsize=9)
        for panel, key in zip(column, rows, strict=True):
            for method in (BASELINE, DEFAULT):
                for number, training in enumerate(methods.get(method, [])):
                    values = training.curve(key)
                    name = None if number else method
                    epochs = range(1, len(values) + 1)
                    # The default is on top, and thinner: until it corrects, both are the same.
                    width = 3 if method == BASELINE else 1.2
                    panel.plot(epochs, values, color=COLOURS[method], lw=width, label=name)
            panel.spines[["top", "right"]].set_visible(False)
        column[-1].set_xlabel("epoch", fontsize=8)
    for panel, label in zip(panels[:, 0], rows.values(), strict=True):
        panel.set_ylabel(label, fontsize=8)
    panels[0, 0].legend(frameon=False, fontsize=8)
    figure.savefig(file, dpi=150)


def main() -> None:
    """Read the runs and write the tables, the curves and the CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    runs = parser.parse_args().runs
    trainings = read(runs)
    regimes = {name: group(trainings, regime) for name, regime in REGIMES.items()}
    if not any(regimes.values()):
        parser.error(f"{runs} has no finished run of a sweep in results/isic2017")
    sections = [f"## {name}\n\n{table(found)}" for name, found in regimes.items() if found]
    text = "\n".join(
        [
            "# ISIC-2017: all tables",
            "",
            "Written by `python benchmarks/isic2017.py`; do not edit. README.md explains them.",
            "",
            *sections,
        ]
    )
    (RESULTS / "tables.md").write_text(text, encoding="utf-8")
    draw(next(iter(regimes.values())), RESULTS / "memorisation.png")
    done = [
        row | {"data": Path(row["data"]).name} for row in collect(runs) if row["state"] == "done"
    ]
    with (RESULTS / "runs.csv").open("w", encoding="utf-8", newline="") as file:
        write_csv(done, file)
    print(text)


if __name__ == "__main__":
    main()
