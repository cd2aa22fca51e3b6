"""Layouts of the paper's Tables I to VII: the common settings of their runs, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from anl_seg.experiments.segmentation.settings import PHANTOM
from anl_seg.trainers.settings import NNUNET_LOSS

ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII")


@dataclass(frozen=True)
class TableLayout:
    """Settings of all runs of a table, from the paper's text.

    Attributes:
        measure: Quantity in the cells, with its unit.
        data: Name of the data set in the paper.
        kind: Kind of the runs, a key of `KINDS`.
        settings: Settings of all runs.
        seeds: Seeds of the runs in each cell.
        metric: Name of the metric in the record of a run.
        metrics: Metrics of single columns that replace `metric`.
        rows: Settings of single rows, if a row is not just a loss of the same name.
        digits: Number of printed decimals.
    """

    measure: str
    data: str
    kind: str
    settings: Mapping[str, Any]
    seeds: tuple[int, ...] = (1, 2, 3)
    metric: str = "test_accuracy"
    metrics: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    digits: int = 2


@dataclass(frozen=True)
class Scale:
    """A smaller version of a table.

    Attributes:
        settings: Settings that replace those of the paper.
        rows: Rows to show by default.
        columns: Columns to show by default.
    """

    settings: Mapping[str, Any]
    rows: tuple[str, ...]
    columns: tuple[str, ...]


ACCURACY = "test accuracy (%)"
LAYOUTS: Mapping[int, TableLayout] = MappingProxyType(
    {
        1: TableLayout(
            ACCURACY,
            "CIFAR-10",
            "classification",
            {"protocol": "cifar10"},
            rows={  # section VI-C-4: each part alone, with ANL-CE's weights and L1 norm
                "nce": {"loss": "anl-ce", "loss_parameters": {"beta": 0.0}},
                "nnce": {"loss": "anl-ce", "loss_parameters": {"alpha": 0.0}},
            },
        ),
        2: TableLayout(ACCURACY, "CIFAR-10", "classification", {"protocol": "cifar10"}),
        3: TableLayout(ACCURACY, "CIFAR-100", "classification", {"protocol": "cifar100"}),
        4: TableLayout(
            "top-1 accuracy (%)",
            "WebVision",
            "classification",
            {"protocol": "webvision"},
            seeds=(1,),
            metrics={"ILSVRC12 Val": "ilsvrc12-val_accuracy"},
        ),
        5: TableLayout(ACCURACY, "Animal-10N", "classification", {"protocol": "animal10n"}),
        6: TableLayout(
            "Dice (%)",
            "ISIC-2017",
            "segmentation",
            {"protocol": "isic2017", "data": "data/isic2017", "size": 256},
            metric="test_dice",
            digits=1,
        ),
        7: TableLayout(
            ACCURACY, "Clothing-1M", "classification", {"protocol": "clothing1m"}, seeds=(1,)
        ),
    }
)

FULL = "full"
#: Scales by table and name.
SCALES: Mapping[int, Mapping[str, Scale]] = MappingProxyType(
    {
        6: {
            "small": Scale(
                settings={
                    "data": PHANTOM,
                    "size": 64,
                    "small": True,
                    "protocol": "isic2017-poly",  # isic2017's rate needs 2000 images per epoch
                    "epochs": 30,
                    "iterations": 6,
                },
                rows=(NNUNET_LOSS, "gce", "anl-ce"),
                columns=("0.0", "0.3/0.7", "0.7/0.7"),
            )
        }
    }
)
