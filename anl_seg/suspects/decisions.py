"""A person's decisions on suspects: the file `decisions.csv`."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path

from anl_seg.errors import InputError, listed, named
from anl_seg.formats.text import read_text

FINE, WRONG, UNSURE = "fine", "wrong", "unsure"
DECISIONS = (FINE, WRONG, UNSURE)


def read_decisions(path: Path, cases: Collection[str]) -> dict[str, str]:
    """Read the decision on each case.

    Args:
        path: A CSV file with the columns `case` and `decision`.
        cases: All cases of the data set.

    Returns:
        Case -> "fine", "wrong" or "unsure"; cases without a decision are absent.

    Raises:
        InputError: If the file has no such columns, a case is unknown or occurs twice, or a
            decision is missing or another word. The message names all of them.
    """
    rows = csv.DictReader(read_text(path).splitlines())
    if not {"case", "decision"} <= set(rows.fieldnames or ()):
        raise InputError(
            f"{path}: has the columns {', '.join(rows.fieldnames or ()) or 'of an empty file'}, "
            "expected case and decision; download decisions.csv from the gallery"
        )
    found: dict[str, str] = {}
    problems: list[str] = []
    for row in rows:
        case, decision = row["case"] or "", (row["decision"] or "").strip().lower()
        if not case:
            problems.append(f"{path}: line {rows.line_num}: names no case")
        if decision not in DECISIONS:
            problems.append(
                f"{path}: line {rows.line_num}: decision {decision!r}, expected one of "
                f"{', '.join(DECISIONS)}"
            )
        if case in found:
            problems.append(f"{path}: line {rows.line_num}: case {case} occurs twice; keep one row")
        found[case] = decision
    if problems:
        raise InputError(listed(problems))
    if unknown := sorted(set(found) - set(cases)):
        raise InputError(
            f"{path}: {len(unknown)} of {len(found)} cases are not in the data set: "
            f"{named(unknown)}; are the decisions of another data set?"
        )
    return found
