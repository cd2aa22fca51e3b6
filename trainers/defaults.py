"""The default hyper-parameters of losses in segmentation, in one function."""

from __future__ import annotations

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


def default_loss_parameters(loss: str, optimizer: str) -> dict[str, float]:
    """Return the hyper-parameters that `nnUNetTrainerANL` uses if the plans give none.

    Args:
        loss: A name from `anl_seg.losses.names()`.
        optimizer: "sgd" or "adam".

    Returns:
        Values by name. Hyper-parameters that are missing here have the default of the loss table.
    """
    if not loss.startswith("anl-"):
        return {}
    return _ANL_WEIGHTS[optimizer] | ({"lambda_": _LAMBDA} if loss.endswith("*") else {})


def describe_defaults(name: str) -> str:
    """Say the default of a hyper-parameter of ANL, for `anl-seg plan --help`.

    Example:
        >>> describe_defaults("beta")
        '20 with sgd, 5 with adam'
    """
    values = {
        optimizer: default_loss_parameters("anl-ce*", optimizer)[name] for optimizer in _ANL_WEIGHTS
    }
    if len(set(values.values())) == 1:
        return f"{values['sgd']:g}"
    return ", ".join(f"{value:g} with {optimizer}" for optimizer, value in values.items())
