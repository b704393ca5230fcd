"""Numbers with errors behind the figures: histograms and means over showers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from caloforge.features import FeatureTable

__all__ = ["Curve", "energy_bins", "histogram", "mean_in_bins", "shower_mean"]

_COLUMNS = 16  # of a table whose numbers are made precise at once


@dataclass(frozen=True)
class Curve:
    """Values and their statistical errors, ``(B,)`` each; NaN where there is nothing."""

    values: NDArray[np.float64]
    errors: NDArray[np.float64]

    def __truediv__(self, divisor: ArrayLike) -> Curve:
        """Divide values and errors; by zero gives NaN."""
        by = np.broadcast_to(np.asarray(divisor, dtype=np.float64), self.values.shape)
        out = [np.full_like(self.values, np.nan) for _ in range(2)]
        np.divide(self.values, by, out=out[0], where=by != 0)
        np.divide(self.errors, np.abs(by), out=out[1], where=by != 0)
        return Curve(*out)


def histogram(values: NDArray[np.floating], edges: NDArray[np.floating]) -> Curve:
    """Share of the entries in every bin, with the errors of counting."""
    counts = np.histogram(values, bins=edges)[0]
    return Curve(counts / max(len(values), 1), np.sqrt(counts) / max(len(values), 1))


def shower_mean(values: NDArray[np.generic], weights: NDArray[np.bool_] | None = None) -> Curve:
    """Mean over showers of ``(n, B)``; with ``weights`` over the showers that count in a column."""
    columns = [slice(start, start + _COLUMNS) for start in range(0, values.shape[1], _COLUMNS)]
    parts = [_mean(values[:, some], None if weights is None else weights[:, some]) for some in columns]
    if not parts:
        return Curve(np.empty(0), np.empty(0))
    return Curve(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("values", "errors")))


def _mean(values: NDArray[np.generic], weights: NDArray[np.bool_] | None) -> Curve:
    data = np.asarray(values, dtype=np.float64)
    counted = np.ones(data.shape) if weights is None else weights.astype(np.float64)
    number = np.maximum(counted.sum(axis=0), 1.0)
    mean = (data * counted).sum(axis=0) / number
    variance = (counted * (data - mean) ** 2).sum(axis=0) / number
    empty = counted.sum(axis=0) == 0
    return Curve(np.where(empty, np.nan, mean), np.where(empty, np.nan, np.sqrt(variance / number)))


def energy_bins(table: FeatureTable, bins: int = 8) -> NDArray[np.float64]:
    """Edges of bins of incident energy with about equal numbers of showers [MeV]; empty for one energy."""
    energies = np.unique(table["energy"])
    if len(energies) == 1:
        return np.empty(0)
    if len(energies) <= 2 * bins:
        middles = np.sqrt(energies[1:] * energies[:-1])
        return np.concatenate([[energies[0] ** 2 / middles[0]], middles, [energies[-1] ** 2 / middles[-1]]])
    return np.asarray(np.quantile(table["energy"], np.linspace(0, 1, bins + 1)))


def mean_in_bins(
    values: NDArray[np.floating], where: NDArray[np.floating], edges: NDArray[np.floating]
) -> Curve:
    """Mean of ``values``, ``(n,)``, in bins of ``where``, ``(n,)``."""
    parts = _split(values, where, edges)
    means = [np.mean(p) if len(p) else np.nan for p in parts]
    errors = [np.std(p) / np.sqrt(len(p)) if len(p) else np.nan for p in parts]
    return Curve(np.array(means), np.array(errors))


def _split(
    values: NDArray[np.floating], where: NDArray[np.floating], edges: NDArray[np.floating]
) -> list[NDArray[np.floating]]:
    index = np.clip(np.searchsorted(edges, where, side="right") - 1, -1, len(edges) - 1)
    index = np.where(where == edges[-1], len(edges) - 2, index)
    return [values[index == k] for k in range(len(edges) - 1)]
