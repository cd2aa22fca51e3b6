"""Replacements for characters that the encoding of a terminal, log or pipe lacks."""

from __future__ import annotations

import codecs
import sys
import unicodedata
from typing import TextIO

#: Name of the error handler that `main` sets on stdout and stderr.
HANDLER = "anl-seg-printable"
#: Replacements for characters of our own output.
SUBSTITUTES = {
    **{"±": "+/-", "–": "-", "—": "-", "−": "-", "×": "x", "…": "...", "→": "->", "←": "<-"},
    **{"≤": "<=", "≥": ">=", "•": "*", "·": ".", "’": "'", "‘": "'", "“": '"', "”": '"'},
    **{"Δ": "delta", "δ": "delta", "α": "alpha", "β": "beta", "γ": "gamma", "η": "eta"},
    **{"λ": "lambda", "τ": "tau", "ν": "nu", "√": "sqrt", "∞": "inf"},
}


def printable(text: str, encoding: str | None = None) -> str:
    """Replace characters that an encoding lacks by characters that it has.

    Args:
        text: Any text.
        encoding: Name of the encoding; by default the encoding of stdout.

    Returns:
        The text with replacements, or unchanged if the encoding has all its characters.

    Examples:
        >>> printable("0.8±0.1", "ascii"), printable("0.8±0.1", "latin-1")
        ('0.8+/-0.1', '0.8±0.1')
    """
    encoding = encoding or getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, HANDLER).decode(encoding)


def make_printable(stream: TextIO) -> None:
    """Make a text stream replace characters that its encoding lacks, instead of failing."""
    if reconfigure := getattr(stream, "reconfigure", None):  # a test's stream may lack it
        reconfigure(errors=HANDLER)


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    return "".join(_ascii(character) for character in part), error.end


def _ascii(character: str) -> str:
    if character in SUBSTITUTES:
        return SUBSTITUTES[character]
    if "BOX DRAWINGS" in (name := unicodedata.name(character, "")):
        return "-" if "HORIZONTAL" in name and "VERTICAL" not in name else "|"
    plain = unicodedata.normalize("NFKD", character)[0]
    if plain.isascii():
        return plain  # an accented letter without its accent
    return character.encode("ascii", "backslashreplace").decode()


codecs.register_error(HANDLER, _substitute)
