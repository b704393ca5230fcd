"""Energy regimes as they are typed: ``0.5,5``."""

from __future__ import annotations

import math

from caloforge.errors import ConfigError, bad, shown

__all__ = ["parse_regimes"]


def parse_regimes(text: str | None, *, what: str = "--regimes") -> tuple[float, float] | None:
    """Read two rising cell energies in MeV; None when nothing was typed.

    Raises:
        ConfigError: Not two rising positive numbers.
    """
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = math.nan
    if not 0 < low < high < math.inf:
        raise ConfigError(bad(what, got=shown(text), expected="two rising energies in MeV such as 0.5,5"))
    return low, high
