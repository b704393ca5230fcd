"""Units: inside of caloforge everything is in MeV, mm and rad; multiply to come in, divide to go out."""

from __future__ import annotations

import math

__all__ = ["GEV", "MEV", "KEV", "MM", "CM", "DEGREE", "RAD"]  # noqa: RUF022 (by kind)

MEV = 1.0
GEV = 1000.0
KEV = 1e-3
MM = 1.0
CM = 10.0
RAD = 1.0
DEGREE = math.pi / 180.0
