"""Numbers with errors as text."""

from __future__ import annotations

import math

__all__ = ["compact", "number"]

_MOST_DIGITS = 5
_SIGNIFICANT = 4
_GROUPED = 10_000


def number(value: float | None, error: float | None, digits: int | None = None) -> str:
    """Value and error as text; a dash for None.

    Args:
        value: The number.
        error: One standard deviation; not shown when None.
        digits: After the point, more when the error needs them; None: as many as the error needs, and
            four significant ones without an error.
    """
    if value is None or not math.isfinite(value):
        return "–"
    known = error if error is not None and math.isfinite(error) else None
    places = _places(value, known, digits)
    text = _fixed(value, places)
    return text if known is None else f"{text} ± {_fixed(known, places)}"


def compact(value: float) -> str:
    """A count in three digits, such as 505k or 14.2M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _places(value: float, error: float | None, digits: int | None) -> int:
    if digits is not None:
        needed = math.ceil(-math.log10(error)) if error else digits
        return max(digits, min(needed, _MOST_DIGITS))
    leading = 2 if error else _SIGNIFICANT
    scale = error or abs(value)
    return max(0, leading - 1 - math.floor(math.log10(scale))) if scale > 0 else 0


def _fixed(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    return f"{value:,.{places}f}".replace(",", " ") if abs(value) >= _GROUPED else text
