"""Loss modules: a row of the table with checks, precision, ignored labels and reduction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anl_seg.losses.autograd import per_pixel
from anl_seg.losses.checks import Reduction, check_inputs, check_reduction
from anl_seg.losses.functional import probability
from anl_seg.losses.regularizers import entropy_of_sums
from anl_seg.losses.sums import per_pixel_and_sums
from anl_seg.losses.table import canonical_name, complete, describe
from anl_seg.losses.tloss import TLoss


def create(
    name: str,
    *,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
    **hyper_parameters: float,
) -> nn.Module:
    """Create the loss called `name`. Call it with `(logits, labels)`.

    Args:
        name: A name from `names()`, in any spelling that `canonical_name` knows.
        ignore_index: Label of the pixels that do not count.
        reduction: "mean" or "sum" over the pixels that count, or "none".
        **hyper_parameters: Values by name, such as `alpha=5`. Missing ones have defaults.

    Returns:
        A `RobustLoss`, or a `TLoss` for T-Loss.

    Raises:
        InputError: If a name is unknown or a value impossible. The message lists the valid ones.
        ValueError: If the reduction is unknown.

    Examples:
        >>> loss = create("anl-ce", alpha=5, beta=5, ignore_index=255)
        >>> logits = torch.zeros(2, 3, 64, 64, requires_grad=True)
        >>> labels = torch.zeros(2, 64, 64, dtype=torch.int64)
        >>> round(loss(logits, labels).item(), 4)
        5.0
    """
    make = RobustLoss if describe(name).terms else TLoss
    return make(name, ignore_index=ignore_index, reduction=reduction, **hyper_parameters)


class RobustLoss(nn.Module):
    """A weighted sum of pointwise losses, plus the entropy term if the row has one.

    Half precision and autocast are computed in float32; float64 stays float64. The mean is over the
    pixels that count. If no pixel counts, the loss is a zero with a gradient. `torch.compile` turns
    the module into a few fused loops, which have a first derivative only.

    Args:
        name: A name from `names()`, in any spelling that `canonical_name` knows.
        ignore_index: Label of the pixels that do not count.
        reduction: "mean" or "sum" over the pixels that count, or "none".
        **hyper_parameters: Values by name, such as `alpha=5`. Missing ones have defaults.

    Raises:
        InputError: If a name is unknown or a value impossible. The message lists the valid ones.
        ValueError: If the reduction is unknown, or not "mean" for a loss with an entropy term.

    Examples:
        >>> loss = RobustLoss("gce", q=0.5, reduction="none")
        >>> loss(torch.zeros(4, 2), torch.tensor([0, 1, 1, 0])).shape
        torch.Size([4])
    """

    def __init__(
        self,
        name: str,
        *,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
        **hyper_parameters: float,
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        name = canonical_name(name)
        spec = describe(name)
        if spec.entropy and reduction != "mean":
            raise ValueError(
                f"the reduction of {name} must be mean, because its entropy term is a mean over "
                f"the batch; got {reduction!r}"
            )
        self.name = name
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.hyper_parameters = complete(name, hyper_parameters)
        self.summands = tuple(term.bind(self.hyper_parameters) for term in spec.terms)
        self._entropy_weight = self.hyper_parameters[spec.entropy] if spec.entropy else 0.0

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: `(B, K, *S)`, floating point, K >= 2.
            labels: `(B, *S)` or `(B, 1, *S)`, any integer type or bool, in [0, K) or
                `ignore_index`. The number of dimensions decides between the two shapes.

        Returns:
            A scalar, or `(B, *S)` without reduction.

        Raises:
            TypeError: If logits or labels are not tensors.
            ValueError: If their shapes, types or values are wrong, or p_min >= 1 / K.
        """
        labels, counts = check_inputs(logits, labels, self.ignore_index)
        p_min = self.hyper_parameters.get("p_min", 0)
        if p_min * logits.shape[1] >= 1:
            raise ValueError(
                f"p_min of {self.name} must be below 1/K = 1/{logits.shape[1]}, got {p_min}"
            )
        with torch.autocast(logits.device.type, enabled=False):
            if self._entropy_weight:
                loss, sums = per_pixel_and_sums(self.summands, probability, logits, labels, counts)
            else:
                loss = per_pixel(logits, labels, self.summands)
        if counts is not None:
            loss = loss.where(counts, 0)
        if self.reduction == "none":
            return loss
        if self.reduction == "sum":
            return loss.sum()
        number = labels.numel() if counts is None else counts.sum().clamp(min=1)
        mean = loss.sum() / number if labels.numel() else loss.sum()
        if self._entropy_weight:
            pixels = labels.numel() if counts is None else counts.sum()
            mean = mean + self._entropy_weight * entropy_of_sums(sums, pixels)
        return mean

    def extra_repr(self) -> str:
        """Format the settings for `print(loss)` and nnU-Net's log."""
        settings = self.hyper_parameters | {
            "ignore_index": self.ignore_index,
            "reduction": self.reduction,
        }
        return ", ".join([repr(self.name), *(f"{key}={value}" for key, value in settings.items())])
