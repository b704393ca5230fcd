"""Separation power of histograms: 0 when two samples agree, 1 when they do not overlap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation import windows
from caloforge.evaluation.histograms import Histogram, ShowerBins, find_index
from caloforge.evaluation.results import Value
from caloforge.features.binning import SPECTRUM_BINS, SPECTRUM_SPLIT
from caloforge.features.bins import find_bins
from caloforge.geometry import PolarGrid
from caloforge.geometry.challenge import DISCRETE_ENERGIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Frame, Pair
    from caloforge.features import FeatureTable

__all__ = ["separation_metric", "separation_power"]

_Weights = tuple["NDArray[np.float32]", "NDArray[np.float32]"]


def separation_power(first: Histogram, second: Histogram) -> NDArray[np.float64]:
    """Half the sum of (h1 - h2)^2 / (h1 + h2) of histograms normalised to their in-range entries.

    Equation 15 of 2009.03796, as the CaloChallenge computes it (reference section 13.3). Two empty
    histograms agree (0); an empty and a filled one do not overlap (1).

    Returns:
        One number per group, shape of the counts without the last axis.
    """
    h1, h2 = first.shares, second.shares
    power = 0.5 * ((h1 - h2) ** 2 / (h1 + h2 + 1e-16)).sum(axis=-1)
    return np.where(h1.any(axis=-1) != h2.any(axis=-1), 1.0, power)


def separation_metric(pair: Pair) -> list[Value]:
    """Separation power of the CaloChallenge's histograms, averaged over layers."""
    weights = pair.draws(pair.frame.rng("separation")) if pair.resamples > 1 else None
    return [_measure(pair, observable, weights) for observable in _observables(pair.frame)]


@dataclass(frozen=True)
class _Observable:
    """How the showers of a table are put into bins."""

    name: str
    title: str
    bins: Callable[[FeatureTable], ShowerBins]
    more: Mapping[str, Any] = field(default_factory=dict)


def _observables(frame: Frame) -> list[_Observable]:
    grids = [layer.grid for layer in frame.geometry.layers]
    split = np.flatnonzero([not isinstance(grid, PolarGrid) or grid.n_alpha > 1 for grid in grids])
    entries = [_column("fraction", "E_vis / E_inc", windows.fraction_edges(frame))]
    entries += _by_energy(frame)
    entries.append(_column("layer_energy", "energy per layer", windows.energy_edges(frame)))
    for coordinate in ("x", "y", "r"):
        for kind, word in (("layer", "centre"), ("width", "width")):
            name, title = f"{kind}_{coordinate}", f"{word} per layer in {coordinate}"
            chosen = slice(None) if coordinate == "r" else split
            entries.append(_column(name, title, windows.lateral_edges(frame, name), chosen))
    entries.append(_column("sparsity", "sparsity per layer", windows.sparsity_edges(frame)))
    entries.append(_Observable("cell_energy", "cell energy", lambda table: _spectrum(table, frame)))
    return entries


def _column(
    name: str, title: str, edges: NDArray[np.float64], chosen: slice | NDArray[np.intp] = slice(None)
) -> _Observable:
    edges = edges[chosen]

    def index(table: FeatureTable) -> NDArray[np.int16]:
        return find_index(table[name].reshape(len(table), -1)[:, chosen], edges)

    def bins(table: FeatureTable) -> ShowerBins:
        return ShowerBins(edges, index=table.derived((name, edges.tobytes()), index))

    return _Observable(name, title, bins)


def _by_energy(frame: Frame) -> list[_Observable]:
    energies = windows.discrete_energies(frame)
    if energies is None:
        return []
    edges = windows.discrete_fraction_edges(frame)
    present = np.unique(find_bins(frame.reference["energy"], energies))

    def bins(table: FeatureTable) -> ShowerBins:
        same = find_bins(table["energy"], energies)[:, None] == present
        return ShowerBins.of(np.where(same, table["fraction"][:, None], -1.0), edges[present])

    title, more = "E_vis / E_inc, by energy", {"energies_mev": DISCRETE_ENERGIES[present].tolist()}
    return [_Observable("fraction_by_energy", title, bins, more)]


def _spectrum(table: FeatureTable, frame: Frame) -> ShowerBins:
    edges = frame.binning.official_spectrum
    compute = _challenge_spectrum if frame.challenge else _coarse_spectrum
    return ShowerBins(edges[None, :], counts=table.derived((compute.__name__, edges.tobytes()), compute))


def _coarse_spectrum(table: FeatureTable) -> NDArray[np.int32]:
    fine = table["spectrum"]
    counts = np.zeros((len(table), SPECTRUM_BINS), np.int32)
    for part in range(SPECTRUM_SPLIT):  # many times as fast as sums over a short last axis
        counts += fine[:, part : SPECTRUM_BINS * SPECTRUM_SPLIT : SPECTRUM_SPLIT]
    return counts


def _challenge_spectrum(table: FeatureTable) -> NDArray[np.int32]:
    counts = _coarse_spectrum(table)
    counts[:, 0] -= table["below_spectrum"]
    return counts


def _measure(pair: Pair, observable: _Observable, weights: _Weights | None) -> Value:
    name = f"separation.{observable.name}"
    reference, generated = observable.bins(pair.reference), observable.bins(pair.generated)
    if not reference.fill().any():
        note = "Nothing of the reference lies inside of the bins: there is nothing to compare with."
        return Value(name, observable.title, None, note=note)
    powers = _powers(reference, generated)
    error = None
    if weights is not None:
        error = float(_powers(reference, generated, weights).mean(axis=1).std(ddof=1))
    edges = reference.edges
    settings = {
        "bins": edges.shape[1] - 1,
        "windows": [[float(e[0]), float(e[-1])] for e in edges],
        "per_group": powers.tolist(),
        "official_bins": pair.frame.challenge is not None,
        **observable.more,
    }
    return Value(name, observable.title, float(powers.mean()), error, settings)


def _powers(
    reference: ShowerBins, generated: ShowerBins, weights: _Weights | tuple[None, None] = (None, None)
) -> NDArray[np.float64]:
    edges = reference.edges[0]
    first, second = (
        Histogram(edges, bins.fill(own)) for bins, own in zip((reference, generated), weights, strict=True)
    )
    return separation_power(first, second)
