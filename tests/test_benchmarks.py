"""The shared pieces of the benchmarks, and that their README names every script and table."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
COMMON = runpy.run_path(str(BENCHMARKS / "common.py"))


def test_sides_take_turns():
    order = []
    sides = {name: lambda name=name: order.append(name) or len(order) for name in "abc"}
    assert COMMON["take_turns"](sides, 2) == {"a": [1, 4], "b": [2, 5], "c": [3, 6]}
    assert order == list("abcabc")


def test_shuffled_turns_hold_every_side_once_a_repetition():
    order = []
    sides = {name: lambda name=name: order.append(name) for name in "abcdef"}
    COMMON["take_turns"](sides, 3, shuffled=True)
    rounds = [order[i : i + 6] for i in range(0, 18, 6)]
    assert all(sorted(each) == list("abcdef") for each in rounds)
    assert rounds[0] != rounds[1]


def test_conditions_say_what_was_measured_where():
    text = COMMON["conditions"]("numpy", threads=1)
    assert re.search(r", 1 thread; python [\d.]+, numpy [\d.]+; \d{4}-\d\d-\d\d; load [\d.]+", text)


def test_the_readme_names_all():
    text = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    names = [path.name for path in BENCHMARKS.iterdir() if path.suffix in (".py", ".md")]
    assert len(names) > 10
    assert [name for name in names if name not in text and name != "README.md"] == []


def test_runs_are_grouped_by_regime_and_known_noise(tmp_path):
    changes = {
        "known": {},
        "other noise": {"eta_alpha": 0.4},
        "larger": {"size": 128},
        "other size": {"size": 32},
    }
    for name, changed in changes.items():
        settings = {"loss": "dice+ce", "eta_alpha": 0.7, "noise_method": "published", "size": 64}
        settings |= {
            "seed": 1,
            "ema": 0.0,
            "warmup": 0.0,
            "correct_labels": False,
            "n_training": 250,
        }
        settings |= {"protocol": "nnunet"} | changed
        record = {"status": "done", "settings": settings, "metrics": {}}
        (tmp_path / name).mkdir()
        (tmp_path / name / "record.json").write_text(json.dumps(record))
    script = runpy.run_path(str(BENCHMARKS / "isic2017.py"))
    trainings = script["read"](tmp_path)
    names = {
        regime: [
            (noise, method, [each.folder.name for each in methods[method]])
            for noise, methods in script["group"](trainings, settings).items()
            for method in methods
        ]
        for regime, settings in script["REGIMES"].items()
    }
    first, second, *others = names.values()
    assert first == [("0.7/0.7", script["BASELINE"], ["known"])]
    assert second == [("0.7/0.7", script["BASELINE"], ["larger"])]
    assert not any(others)


def test_a_row_of_the_table_of_demos(tmp_path):
    log = tmp_path / "nnunet/nnUNet_results/Dataset502_X/T__anl_seg__2d/fold_0/training_log_1.txt"
    log.parent.mkdir(parents=True)
    (tmp_path / "report").mkdir()
    report = {
        "baseline": "nnU-Net",
        "means": {"1 lesion": {"nnU-Net": {"mean": 0.7}, "anl-seg": {"mean": 0.75}}},
        "differences": [
            {
                "method": "anl-seg",
                "target": "1 lesion",
                "mean": 0.05,
                "interval": [0.02, 0.08],
            }
        ],
    }
    (tmp_path / "report/comparison.json").write_text(json.dumps(report))
    (tmp_path / "demo.json").write_text(json.dumps({"data": "/some/where/sample", "seed": 2}))
    log.write_text("epoch 1")
    row = runpy.run_path(str(BENCHMARKS / "demos.py"))["row"]
    assert row(tmp_path) == "| sample | 2 | 70.0 | 75.0 | +5.0 (2.0 to 8.0) | no |"
    log.write_text("2026: anl-seg: 4.6% of the pixels have changed; the new labels are in x")
    assert row(tmp_path).endswith("| 4.6 % of the pixels |")
