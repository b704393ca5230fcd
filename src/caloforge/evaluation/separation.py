"""Separation power of histograms: 0 when two samples agree, 1 when they do not overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation import windows
from caloforge.evaluation.histograms import Histogram, ShowerBins, bootstrap
from caloforge.evaluation.results import Value
from caloforge.features.binning import SPECTRUM_SPLIT
from caloforge.geometry import PolarGrid

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Frame, Pair
    from caloforge.features import FeatureTable

__all__ = ["separation_metric", "separation_power"]

_DISCRETE = 20
_Observable = tuple[str, str, "Callable[[FeatureTable, Frame], ShowerBins]"]


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
    return [_measure(pair, *entry) for entry in _observables(pair.frame)]


def _observables(frame: Frame) -> list[_Observable]:
    entries: list[_Observable] = [("fraction", "E_vis / E_inc", _fraction)]
    if _discrete_energies(frame) is not None:
        entries.append(("fraction_by_energy", "E_vis / E_inc, by energy", _fraction_by_energy))
    entries.append(("layer_energy", "energy per layer", _layer_energy))
    lateral = {"layer": "centre", "width": "width"}
    for coordinate in ("x", "y", "r"):
        for kind, word in lateral.items():
            name = f"{kind}_{coordinate}"
            entries.append((name, f"{word} per layer in {coordinate}", _lateral(name)))
    entries.append(("sparsity", "sparsity per layer", _sparsity))
    entries.append(("cell_energy", "cell energy", _spectrum))
    return entries


def _measure(pair: Pair, name: str, title: str, bins: Callable[[FeatureTable, Frame], ShowerBins]) -> Value:
    reference, generated = bins(pair.reference, pair.frame), bins(pair.generated, pair.frame)
    powers = _powers(reference, generated, None, None)
    error = bootstrap(
        lambda first, second: float(_powers(reference, generated, first, second).mean()),
        pair.sizes,
        resamples=pair.resamples,
        rng=pair.frame.rng(name),
    )
    edges = reference.edges
    settings = {
        "bins": edges.shape[1] - 1,
        "windows": [[float(e[0]), float(e[-1])] for e in edges],
        "per_group": powers.tolist(),
        "official_bins": windows.is_challenge(pair.frame),
    }
    return Value(f"separation.{name}", title, float(powers.mean()), error, settings)


def _powers(
    reference: ShowerBins,
    generated: ShowerBins,
    first: NDArray[np.float64] | None,
    second: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    edges = reference.edges[0]
    return separation_power(Histogram(edges, reference.fill(first)), Histogram(edges, generated.fill(second)))


def _fraction(table: FeatureTable, frame: Frame) -> ShowerBins:
    return ShowerBins.of(table["fraction"][:, None], windows.fraction_edges(frame))


def _fraction_by_energy(table: FeatureTable, frame: Frame) -> ShowerBins:
    energies = _discrete_energies(frame)
    energies = np.empty(0) if energies is None else energies
    wide, narrow = np.linspace(0.4, 1.4, 21), np.linspace(0.9, 1.1, 21)
    photons = frame.geometry.name == "calochallenge-1-photons"
    edges = np.array([narrow if photons and i >= 4 else wide for i in range(len(energies))])
    same = np.isclose(table["energy"][:, None], energies[None, :], rtol=1e-4)
    return ShowerBins.of(np.where(same, table["fraction"][:, None], -1.0), edges)


def _discrete_energies(frame: Frame) -> NDArray[np.float64] | None:
    if not windows.is_challenge(frame):
        return None
    energies = np.unique(frame.reference["energy"])
    return energies if 1 < len(energies) <= _DISCRETE else None


def _layer_energy(table: FeatureTable, frame: Frame) -> ShowerBins:
    return ShowerBins.of(table["layer_energy"], windows.energy_edges(frame))


def _sparsity(table: FeatureTable, frame: Frame) -> ShowerBins:
    return ShowerBins.of(table["sparsity"], windows.sparsity_edges(frame))


def _lateral(name: str) -> Callable[[FeatureTable, Frame], ShowerBins]:
    def bins(table: FeatureTable, frame: Frame) -> ShowerBins:
        layers = frame.geometry.layers
        if name.endswith("_r"):
            chosen = np.arange(len(layers))
        else:
            grids = [layer.grid for layer in layers]
            chosen = np.flatnonzero([not isinstance(g, PolarGrid) or g.n_alpha > 1 for g in grids])
        return ShowerBins.of(table[name][:, chosen], windows.lateral_edges(frame, name)[chosen])

    return bins


def _spectrum(table: FeatureTable, frame: Frame) -> ShowerBins:
    edges = frame.binning.official_spectrum
    used = table["spectrum"][:, : (len(edges) - 1) * SPECTRUM_SPLIT]
    counts = used.reshape(len(table), len(edges) - 1, SPECTRUM_SPLIT).sum(axis=2)
    return ShowerBins(edges[None, :], counts=counts)
