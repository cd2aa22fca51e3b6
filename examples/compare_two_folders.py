"""Compare the predictions of two methods with the same references, and write the report.

python examples/compare_two_folders.py REFERENCES PREDICTIONS_A PREDICTIONS_B REPORT
"""

import sys
from pathlib import Path

from anl_seg.evaluation import evaluate_folders, summarize
from anl_seg.evaluation.conclusions import conclude
from anl_seg.evaluation.reports.comparison import compare_folders


def main() -> None:
    """Evaluate each folder, then compare the two case by case."""
    references, first, second, report = map(Path, sys.argv[1:])
    for folder in (first, second):
        summary = summarize(evaluate_folders(folder, references))
        print(f"{folder.name}: mean Dice {summary.foreground_mean['Dice']:.3f}")
    methods = {first.name: [first], second.name: [second]}
    comparison = compare_folders(methods, references, report)
    print(*conclude(comparison).lines, sep="\n")
    print(f"report: {report.name}/comparison.html")


if __name__ == "__main__":  # processes that draw the report import this file
    main()
