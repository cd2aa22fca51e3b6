"""Weights of ANL-CE for segmentation, by Dice on the real ISIC-2017 sample.

    python benchmarks/alpha_beta.py ISIC_FOLDER WORK_FOLDER [--seeds 1 2 3]

ISIC_FOLDER has the challenge's layout. Finished runs in WORK_FOLDER are kept, so a stopped search
goes on; the table in benchmarks/alpha_beta.md holds all finished runs. CPU, nnU-Net's own commands.
"""

from __future__ import annotations

import argparse
import json
import statistics
from datetime import date
from importlib.metadata import version
from pathlib import Path

from anl_seg.datasets import isic2017
from anl_seg.evaluation import evaluate_folders, write_results
from anl_seg.experiments.nnunet import NnUNet
from anl_seg.files import write_text
from anl_seg.noise import corrupt_masks
from anl_seg.trainers.plans import write_plans
from anl_seg.trainers.settings import Settings

SIZE, EPOCHS, ITERATIONS, ETA = 64, 8, 50, 0.7
CLEAN, NOISY_ID, NOISY = "Dataset501_Clean", 502, "Dataset502_Noisy"
SEARCHED: list[tuple[str, dict[str, float]]] = [
    ("dice+ce", {}),
    ("anl-ce", {"alpha": 1, "beta": 20}),
    ("anl-ce", {"alpha": 5, "beta": 5}),
    ("ce", {}),
    ("anl-ce", {"alpha": 1, "beta": 10}),
    ("anl-ce", {"alpha": 1, "beta": 1}),
    ("anl-ce", {"alpha": 10, "beta": 1}),
]


def prepare(nnunet: NnUNet, source: Path) -> None:
    """Make the clean and the noisy data set and preprocess the noisy one, unless that was done."""
    clean, noisy = nnunet.raw / CLEAN, nnunet.raw / NOISY
    if not clean.exists():
        isic2017.convert(source, clean, size=SIZE)
    if not (nnunet.preprocessed / NOISY / "nnUNetPlans.json").exists():
        corrupt_masks(clean, noisy, eta_alpha=ETA, eta_beta=ETA, seed=1, overwrite=True)
        nnunet.preprocess(NOISY_ID)


def run(nnunet: NnUNet, loss: str, weights: dict[str, float], seed: int) -> float:
    """Train and predict once, unless that was done, and return the mean Dice on the test images."""
    name = "_".join([loss.replace("+", "_"), *(f"{value:g}" for value in weights.values())])
    plans = f"{name}_seed{seed}"
    result = nnunet.root / "results" / plans / "summary.json"
    if not result.exists():
        settings = Settings(loss, weights, epochs=EPOCHS, iterations=ITERATIONS, seed=seed)
        write_plans(nnunet.preprocessed / NOISY, "nnUNetPlans", plans, settings, small=True)
        list(nnunet.train(NOISY_ID, plans))
        predictions = nnunet.root / "predictions" / plans
        list(nnunet.predict(NOISY_ID, plans, nnunet.raw / CLEAN / "imagesTs", predictions))
        write_results(evaluate_folders(predictions, nnunet.raw / CLEAN / "labelsTs"), result.parent)
    dice: float = json.loads(result.read_text(encoding="utf-8"))["foreground_mean"]["Dice"]
    return dice


def table(found: dict[str, list[float]], seeds: list[int]) -> str:
    """Write what was found so far as Markdown, best first."""
    lines = [
        "# Weights of ANL-CE for segmentation",
        "",
        "Written by `python benchmarks/alpha_beta.py`; do not edit. A small run: the real ISIC "
        f"sample, 48 training and 16 test pairs, {SIZE} x {SIZE} pixels, training masks corrupted "
        f"with eta_alpha {ETA} and eta_beta {ETA}, {EPOCHS * ITERATIONS} steps of batch 8 with a "
        f"network of `--small`, seeds {', '.join(map(str, seeds))}. nnU-Net {version('nnunetv2')}, "
        f"torch {version('torch')}, CPU, {date.today().isoformat()}.",
        "",
        "| loss | mean Dice | standard deviation | each seed |",
        "|---|---|---|---|",
    ]
    for name, dice in sorted(found.items(), key=lambda item: -statistics.mean(item[1])):
        spread = f"{statistics.stdev(dice):.3f}" if len(dice) > 1 else "-"
        each = ", ".join(f"{value:.3f}" for value in dice)
        lines.append(f"| {name} | {statistics.mean(dice):.3f} | {spread} | {each} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the search, and write the table anew after every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    arguments = parser.parse_args()
    nnunet = NnUNet(arguments.work, "cpu")
    prepare(nnunet, arguments.source)
    found: dict[str, list[float]] = {}
    for loss, weights in SEARCHED:
        name = ", ".join([loss, *(f"{key} {value:g}" for key, value in weights.items())])
        for seed in arguments.seeds:
            found.setdefault(name, []).append(run(nnunet, loss, weights, seed))
            print(name, f"seed {seed}: Dice {found[name][-1]:.3f}", flush=True)
            write_text(Path(__file__).with_suffix(".md"), table(found, arguments.seeds))


if __name__ == "__main__":
    main()
