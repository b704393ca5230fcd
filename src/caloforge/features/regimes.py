"""Cells in three regimes of their energy, as CaloPointFlow counts them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import ConfigError, bad
from caloforge.features.sums import sums_by_index

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.features.hits import Hits

__all__ = ["CellQuantiles", "check_regimes", "regime_columns"]

_SHARES = (0.5, 0.9)
_PER_DECADE = 64
_LOWEST, _HIGHEST = -8, 8


class CellQuantiles:
    """Collects cell energies [MeV], and gives the default edges of the regimes.

    The paper (NeurIPS ML4PS 2022, figure 3) shows three regimes without naming their edges. Ours are
    the energies below which a half and nine tenths of the reference's cells lie, rounded to one digit,
    so that another sample of the same detector most probably has the same ones.
    """

    def __init__(self) -> None:
        self._counts = np.zeros((_HIGHEST - _LOWEST) * _PER_DECADE, np.int64)

    def add(self, energy: NDArray[np.floating]) -> None:
        """Count the energies of a block."""
        index = np.floor((np.log10(energy) - _LOWEST) * _PER_DECADE).astype(np.int64)
        np.clip(index, 0, len(self._counts) - 1, out=index)
        self._counts += np.bincount(index, minlength=len(self._counts))

    def merge(self, other: CellQuantiles) -> None:
        """Add what another one has counted."""
        self._counts += other._counts

    def edges(self) -> NDArray[np.float64]:
        """The two inner edges [MeV], ``(2,)``; far apart from each other at least by a factor of two."""
        share = np.cumsum(self._counts) / max(self._counts.sum(), 1)
        powers = _LOWEST + (np.searchsorted(share, _SHARES) + 0.5) / _PER_DECADE
        low, high = (_rounded(float(10.0**p)) for p in powers)
        return np.array([low, max(high, 2.0 * low)])


def check_regimes(edges: tuple[float, float]) -> NDArray[np.float64]:
    """The edges as an array.

    Raises:
        ConfigError: They are not two rising energies.
    """
    low, high = edges
    if not 0 < low < high < math.inf:
        raise ConfigError(
            bad("energy regimes", got=f"{low:g} and {high:g}", expected="two rising energies in MeV")
        )
    return np.array([low, high], dtype=np.float64)


def regime_columns(hits: Hits, edges: NDArray[np.float64]) -> dict[str, NDArray[np.generic]]:
    """``regime_hits`` and ``regime_energy`` [MeV], each ``(B, 3)``: below, between and above ``edges``."""
    index = (hits.energy >= edges[0]).astype(np.int32)
    index += hits.energy >= edges[1]
    number = sums_by_index(hits, np.ones(len(index), np.int32), index, 3)
    energy = sums_by_index(hits, hits.energy, index, 3)
    return {"regime_hits": number, "regime_energy": energy.astype(np.float32)}


def _rounded(value: float) -> float:
    """To one significant digit."""
    return float(f"{value:.0e}")
