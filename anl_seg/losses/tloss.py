"""Robust T-Loss: an image's negative log-likelihood under a Student-t distribution."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from anl_seg.losses.checks import Reduction, check_inputs, check_reduction
from anl_seg.losses.functional import squared_error
from anl_seg.losses.sums import sum_pixels
from anl_seg.losses.table import canonical_name, complete, describe

#: Smallest nu, the constant that the published code adds to nu. If an image without foreground is
#: predicted as such, the likelihood has no maximum: nu falls towards 0 and the loss to -infinity.
LEAST_NU = 1e-8


class TLoss(nn.Module):
    """Robust T-Loss, whose nu is a trained parameter.

    Let D be the number of pixels of an image that count, delta = p_c - [y = c] the errors of a
    class c, and Sigma^-1 = s I the precision:

        L_c = -log Gamma((nu + D) / 2) + log Gamma(nu / 2) - D/2 log s + D/2 log(pi nu)
              + (nu + D) / 2 log(1 + s |delta|^2 / nu)

    The paper has one foreground class and s = 1. Here L is the sum of L_c over all classes except
    the background, class 0. L is divided by D. Neither the loss nor its gradient then depends on
    the image size, which may change between calls. At a fixed size, D is a constant factor.
    `t-loss-published` follows the published code, which has s = e (its `lambdas` are ones under an
    exponential) and starts at nu = e.

    Give `log_nu` to the optimiser: `optimizer.add_param_group({"params": loss.parameters()})`.

    Args:
        name: "t-loss" or "t-loss-published".
        ignore_index: Label of the pixels that do not count.
        reduction: "mean" or "sum" over the images with a pixel that counts, or "none".
        **hyper_parameters: `nu`, the initial value of the trained parameter.

    Raises:
        InputError: If the name is unknown or a value impossible.
        ValueError: If the reduction is unknown.

    Examples:
        >>> loss = TLoss(nu=2.0)
        >>> [name for name, _ in loss.named_parameters()]
        ['log_nu']
        >>> loss(torch.zeros(2, 3, 8, 8), torch.zeros(2, 8, 8, dtype=torch.int64)).ndim
        0

    References:
        Gonzalez-Jimenez et al., "Robust T-Loss for Medical Image Segmentation", MICCAI 2023.
    """

    def __init__(
        self,
        name: str = "t-loss",
        *,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
        **hyper_parameters: float,
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        name = canonical_name(name)
        self.name = name
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.hyper_parameters = complete(name, hyper_parameters)
        self.precision = describe(name).precision
        self.log_nu = nn.Parameter(torch.tensor(math.log(self.hyper_parameters["nu"])))

    @property
    def nu(self) -> Tensor:
        """Degrees of freedom, at least `LEAST_NU`. A small value reduces the weight of outliers."""
        return self.log_nu.clamp(min=math.log(LEAST_NU)).exp()

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: `(B, K, *S)`, floating point, K >= 2.
            labels: `(B, *S)` or `(B, 1, *S)`, any integer type or bool, in [0, K) or
                `ignore_index`. The number of dimensions decides between the two shapes.

        Returns:
            A scalar, or `(B,)` without reduction.

        Raises:
            TypeError: If logits or labels are not tensors.
            ValueError: If their shapes, types or values are wrong.
        """
        labels, counts = check_inputs(logits, labels, self.ignore_index)
        size = math.prod(labels.shape[1:])
        if counts is None:
            pixels = labels.new_full((len(labels),), size)
        else:
            pixels = counts.reshape(len(labels), size).sum(1)
        with torch.autocast(logits.device.type, enabled=False):
            loss = self._per_image(logits, labels, counts, pixels.unsqueeze(1))
        if self.reduction == "none":
            return loss
        if self.reduction == "sum":
            return loss.sum()
        return loss.sum() / pixels.gt(0).sum().clamp(min=1)

    def _per_image(
        self, logits: Tensor, labels: Tensor, counts: Tensor | None, pixels: Tensor
    ) -> Tensor:
        squares = sum_pixels(squared_error, logits, labels, counts)
        squares = squares[:, 1:]  # foreground classes only, (B, K - 1)
        pixels = pixels.to(squares.dtype)
        nu, s = self.nu.to(squares.dtype), self.precision
        per_class = (
            torch.lgamma(nu / 2)
            - torch.lgamma((nu + pixels) / 2)
            + pixels / 2 * torch.log(math.pi / s * nu)
            + (nu + pixels) / 2 * torch.log1p(s * squares / nu)
        )
        return per_class.sum(1) / pixels.squeeze(1).clamp(min=1)

    def extra_repr(self) -> str:
        """Format the settings for `print(loss)` and nnU-Net's log."""
        settings = f"ignore_index={self.ignore_index}, reduction={self.reduction}"
        return f"{self.name!r}, nu={self.nu.item():.4g} (trained), {settings}"
