"""Advice on which loss to use."""

from __future__ import annotations

from typing import NamedTuple


class Advice(NamedTuple):
    """A situation, and the loss for it.

    Attributes:
        situation: Completes a sentence that begins with "if".
        loss: A name from `names()`.
        reason: Reasons for the loss, and its pitfalls.
    """

    situation: str
    loss: str
    reason: str


#: The most common situation first.
GUIDE = (
    Advice(
        "masks or labels may be wrong",
        "anl-ce",
        "The paper's loss. For masks, train with nnUNetTrainerANL. It adds nnU-Net's own loss and "
        "corrects the labels, which has most of the effect.",
    ),
    Advice(
        "you trust masks or labels",
        "ce",
        "Robust losses gain nothing there. For masks, nnU-Net's own loss dice+ce adds soft Dice.",
    ),
    Advice(
        "class labels are wrong in one direction, and classes are balanced",
        "anl-ce*",
        "The entropy term keeps predictions balanced. In masks it works against the background.",
    ),
    Advice(
        "you want a single parameter",
        "gce",
        "Close to ce for small q, and to mae for q = 1, which is more robust but learns slowly.",
    ),
    Advice(
        "whole masks are wrong, not single pixels",
        "t-loss",
        "Images that fit badly count less. The optimiser trains its parameter nu, too. Masks need "
        "a warm-up (anl-seg plan --loss t-loss --warmup 0.2), or small structures may be lost.",
    ),
    Advice(
        "you compare with earlier robust losses",
        "nce+rce",
        "The active passive loss (APL). nce+agce is its asymmetric successor.",
    ),
    Advice(
        "you repeat numbers of published code",
        "anl-fl-published",
        "Names in -published compute what the code does, the others what the papers say.",
    ),
)
