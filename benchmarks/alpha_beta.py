"""Weights of ANL-CE for segmentation, by Dice on the real ISIC-2017 sample.

    python benchmarks/alpha_beta.py ISIC_FOLDER RUNS_FOLDER [--seeds 1 2 3] [-np 1]

ISIC_FOLDER has the challenge's layout. Finished runs in RUNS_FOLDER are kept, also those of
`anl-seg table 6 --scale small`, so a stopped search resumes. It uses nnU-Net's own commands on the
CPU, and writes the table in benchmarks/alpha_beta.md. With --report it does no runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from anl_seg.cli.standings import watching
from anl_seg.experiments.runs.executors.local import LocalExecutor
from anl_seg.experiments.runs.run import Run, make_run
from anl_seg.experiments.runs.sweep import Standing, failures, run_sweep, standings
from anl_seg.experiments.tables.layouts import SCALES
from anl_seg.formats.files import write_text
from common import wrapped

ETA = 0.7
#: nnU-Net's own protocol, with SGD. The protocol of the small table has Adam.
SGD = "nnunet"
SEARCHED: list[dict[str, Any]] = [
    {"loss": "dice+ce"},
    {"loss": "anl-ce", "loss_parameters": {"alpha": 1, "beta": 20}},
    {"loss": "anl-ce", "loss_parameters": {"alpha": 5, "beta": 5}},
    {"loss": "ce"},
    {"loss": "anl-ce", "loss_parameters": {"alpha": 10, "beta": 1}},
    {"loss": "anl-ce", "loss_parameters": {"alpha": 1, "beta": 1}},
    {"loss": "anl-ce", "loss_parameters": {"alpha": 1, "beta": 20, "p_min": 1e-3}},
    {"loss": "anl-ce", "loss_parameters": {"alpha": 1, "beta": 20}, "dice_weight": 1},
    {"loss": "anl-ce", "loss_parameters": {"alpha": 1, "beta": 20}, "protocol": SGD},
    {"loss": "anl-ce", "loss_parameters": {"alpha": 5, "beta": 5}, "protocol": SGD},
    {
        "loss": "anl-ce",
        "loss_parameters": {"alpha": 5, "beta": 5},
        "dice_weight": 1,
        "protocol": SGD,
    },
]


def runs(source: Path, seeds: Sequence[int]) -> list[Run]:
    """Make all runs of the search."""
    common = {**SCALES[6]["small"].settings, "data": str(source)}
    noise = {"eta_alpha": ETA, "eta_beta": ETA}
    return [
        make_run("segmentation", {**common, **noise, **searched, "seed": seed})
        for searched in SEARCHED
        for seed in seeds
    ]


def name(standing: Standing) -> str:
    """Return the name of the loss with its hyper-parameters."""
    settings = standing.record.settings
    values = dict(settings["loss_parameters"])
    if settings["dice_weight"]:
        values["Dice"] = settings["dice_weight"]
    words = [f"{key} {value:g}" for key, value in values.items()]
    return ", ".join([settings["loss"], *words, *(["SGD"] if settings["protocol"] == SGD else [])])


def area(standing: Standing) -> float:
    """Return the mean ratio of the predicted to the clean area of the training images."""
    (summary,) = standing.folder.rglob("validation/summary_clean.json")
    cases = [each["metrics"]["1"] for each in json.loads(summary.read_text())["metric_per_case"]]
    return statistics.mean((x["TP"] + x["FP"]) / (x["TP"] + x["FN"]) for x in cases)


def table(found: Sequence[Standing], seeds: Sequence[int]) -> str:
    """Format the results as Markdown, best first."""
    dice, areas = defaultdict(list), defaultdict(list)
    for standing in found:
        if "test_dice" in standing.record.metrics:
            dice[name(standing)].append(standing.record.metrics["test_dice"])
            areas[name(standing)].append(area(standing))
    small = SCALES[6]["small"].settings
    lines = [
        "# Weights of ANL-CE for segmentation",
        "",
        "Written by `python benchmarks/alpha_beta.py`; do not edit. A small run: the real ISIC "
        f"sample, 48 training and 16 test pairs, {small['size']} x {small['size']} pixels, "
        f"training masks corrupted with eta_alpha {ETA} and eta_beta {ETA}, "
        f"{small['epochs'] * small['iterations']} steps of batch 16 with a network of `--small` "
        f"under the protocol {small['protocol']} (Adam), or where it says so nnU-Net's own (SGD), "
        f"seeds {', '.join(map(str, seeds))}, mean Dice over the last 10 epochs. "
        "Area is the foreground predicted on the training images over that of their clean masks. "
        f"nnU-Net {version('nnunetv2')}, torch {version('torch')}, CPU, "
        f"{date.today().isoformat()}.",
        "",
        "| loss | mean Dice | standard deviation | each seed | area |",
        "|---|---|---|---|---|",
    ]
    for loss, values in sorted(dice.items(), key=lambda item: -statistics.mean(item[1])):
        spread = f"{statistics.stdev(values):.3f}" if len(values) > 1 else "-"
        each = ", ".join(f"{value:.3f}" for value in values)
        size = statistics.mean(areas[loss])
        lines.append(f"| {loss} | {statistics.mean(values):.3f} | {spread} | {each} | {size:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the search and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("-np", "--num-processes", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="do no runs")
    arguments = parser.parse_args()
    todo = runs(arguments.source, arguments.seeds)
    if arguments.report:
        found = standings(arguments.folder / run.id for run in todo)
    else:
        with watching(arguments.num_processes) as watch:
            found = run_sweep(
                arguments.folder, todo, LocalExecutor(arguments.num_processes), watch=watch
            )
        print(failures(found))
    write_text(Path(__file__).with_suffix(".md"), wrapped(table(found, arguments.seeds)))


if __name__ == "__main__":
    main()
