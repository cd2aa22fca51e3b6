"""Search for rows and columns of the paper's tables by their typed names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from anl_seg import losses
from anl_seg.errors import InputError
from anl_seg.paper import HyperParameters, PublishedCell
from anl_seg.trainers.settings import NNUNET_LOSS


def choose_rows(
    cells: Iterable[PublishedCell | HyperParameters], asked: Sequence[str]
) -> dict[str, str]:
    """Find the requested rows, or all rows of a table.

    Args:
        cells: Cells of the table.
        asked: Requested names, ours or as printed. A loss that the table lacks becomes a new row.

    Returns:
        Printed names by our name of the loss.

    Raises:
        InputError: If a loss is unknown.
    """
    printed = {cell.loss: cell.printed for cell in cells}
    if not asked:
        return printed
    known = {name: loss for loss in (*losses.names(), NNUNET_LOSS) for name in [_plain(loss)]}
    known |= {_plain(name): loss for loss, name in printed.items()}
    chosen = [_find(name, known, "row", [*printed, "or any other loss"]) for name in asked]
    return {loss: printed.get(loss, loss) for loss in chosen}


def choose_columns(
    cells: Iterable[PublishedCell | HyperParameters], asked: Sequence[str]
) -> list[str]:
    """Find the requested columns, each once, or all columns of a table, by their printed names.

    Raises:
        InputError: If a column is unknown.
    """
    columns = list(dict.fromkeys(cell.column for cell in cells))
    known = {_plain(column): column for column in columns}
    chosen = [_find(name, known, "column", columns) for name in asked]
    return list(dict.fromkeys(chosen)) or columns


def _find(name: str, known: Mapping[str, str], kind: str, valid: Sequence[str]) -> str:
    if _plain(name) not in known:
        raise InputError(f"unknown {kind} {name!r}; choose from {', '.join(valid)}")
    return known[_plain(name)]


def _plain(name: str) -> str:
    """Normalise spellings: "ANL_CE" becomes "anl-ce", and "0.70, .7" becomes "0.7/0.7"."""
    parts = re.findall(r"[a-z*]+|\d*\.?\d+", name.lower())
    return "".join(f" {float(part):g}" if part[-1].isdigit() else part for part in parts)
