"""A small drawing with axes, as an SVG.

Matplotlib would need longer to load than `anl-seg evaluate` needs for all its masks.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from anl_seg.formats.pictures import data_uri

Values = NDArray[np.float64]

#: Okabe and Ito's colours, told apart by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK, GREY, TINT = "#1c2430", "#6b7280", "#eef2f7"
FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
#: Width in CSS pixels, narrow enough that the letters can be read on a phone.
WIDTH = 480
FONT_SIZE = 13
#: Shapes of points as path data about (0, 0): a dot, and one shape for each class.
DOT = "m-2.3 0a2.3 2.3 0 1 0 4.6 0a2.3 2.3 0 1 0-4.6 0z"
MARKERS = (
    "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
    "m-2.7-2.7h5.4v5.4h-5.4z",
    "m0-3.5l3.5 6h-7z",
    "m0-3.8l3.8 3.8l-3.8 3.8l-3.8-3.8z",
    "m0 3.5l3.5-6h-7z",
)
#: More points than this are drawn as pixels, which keeps the page small.
MAX_VECTOR_POINTS = 2000
#: Pixels of a picture of points for each CSS pixel.
DENSITY = 2
#: At most so many numbers stand along an axis.
MOST_TICKS = 7


@dataclass(frozen=True)
class Scale:
    """Where values stand along a direction.

    Attributes:
        low: Value at `start`.
        high: Value at `end`, above `low`.
        start: Place in CSS pixels.
        end: Place in CSS pixels.
        log: Whether equal ratios, not equal differences, are equally far apart.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, values: ArrayLike) -> Values:
        """Places of values in CSS pixels."""
        low, high, at = self.low, self.high, np.asarray(values, dtype=np.float64)
        if self.log:
            low, high, at = math.log(low), math.log(high), np.log(at)
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> dict[float, str]:
        """Round values between the ends, and how they are written."""
        values = _log_ticks(self.low, self.high) if self.log else []
        if len(values) < 2:
            return _even_ticks(self.low, self.high)
        return {value: f"{value:,.0f}" for value in values}


def scale(values: Values, start: float, end: float, *, log: bool = False) -> Scale:
    """A scale on which values stand with a margin; from 0 to 1 without any value."""
    defined = values[np.isfinite(values)]
    if not defined.size:
        return Scale(0, 1, start, end)
    low, high = float(defined.min()), float(defined.max())
    if log:
        margin = max((high / low) ** 0.05, 1.2)
        return Scale(low / margin, high * margin, start, end, log=True)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    return Scale(low - margin, high + margin, start, end)


