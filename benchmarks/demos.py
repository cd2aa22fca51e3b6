"""Table of finished demos.

    anl-seg demo -o DEMO1 --seed 1
    anl-seg demo -o DEMO2 --seed 2
    python benchmarks/demos.py DEMO1 DEMO2

The figures are those of each demo's own report. The output is results/demo/table.md.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

TABLE = Path(__file__).parents[1] / "results/demo/table.md"
HEAD = """# Demos

Written by `python benchmarks/demos.py`; do not edit. README.md explains it. Dice and differences
are percentage points.

| data | seed | nnU-Net's own loss | our trainer | difference (95 % interval) | labels corrected |
|---|---|---|---|---|---|
"""


def row(demo: Path) -> str:
    settings = json.loads((demo / "demo.json").read_text(encoding="utf-8"))
    report = json.loads((demo / "report/comparison.json").read_text(encoding="utf-8"))
    (difference,) = report["differences"]
    dice = report["means"][difference["target"]]
    low, high = difference["interval"]
    cells = [
        Path(settings["data"] or "phantom").name,
        str(settings["seed"]),
        *(f"{100 * dice[name]['mean']:.1f}" for name in (report["baseline"], difference["method"])),
        f"{100 * difference['mean']:+.1f} ({100 * low:.1f} to {100 * high:.1f})",
        _changed(demo),
    ]
    return f"| {' | '.join(cells)} |"


def _changed(demo: Path) -> str:
    """Return the share of changed pixels that the trainer logged."""
    logs = demo.glob("nnunet/nnUNet_results/*/*/fold_*/training_log_*.txt")
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(logs))
    found = re.findall(r"anl-seg: ([\d.]+)% of the pixels have changed", text)
    return f"{found[-1]} % of the pixels" if found else "no"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demos", type=Path, nargs="+")
    text = HEAD + "".join(f"{row(demo)}\n" for demo in parser.parse_args().demos)
    TABLE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
