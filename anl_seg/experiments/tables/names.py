"""Find rows and columns of the paper's tables by the names that people type."""

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
    """Find the rows asked for, or all of a table's.

    Args:
        cells: Cells of the table.
        asked: Names, ours or as printed; a loss that the table lacks becomes a further row.

    Returns:
        Our name of the loss -> the name to print.

    Raises:
        InputError: If there is no such loss.
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
    """Find the columns asked for, or all of a table's, by the names that it has.

    Raises:
        InputError: If there is no such column.
    """
    columns = list(dict.fromkeys(cell.column for cell in cells))
    known = {_plain(column): column for column in columns}
    return [_find(name, known, "column", columns) for name in asked] or columns


def _find(name: str, known: Mapping[str, str], kind: str, valid: Sequence[str]) -> str:
    if _plain(name) not in known:
        raise InputError(f"there is no {kind} {name!r}; choose from {', '.join(valid)}")
    return known[_plain(name)]


def _plain(name: str) -> str:
    """Unify what people write differently: "ANL_CE" is "anl-ce", "0.70, .7" "0.7/0.7"."""
    parts = re.findall(r"[a-z*]+|\d*\.?\d+", name.lower())
    return "".join(f" {float(part):g}" if part[-1].isdigit() else part for part in parts)
