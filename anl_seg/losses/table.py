"""The table of losses: one row of data per name."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral, Real
from types import MappingProxyType

from anl_seg.errors import InputError
from anl_seg.losses import functional as F
from anl_seg.losses.functional import Curve, Form, Summand


@dataclass(frozen=True)
class Parameter:
    """A hyper-parameter.

    Attributes:
        default: Its value if none is given.
        interval: Valid values, such as "(0, 1]".
        whole: Whether it must be a whole number.

    Examples:
        >>> Parameter(0.7, "(0, 1]").admits(1.5)
        False
    """

    default: float
    interval: str
    whole: bool = False

    def admits(self, value: float) -> bool:
        """Return whether a value is valid.

        Args:
            value: The value.

        Returns:
            Whether the value is in the interval and, if required, a whole number.
        """
        low, high = (float(end) for end in self.interval[1:-1].split(","))
        above = value >= low if self.interval[0] == "[" else value > low
        below = value <= high if self.interval[-1] == "]" else value < high
        return above and below and (not self.whole or value == int(value))

    def __str__(self) -> str:
        return f"{'a whole number ' if self.whole else ''}in {self.interval}"


@dataclass(frozen=True)
class Term:
    """One summand of a loss: a form, a curve with its hyper-parameters, and the weight's name."""

    form: Form
    curve: Curve
    takes: tuple[str, ...] = ()
    weight: str | None = None

    def bind(self, hyper_parameters: Mapping[str, float]) -> Summand:
        """Fill in the values of the hyper-parameters."""
        return Summand(
            form=self.form,
            curve=partial(self.curve, **{key: hyper_parameters[key] for key in self.takes}),
            weight=1.0 if self.weight is None else hyper_parameters[self.weight],
            p_min=hyper_parameters.get("p_min", 0.0),
        )


