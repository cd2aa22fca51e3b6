"""Reader of the CSV files in this folder, one for each table of the paper."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

#: Values of hyper-parameters that the paper tries: alpha and beta in Appendix D-A (Fig. 8), delta
#: in section VI-C (Fig. 4 and 5).
TRIED: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "alpha": (0.1, 0.5, 1.0, 5.0, 10.0),
        "beta": (0.1, 0.5, 1.0, 5.0, 10.0),
        "delta": (1e-7, 5e-7, 1e-6, 5e-6, 1e-5, 5e-5, 1e-4),
    }
)


@dataclass(frozen=True)
class PublishedCell:
    """A cell of Tables I to VII.

    Attributes:
        loss: Our name of the row's loss.
        printed: Method of the row, as printed in the table.
        column: Column, about as printed in the table.
        settings: Noise of the column: noise and eta, or eta_alpha and eta_beta.
        mean: Mean in per cent.
        std: Standard deviation over the seeds in per cent; NaN if the table has none.
    """

    loss: str
    printed: str
    column: str
    settings: Mapping[str, str | float]
    mean: float
    std: float


@dataclass(frozen=True)
class HyperParameters:
    """A cell of Table VIII, except for cells with "-".

    Attributes:
        loss: Our name of the row's loss.
        printed: Method of the row, as printed in the table.
        column: Data set.
        symbols: Symbols of the parameters in the table; empty for a loss without parameters.
        values: Values by our name of the parameter; `delta` is the paper's δ.
    """

    loss: str
    printed: str
    column: str
    symbols: tuple[str, ...]
    values: Mapping[str, float]


@cache
def published(number: int) -> tuple[PublishedCell, ...]:
    """Read Table `number`, 1 to 7, row by row. The header of its file names the source.

    Args:
        number: Number of the table, 1 to 7.

    Returns:
        The cells, row by row.

    Examples:
        >>> cell = published(6)[0]
        >>> cell.printed, cell.column, cell.mean
        ('GCE', '0.0', 82.8)
    """
    return tuple(
        PublishedCell(
            loss=row.pop("loss"),
            printed=row.pop("printed"),
            column=row.pop("column"),
            mean=float(row.pop("mean")),
            std=float(row.pop("std") or math.nan),
            settings=MappingProxyType({key: _value(text) for key, text in row.items() if text}),
        )
        for row in _rows(number)
    )


@cache
def hyper_parameters() -> tuple[HyperParameters, ...]:
    """Read Table VIII, row by row.

    Returns:
        The cells, row by row.

    Examples:
        >>> cell = hyper_parameters()[0]
        >>> cell.printed, cell.column
        ('CE', 'CIFAR-10')
    """
    cells: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in _rows(8):
        cells.setdefault((row["loss"], row["printed"], row["column"]), []).append(row)
    return tuple(
        HyperParameters(
            *names,
            symbols=tuple(row["symbol"] for row in rows if row["symbol"]),
            values=MappingProxyType(
                {row["parameter"]: float(row["value"]) for row in rows if row["parameter"]}
            ),
        )
        for names, rows in cells.items()
    )


def _rows(number: int) -> Iterator[dict[str, str]]:
    lines = files("anl_seg.paper").joinpath(f"table_{number}.csv").read_text("utf-8").splitlines()
    return csv.DictReader(line for line in lines if not line.startswith("#"))


def _value(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