def _even_ticks(low: float, high: float) -> dict[float, str]:
    """Multiples of 1, 2 or 5 times a power of ten.

    Examples:
        >>> _even_ticks(-0.13, 0.31)
        {-0.1: '−0.1', 0.0: '0.0', 0.1: '0.1', 0.2: '0.2', 0.3: '0.3'}
    """
    power = math.floor(math.log10((high - low) / MOST_TICKS))
    factor = next(each for each in (1, 2, 5, 10) if (high - low) / each < MOST_TICKS * 10.0**power)
    if factor == 10:
        factor, power = 1, power + 1
    decimals = max(0, -power)
    step, near = factor * 10.0**power, 1e-9  # an end that is itself a multiple counts
    numbers = range(math.ceil(low / step - near), math.floor(high / step + near) + 1)
    values = [round(number * step, decimals) + 0.0 for number in numbers]
    return {value: f"{value:,.{decimals}f}".replace("-", "\u2212") for value in values}


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten from 1 on, or fewer if they are many.

    Examples:
        >>> _log_ticks(8, 130)
        [10.0, 20.0, 50.0, 100.0]
    """
    powers = range(max(0, math.floor(math.log10(low))), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        values = [factor * 10.0**power for power in powers for factor in factors]
        shown = [value for value in values if low <= value <= high]
        if len(shown) <= MOST_TICKS:
            break
    return shown[:: -(-len(shown) // MOST_TICKS)] if shown else []


class Drawing:
    """An SVG under construction; places are CSS pixels from its upper left corner."""

    def __init__(self, height: float) -> None:
        self.height = height
        size = {"width": str(WIDTH), "height": _number(height)}
        self._root = ElementTree.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": f"0 0 {WIDTH} {_number(height)}",
                "font-family": FONT,
                "font-size": str(FONT_SIZE),
                **size,
            },
        )

    def line(
        self,
        x: ArrayLike,
        y: ArrayLike,
        colour: str = GREY,
        width: float = 1,
        *,
        dashed: bool = False,
        opacity: float = 1,
    ) -> None:
        """A line through points; an undefined point leaves a gap."""
        attributes = {"d": _path(np.asarray(x), np.asarray(y)), "fill": "none", "stroke": colour}
        attributes |= {"stroke-width": _number(width), "stroke-linejoin": "round"}
        attributes |= {"stroke-dasharray": "5 3"} if dashed else {}
        attributes |= {"stroke-opacity": _number(opacity)} if opacity < 1 else {}
        ElementTree.SubElement(self._root, "path", attributes)

    def box(self, x: float, y: float, width: float, height: float) -> None:
        """A tinted rectangle with a grey edge."""
        place = zip(("x", "y", "width", "height"), (x, y, width, height), strict=True)
        attributes = {name: _number(value) for name, value in place}
        ElementTree.SubElement(self._root, "rect", {**attributes, "fill": TINT, "stroke": GREY})

    def text(
        self, x: float, y: float, words: str, *, anchor: str = "start", upwards: bool = False
    ) -> None:
        """A line of text that starts, ends or has its middle at a place on its base line."""
        attributes = {"x": _number(x), "y": _number(y), "text-anchor": anchor, "fill": INK}
        if upwards:
            attributes["transform"] = f"rotate(-90 {_number(x)} {_number(y)})"
        ElementTree.SubElement(self._root, "text", attributes).text = words

    def points(
        self, x: Values, y: Values, colour: str, *, marker: str = DOT, opacity: float = 0.55
    ) -> None:
        """Points that darken where they lie over each other; undefined ones are left out."""
        defined = ~(np.isnan(x) | np.isnan(y))
        x, y = x[defined], y[defined]
        if x.size > MAX_VECTOR_POINTS:
            self._picture(_cloud(x, y, colour, opacity, math.ceil(self.height)))
            return
        look = {"fill": colour, "fill-opacity": _number(opacity)}
        group = ElementTree.SubElement(self._root, "g", look)
        for across, down in zip(x.tolist(), y.tolist(), strict=True):
            place = f"M{_number(across)} {_number(down)}"
            ElementTree.SubElement(group, "path", {"d": place + marker})

    def _picture(self, pixels: NDArray[np.uint8]) -> None:
        height, width = pixels.shape[:2]
        attributes = {"width": str(width // DENSITY), "height": str(height // DENSITY)}
        ElementTree.SubElement(
            self._root, "image", {**attributes, "href": data_uri(pixels, ".png")}
        )

    def axis_below(self, along: Scale, y: float, title: str, *, whole: bool = False) -> None:
        """An axis from left to right, its numbers, whole ones if asked, and its title below."""
        self.line([along.start, along.end], [y, y])
        ticks = along.ticks()
        if whole:
            ticks = {value: f"{value:,.0f}" for value in ticks if value.is_integer()}
        needed = FONT_SIZE * 0.6 * sum(len(words) + 2 for words in ticks.values())
        every = math.ceil(needed / (along.end - along.start))
        for value, words in list(ticks.items())[::every]:
            x = float(along(value))
            self.line([x, x], [y, y + 4])
            room = WIDTH - FONT_SIZE * 0.3 * len(words)  # the last number stays in the picture
            self.text(min(x, room), y + 18, words, anchor="middle")
        self.text((along.start + along.end) / 2, y + 38, title, anchor="middle")

    def axis_left(self, along: Scale, x: float, title: str) -> None:
        """An axis upwards, its numbers and title on the left."""
        self.line([x, x], [along.start, along.end])
        for value, words in along.ticks().items():
            y = float(along(value))
            self.line([x - 4, x], [y, y])
            self.text(x - 7, y + 0.35 * FONT_SIZE, words, anchor="end")
        self.text(FONT_SIZE, (along.start + along.end) / 2, title, anchor="middle", upwards=True)

    def source(self) -> str:
        """The drawing as a data URI."""
        text = ElementTree.tostring(self._root)
        return "data:image/svg+xml;base64," + base64.b64encode(text).decode()


def shortened(words: str, most: int) -> str:
    """Words of at most so many letters.

    Examples:
        >>> shortened("left ventricle", 8)
        'left ve…'
    """
    return words if len(words) <= most else words[: most - 1] + "…"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _path(x: Values, y: Values) -> str:
    parts, command = [], "M"
    for across, down in zip(x.tolist(), y.tolist(), strict=True):
        if math.isnan(across) or math.isnan(down):
            command = "M"
            continue
        parts.append(f"{command}{_number(across)} {_number(down)}")
        command = "L"
    return "".join(parts)


def _cloud(x: Values, y: Values, colour: str, opacity: float, height: int) -> NDArray[np.uint8]:
    """A picture of points `(DENSITY * height, DENSITY * WIDTH, 4)`, blue before red."""
    counts = np.zeros((DENSITY * height, DENSITY * WIDTH), dtype=np.float32)
    np.add.at(counts, ((DENSITY * y).astype(np.intp), (DENSITY * x).astype(np.intp)), 1)
    side = 2 * DENSITY + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)).astype(np.float32)
    over = cv2.filter2D(counts, -1, disc, borderType=cv2.BORDER_CONSTANT).round()
    pixels = np.empty((*counts.shape, 4), dtype=np.uint8)
    pixels[..., :3] = tuple(int(colour[place : place + 2], 16) for place in (5, 3, 1))
    pixels[..., 3] = np.rint(255 * (1 - (1 - opacity) ** over))
    return pixels
