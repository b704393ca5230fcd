"""Units: inside of caloforge everything is in MeV, mm and rad; multiply to come in, divide to go out."""

from __future__ import annotations

import math

__all__ = ["GEV", "MEV", "KEV", "MM", "CM", "DEGREE", "RAD", "unit_name"]  # noqa: RUF022 (by kind)

MEV = 1.0
GEV = 1000.0
KEV = 1e-3
MM = 1.0
CM = 10.0
RAD = 1.0
DEGREE = math.pi / 180.0

_NAMES = {MEV: "MeV", GEV: "GeV", KEV: "keV"}


def unit_name(size: float) -> str:
    """A unit of energy in words, by its size [MeV]: "GeV", or "GeV / 50" for 20 MeV."""
    if size in _NAMES:
        return _NAMES[size]
    parts = GEV / size
    return f"GeV / {parts:g}" if parts == round(parts) else f"{size:g} MeV"
