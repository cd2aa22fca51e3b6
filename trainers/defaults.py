"""The defaults of `nnUNetTrainerANL`, in one function."""

from __future__ import annotations

from typing import Any

#: Options for robustness. 0 switches an option off.
OPTIONS = ("dice_weight", "ce_weight", "warmup", "ema", "bootstrap")

#: Options that `nnUNetTrainerANL` without plans adds to ANL-CE, measured in benchmarks/remedies.md
#: and results/isic2017. nnU-Net's own loss learns fastest and trains until the network starts
#: to memorise. Then its averaged weights correct the labels, and the training continues with ANL-CE
#: beside nnU-Net's own loss. ANL-CE beside soft Dice alone keeps a rare class, but cannot learn one
#: that was lost.
_RECOMMENDED: dict[str, Any] = {
    "dice_weight": 1.0,
    "ce_weight": 1.0,
    "warmup": 1.0,
    "ema": 0.999,
    "correct_labels": True,
}
#: Weights of the active and the negative loss of ANL, from the paper's CIFAR-10. The paper gives
#: none for ISIC-2017. A larger beta makes masks too large (benchmarks/alpha_beta.md).
_ANL_WEIGHTS = {"alpha": 5.0, "beta": 5.0}
#: The paper's smallest weight (CIFAR-100). In masks the entropy term works against the background.
_LAMBDA = 0.01


def defaults(loss: str = "anl-ce", protocol: str = "nnunet") -> dict[str, Any]:
    """Return the settings that a training uses if its plans have none.

    All `OPTIONS` are off in the paper's protocols, and for all losses except ANL-CE.

    Args:
        loss: A name from `anl_seg.losses.names()`, or "dice+ce".
        protocol: A name from `anl_seg.trainers.protocols.PROTOCOLS`.

    Returns:
        A value for each of `OPTIONS`, `correct_labels`, and `loss_parameters`: hyper-parameters of
        the loss by name. Missing ones have the default of the loss table.
    """
    recommended = _RECOMMENDED if (loss, protocol) == ("anl-ce", "nnunet") else {}
    parameters: dict[str, float] = {}
    if loss.startswith("anl-"):
        parameters = _ANL_WEIGHTS | ({"lambda_": _LAMBDA} if loss.endswith("*") else {})
    off: dict[str, Any] = {**dict.fromkeys(OPTIONS, 0.0), "correct_labels": False}
    return off | recommended | {"loss_parameters": parameters}


def describe_default(name: str) -> str:
    """Describe the default of an option or a hyper-parameter of ANL, for `anl-seg plan --help`.

    Examples:
        >>> describe_default("ema")
        '0.999 for anl-ce under nnunet, else 0'
    """
    if name in OPTIONS:
        value = defaults()[name]
        return f"{value:g} for anl-ce under nnunet, else 0" if value else "0"
    value = f"{defaults('anl-ce*')['loss_parameters'][name]:g}"
    return value if name == "lambda_" else f"{value} for ANL, else 1"
