"""The defaults of `nnUNetTrainerANL`, in one function."""

from __future__ import annotations

from typing import Any

#: Options that change how robust a training is. 0 switches each off.
OPTIONS = ("dice_weight", "ce_weight", "warmup", "ema", "bootstrap")

#: What `nnUNetTrainerANL` without plans adds to ANL-CE: option -> value. Each was measured alone
#: (benchmarks/remedies.md). nnU-Net's own loss learns fastest and trains until the network begins
#: to memorise. Then its averaged weights correct the labels, and ANL-CE beside nnU-Net's own loss
#: goes on. ANL-CE beside soft Dice alone keeps a rare class but does not learn it anew.
_RECOMMENDED: dict[str, Any] = {
    "dice_weight": 1.0,
    "ce_weight": 1.0,
    "warmup": 1.0,
    "ema": 0.999,
    "correct_labels": True,
}
#: Weights of the active and the negative loss of ANL: the paper's for CIFAR-10. It gives none for
#: ISIC-2017. A larger beta makes masks too large (benchmarks/alpha_beta.md).
_ANL_WEIGHTS = {"alpha": 5.0, "beta": 5.0}
#: The paper's smallest (CIFAR-100). In masks the entropy term works against the background.
_LAMBDA = 0.01


def defaults(loss: str = "anl-ce", protocol: str = "nnunet") -> dict[str, Any]:
    """Return the settings that a training uses if its plans give none.

    The paper's protocols, and all losses but ANL-CE, have every one of `OPTIONS` off.

    Args:
        loss: A name from `anl_seg.losses.names()`, or "dice+ce".
        protocol: A name from `anl_seg.trainers.protocols.PROTOCOLS`.

    Returns:
        A value for each of `OPTIONS`, `correct_labels`, and `loss_parameters`: hyper-parameters of
        the loss by name. Those that are missing there have the default of the loss table.
    """
    recommended = _RECOMMENDED if (loss, protocol) == ("anl-ce", "nnunet") else {}
    parameters: dict[str, float] = {}
    if loss.startswith("anl-"):
        parameters = _ANL_WEIGHTS | ({"lambda_": _LAMBDA} if loss.endswith("*") else {})
    off: dict[str, Any] = {**dict.fromkeys(OPTIONS, 0.0), "correct_labels": False}
    return off | recommended | {"loss_parameters": parameters}


def describe_default(name: str) -> str:
    """Say the default of an option or of a hyper-parameter of ANL, for `anl-seg plan --help`.

    Examples:
        >>> describe_default("ema")
        '0.999 for anl-ce under nnunet, else 0'
    """
    if name in OPTIONS:
        value = defaults()[name]
        return f"{value:g} for anl-ce under nnunet, else 0" if value else "0"
    return f"{defaults('anl-ce*')['loss_parameters'][name]:g}"
