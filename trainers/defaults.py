"""The defaults of `nnUNetTrainerANL`, in one function."""

from __future__ import annotations

from typing import Any

#: Options that change how robust a training is. 0 switches each off.
OPTIONS = ("dice_weight", "ce_weight", "warmup", "ema", "bootstrap")

#: What `nnUNetTrainerANL` without plans adds to ANL-CE: option -> value.
_RECOMMENDED: dict[str, float] = {}
#: Weights of the active and the negative loss of ANL by optimiser. The paper gives none for
#: ISIC-2017. These did best in small trainings of ours (benchmarks/alpha_beta.md). Under Adam they
#: are the paper's for CIFAR-10: a larger beta makes masks too large. SGD needs a large beta to
#: leave the state in which every pixel is background.
_ANL_WEIGHTS = {
    "sgd": {"alpha": 1.0, "beta": 20.0},
    "adam": {"alpha": 5.0, "beta": 5.0},
}
#: The paper's smallest (CIFAR-100). In masks the entropy term works against the background.
_LAMBDA = 0.01


def defaults(
    loss: str = "anl-ce", optimizer: str = "sgd", protocol: str = "nnunet"
) -> dict[str, Any]:
    """Return the settings that a training uses if its plans give none.

    The paper's protocols, and all losses but ANL-CE, have every one of `OPTIONS` off.

    Args:
        loss: A name from `anl_seg.losses.names()`, or "dice+ce".
        optimizer: "sgd" or "adam".
        protocol: A name from `anl_seg.trainers.protocols.PROTOCOLS`.

    Returns:
        A value for each of `OPTIONS`, and `loss_parameters`: hyper-parameters of the loss by name.
        Those that are missing there have the default of the loss table.
    """
    recommended = _RECOMMENDED if (loss, protocol) == ("anl-ce", "nnunet") else {}
    parameters: dict[str, float] = {}
    if loss.startswith("anl-"):
        parameters = _ANL_WEIGHTS[optimizer] | ({"lambda_": _LAMBDA} if loss.endswith("*") else {})
    return dict.fromkeys(OPTIONS, 0.0) | recommended | {"loss_parameters": parameters}


def describe_default(name: str) -> str:
    """Say the default of an option or of a hyper-parameter of ANL, for `anl-seg plan --help`.

    Example:
        >>> describe_default("beta")
        '20 with sgd, 5 with adam'
    """
    if name in OPTIONS:
        value = defaults()[name]
        return f"{value:g}" if not value else f"{value:g} for anl-ce under nnunet, else 0"
    values = {
        optimizer: defaults("anl-ce*", optimizer)["loss_parameters"][name]
        for optimizer in _ANL_WEIGHTS
    }
    if len(set(values.values())) == 1:
        return f"{values['sgd']:g}"
    return ", ".join(f"{value:g} with {optimizer}" for optimizer, value in values.items())