@dataclass(frozen=True)
class LossSpec:
    """A row of the table.

    Attributes:
        formula: The loss of one pixel with label y, in terms of its probabilities p.
        source: Publication of the loss.
        terms: Summands of the loss.
        parameters: Hyper-parameters by name.
        entropy: Name of the weight of the entropy term of the batch, if the loss has one.
        precision: Precision s of T-Loss, which is not a sum of pointwise terms.
        note: Advice, or a difference between the paper and the published code.
    """

    formula: str
    source: str
    terms: tuple[Term, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    entropy: str | None = None
    precision: float = 1.0
    note: str = ""


# Weights are 1 by default. Other defaults are the paper's for CIFAR-10 (Table VIII).
_ALPHA_BETA = {"alpha": Parameter(1.0, "[0, inf)"), "beta": Parameter(1.0, "[0, inf)")}
_LAMBDA = {"lambda_": Parameter(1.0, "[0, inf)")}
_P_MIN = {"p_min": Parameter(1e-7, "(0, 1)")}
_Q_MIN = {"q_min": Parameter(1e-4, "(0, 1)")}
_GAMMA = {"gamma": Parameter(0.5, "[0, inf)")}
_AGCE = {"a": Parameter(6.0, "(0, inf)"), "q": Parameter(1.5, "(0, inf)")}
_AUL = {"a": Parameter(6.3, "(1, inf)"), "q": Parameter(1.5, "(0, inf)")}
_AEL = {"a": Parameter(5.0, "(0, inf)")}

_YE = "Ye et al., arXiv:2412.02373"
_MA = "Ma et al., ICML 2020"
_ZHOU = "Zhou et al., ICML 2021"

_CE = Term("plain", F.cross_entropy)
_RCE = Term("plain", F.reverse_cross_entropy, takes=("q_min",), weight="beta")
_MAE = Term("plain", F.mean_absolute_error, weight="beta")
_HALF_MAE = Term("plain", F.half_mean_absolute_error, weight="beta")
_NCE = Term("normalized", F.cross_entropy, weight="alpha")
_NFL = Term("normalized", F.focal, takes=("gamma",), weight="alpha")
_NFL_DETACHED = Term("normalized", F.focal_detached, takes=("gamma",), weight="alpha")
_NNCE = Term("normalized negative", F.cross_entropy, weight="beta")
_NNFL = Term("normalized negative", F.focal, takes=("gamma",), weight="beta")
_NNFL_DETACHED = Term("normalized negative", F.focal_detached, takes=("gamma",), weight="beta")

_DETACHED = "As published: (1 - p)^gamma is not differentiated."
_HALVED = "As published: MAE is 1 - p_y, half of its definition."
_RCE_NOTE = "-log(q_min) = 9.21 is from the published code; the papers write a constant -A."

#: Maps a name, as in the paper's tables but in lower case, to its loss.
LOSSES: Mapping[str, LossSpec] = MappingProxyType(
    {
        "ce": LossSpec(
            formula="-log p_y",
            source="baseline",
            terms=(_CE,),
        ),
        "fl": LossSpec(
            formula="-(1 - p_y)^gamma log p_y",
            source="Lin et al., ICCV 2017",
            terms=(Term("plain", F.focal, takes=("gamma",)),),
            parameters=_GAMMA,
            note="The published code does not differentiate the weight: fl-published.",
        ),
        "mae": LossSpec(
            formula="2 (1 - p_y)",
            source="Ghosh et al., AAAI 2017",
            terms=(Term("plain", F.mean_absolute_error),),
            note="The published code has 1 - p_y: mae-published.",
        ),
        "rce": LossSpec(
            formula="-log(q_min) (1 - p_y)",
            source="Wang et al., ICCV 2019",
            terms=(Term("plain", F.reverse_cross_entropy, takes=("q_min",)),),
            parameters=_Q_MIN,
            note=_RCE_NOTE,
        ),
        "gce": LossSpec(
            formula="(1 - p_y^q) / q",
            source="Zhang and Sabuncu, NeurIPS 2018",
            terms=(Term("plain", F.generalized_cross_entropy, takes=("q",)),),
            parameters={"q": Parameter(0.7, "(0, 1]")},
        ),
        "sce": LossSpec(
            formula="alpha CE + beta RCE",
            source="Wang et al., ICCV 2019",
            terms=(Term("plain", F.cross_entropy, weight="alpha"), _RCE),
            parameters=_ALPHA_BETA | _Q_MIN,
            note=_RCE_NOTE,
        ),
        "phce": LossSpec(
            formula="-log p_y if p_y > 1 / tau, else log(tau) + 1 - tau p_y",
            source="Menon et al., ICLR 2020",
            terms=(Term("plain", F.partially_huberised_cross_entropy, takes=("tau",)),),
            parameters={"tau": Parameter(2.0, "(1, inf)")},
        ),
        "tce": LossSpec(
            formula="Σ_{i=1..t} (1 - p_y)^i / i",
            source="Feng et al., IJCAI 2020",
            terms=(Term("plain", F.taylor_cross_entropy, takes=("t",)),),
            parameters={"t": Parameter(2, "[1, inf)", whole=True)},
        ),
        "nce": LossSpec(
            formula="log p_y / Σ_k log p_k",
            source=f"{_MA}; {_YE}, eq. 3",
            terms=(Term("normalized", F.cross_entropy),),
        ),
        "nfl": LossSpec(
            formula="FL(p_y) / Σ_k FL(p_k)",
            source=f"{_MA}; {_YE}, eq. 2",
            terms=(Term("normalized", F.focal, takes=("gamma",)),),
            parameters=_GAMMA,
            note="The published code does not differentiate the weights: nfl-published.",
        ),
        "nmae": LossSpec(
            formula="(1 - p_y) / (K - 1)",
            source=f"{_MA}; {_YE}, eq. 2",
            terms=(Term("normalized", F.mean_absolute_error),),
            note="The code of Ma et al. has half of it.",
        ),
        "nrce": LossSpec(
            formula="(1 - p_y) / (K - 1), since RCE's factor cancels",
            source=f"{_MA}; {_YE}, eq. 2",
            terms=(Term("normalized", F.mean_absolute_error),),
            note="The code of Ma et al. has (K - 1) / 4 RCE, meant as RCE / (4 (K - 1)).",
        ),
        "nnce": LossSpec(
            formula="1 - (A + log p_y) / Σ_k (A + log p_k), A = -log p_min",
            source=f"{_YE}, eq. 8",
            terms=(Term("normalized negative", F.cross_entropy),),
            parameters=_P_MIN,
        ),
        "nnfl": LossSpec(
            formula="1 - (A - FL(p_y)) / Σ_k (A - FL(p_k)), A = FL(p_min)",
            source=f"{_YE}, eq. 9",
            terms=(Term("normalized negative", F.focal, takes=("gamma",)),),
            parameters=_GAMMA | _P_MIN,
            note="The published code does not differentiate the weights: nnfl-published.",
        ),
        "agce": LossSpec(
            formula="((a + 1)^q - (a + p_y)^q) / q",
            source=_ZHOU,
            terms=(Term("plain", F.asymmetric_generalized_cross_entropy, takes=("a", "q")),),
            parameters=_AGCE,
        ),
        "aul": LossSpec(
            formula="((a - p_y)^q - (a - 1)^q) / q",
            source=_ZHOU,
            terms=(Term("plain", F.asymmetric_unhinged_loss, takes=("a", "q")),),
            parameters=_AUL,
        ),
        "ael": LossSpec(
            formula="exp(-p_y / a)",
            source=_ZHOU,
            terms=(Term("plain", F.asymmetric_exponential_loss, takes=("a",)),),
            parameters=_AEL,
        ),
        "nce+mae": LossSpec(
            formula="alpha NCE + beta MAE",
            source=f"{_MA}; {_YE}, eq. 4",
            terms=(_NCE, _MAE),
            parameters=_ALPHA_BETA,
            note="The published code has half of MAE: nce+mae-published.",
        ),
        "nce+rce": LossSpec(
            formula="alpha NCE + beta RCE",
            source=f"{_MA}; {_YE}, eq. 4",
            terms=(_NCE, _RCE),
            parameters=_ALPHA_BETA | _Q_MIN,
            note=_RCE_NOTE,
        ),
        "nfl+mae": LossSpec(
            formula="alpha NFL + beta MAE",
            source=f"{_MA}; {_YE}, eq. 4",
            terms=(_NFL, _MAE),
            parameters=_ALPHA_BETA | _GAMMA,
            note="The published code differs in both terms: nfl+mae-published.",
        ),
        "nfl+rce": LossSpec(
            formula="alpha NFL + beta RCE",
            source=f"{_MA}; {_YE}, eq. 4",
            terms=(_NFL, _RCE),
            parameters=_ALPHA_BETA | _GAMMA | _Q_MIN,
            note=f"{_RCE_NOTE} NFL differs there too: nfl+rce-published.",
        ),
        "nce+agce": LossSpec(
            formula="alpha NCE + beta AGCE",
            source=_ZHOU,
            terms=(
                _NCE,
                Term("plain", F.asymmetric_generalized_cross_entropy, ("a", "q"), weight="beta"),
            ),
            parameters=_ALPHA_BETA | _AGCE,
        ),
        "nce+aul": LossSpec(
            formula="alpha NCE + beta AUL",
            source=_ZHOU,
            terms=(_NCE, Term("plain", F.asymmetric_unhinged_loss, ("a", "q"), weight="beta")),
            parameters=_ALPHA_BETA | _AUL,
        ),
        "nce+ael": LossSpec(
            formula="alpha NCE + beta AEL",
            source=_ZHOU,
            terms=(_NCE, Term("plain", F.asymmetric_exponential_loss, ("a",), weight="beta")),
            parameters=_ALPHA_BETA | _AEL,
        ),
        "anl-ce": LossSpec(
            formula="alpha NCE + beta NNCE",
            source=f"{_YE}, eq. 11",
            terms=(_NCE, _NNCE),
            parameters=_ALPHA_BETA | _P_MIN,
            note="Its L1 weight delta is add_l1_gradient's, not the loss's.",
        ),
        "anl-fl": LossSpec(
            formula="alpha NFL + beta NNFL",
            source=f"{_YE}, eq. 12",
            terms=(_NFL, _NNFL),
            parameters=_ALPHA_BETA | _GAMMA | _P_MIN,
            note="The published code does not differentiate the weights: anl-fl-published.",
        ),
        "anl-ce*": LossSpec(
            formula="alpha NCE + beta NNCE + lambda_ (log K + Σ_k π_k log π_k), π_k = mean p_k",
            source=f"{_YE}, eq. 14",
            terms=(_NCE, _NNCE),
            parameters=_ALPHA_BETA | _LAMBDA | _P_MIN,
            entropy="lambda_",
            note="For balanced classes; in masks the term fights the background.",
        ),
        "anl-fl*": LossSpec(
            formula="alpha NFL + beta NNFL + lambda_ (log K + Σ_k π_k log π_k), π_k = mean p_k",
            source=f"{_YE}, eq. 14",
            terms=(_NFL, _NNFL),
            parameters=_ALPHA_BETA | _LAMBDA | _GAMMA | _P_MIN,
            entropy="lambda_",
            note="For balanced classes; in masks the term fights the background.",
        ),
        "t-loss": LossSpec(
            formula="Σ_c>0 -log Student-t(p_c - [y = c]; 0, I, nu) / D, D pixels an image",
            source="Gonzalez-Jimenez et al., MICCAI 2023",
            parameters={"nu": Parameter(1.0, "(0, inf)")},
            note="nu is the initial value of a parameter. The published code: t-loss-published.",
        ),
        "fl-published": LossSpec(
            formula="-(1 - p_y)^gamma log p_y",
            source="code of Ye et al.",
            terms=(Term("plain", F.focal_detached, takes=("gamma",)),),
            parameters=_GAMMA,
            note=_DETACHED,
        ),
        "mae-published": LossSpec(
            formula="1 - p_y",
            source="code of Ma et al. and Ye et al.",
            terms=(Term("plain", F.half_mean_absolute_error),),
            note=_HALVED,
        ),
        "nfl-published": LossSpec(
            formula="FL(p_y) / Σ_k FL(p_k)",
            source="code of Ma et al. and Ye et al.",
            terms=(Term("normalized", F.focal_detached, takes=("gamma",)),),
            parameters=_GAMMA,
            note=_DETACHED,
        ),
        "nnfl-published": LossSpec(
            formula="1 - (A - FL(p_y)) / Σ_k (A - FL(p_k)), A = FL(p_min)",
            source="code of Ye et al.",
            terms=(Term("normalized negative", F.focal_detached, takes=("gamma",)),),
            parameters=_GAMMA | _P_MIN,
            note=_DETACHED,
        ),
        "nce+mae-published": LossSpec(
            formula="alpha NCE + beta (1 - p_y)",
            source="code of Ma et al. and Ye et al.",
            terms=(_NCE, _HALF_MAE),
            parameters=_ALPHA_BETA,
            note=_HALVED,
        ),
        "nfl+mae-published": LossSpec(
            formula="alpha NFL + beta (1 - p_y)",
            source="code of Ma et al. and Ye et al.",
            terms=(_NFL_DETACHED, _HALF_MAE),
            parameters=_ALPHA_BETA | _GAMMA,
            note=f"{_HALVED} {_DETACHED}",
        ),
        "nfl+rce-published": LossSpec(
            formula="alpha NFL + beta RCE",
            source="code of Ma et al. and Ye et al.",
            terms=(_NFL_DETACHED, _RCE),
            parameters=_ALPHA_BETA | _GAMMA | _Q_MIN,
            note=_DETACHED,
        ),
        "anl-fl-published": LossSpec(
            formula="alpha NFL + beta NNFL",
            source="code of Ye et al.",
            terms=(_NFL_DETACHED, _NNFL_DETACHED),
            parameters=_ALPHA_BETA | _GAMMA | _P_MIN,
            note=_DETACHED,
        ),
        "t-loss-published": LossSpec(
            formula="Σ_c>0 -log Student-t(p_c - [y = c]; 0, I / e, nu) / D, D pixels an image",
            source="code of Gonzalez-Jimenez et al.",
            parameters={"nu": Parameter(math.e, "(0, inf)")},
            precision=math.e,
            note="As published: the precision is e; there the loss is not divided by D.",
        ),
    }
)


def names() -> list[str]:
    """List the names of all losses, in the table's order.

    Returns:
        Names for `create`.

    Examples:
        >>> names()[:4]
        ['ce', 'fl', 'mae', 'rce']
    """
    return list(LOSSES)


def canonical_name(text: str, *, also: Sequence[str] = ()) -> str:
    """Find the name of a loss, ignoring case, hyphens, underscores and spaces.

    Every function here that takes the name of a loss calls this first, so `ANL_CE` and `anl-ce`
    are the same loss.

    Args:
        text: A name as typed.
        also: Valid names in addition to the table's, such as a trainer's own loss.

    Returns:
        The name as spelled in `names()` or `also`.

    Raises:
        InputError: If no loss has that name. The message suggests the closest names.

    Examples:
        >>> canonical_name("ANL_CE")
        'anl-ce'
        >>> canonical_name("Dice+CE", also=["dice+ce"])
        'dice+ce'
    """
    if not isinstance(text, str):
        raise InputError(f"the name of a loss must be text, got {text!r}")
    known = {_plain(name): name for name in (*LOSSES, *also)}
    if (plain := _plain(text)) in known:
        return known[plain]
    close = [known[match] for match in difflib.get_close_matches(plain, known, cutoff=0.7)]
    hint = f"did you mean {' or '.join(close)}? There are" if close else "there are"
    raise InputError(f"unknown loss {text!r}; {hint}: {', '.join(known.values())}")


def describe(name: str) -> LossSpec:
    """Look up the row of a loss.

    Args:
        name: Name of the loss in any spelling that `canonical_name` knows.

    Returns:
        Formula, source and hyper-parameters of the loss.

    Raises:
        InputError: If no loss has that name.

    Examples:
        >>> describe("anl-ce").formula
        'alpha NCE + beta NNCE'
    """
    return LOSSES[canonical_name(name)]


def complete(name: str, given: Mapping[str, object]) -> dict[str, float]:
    """Fill in the defaults of the hyper-parameters that are not `given`.

    Args:
        name: Name of the loss in any spelling that `canonical_name` knows.
        given: Some of its hyper-parameters.

    Returns:
        All its hyper-parameters, as Python numbers.

    Raises:
        InputError: If the loss or a hyper-parameter is unknown, or a value is not a number in its
            range.

    Examples:
        >>> complete("anl-ce", {"beta": 5})
        {'alpha': 1.0, 'beta': 5, 'p_min': 1e-07}
    """
    name = canonical_name(name)
    parameters = LOSSES[name].parameters
    numbers: dict[str, float] = {}
    for key, value in given.items():
        if key not in parameters:
            valid = ", ".join(parameters) or "none"
            raise InputError(f"{name} has no hyper-parameter {key!r}; it has: {valid}")
        if isinstance(value, bool) or not isinstance(value, Real):
            raise InputError(f"{key} of {name} must be a number, got {value!r}")
        numbers[key] = int(value) if isinstance(value, Integral) else float(value)
        if not parameters[key].admits(numbers[key]):
            raise InputError(f"{key} of {name} must be {parameters[key]}, got {numbers[key]!r}")
    return {key: numbers.get(key, parameter.default) for key, parameter in parameters.items()}


def _plain(name: str) -> str:
    """Remove the differences in spelling."""
    return name.lower().translate({ord(sign): None for sign in "-_ "})
