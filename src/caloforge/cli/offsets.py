"""Lateral positions as they are typed: ``1.5,-2``."""

from __future__ import annotations

import math

from caloforge.errors import ConfigError, bad, shown

__all__ = ["parse_offset"]


def parse_offset(text: str, *, what: str = "--offset") -> tuple[float, float]:
    """Read x and y in mm.

    Raises:
        ConfigError: Not two finite numbers.
    """
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ConfigError(bad(what, got=shown(text), expected="two numbers in mm such as 1.5,-2"))
    return x, y
