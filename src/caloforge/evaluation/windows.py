"""Bin edges of the separation power: the CaloChallenge's where it defines them, else from the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry.challenge import DISCRETE_ENERGIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Frame
    from caloforge.geometry import Layer

__all__ = [
    "discrete_energies",
    "discrete_fraction_edges",
    "energy_edges",
    "fraction_edges",
    "lateral_edges",
    "sparsity_edges",
]

_LONGITUDINAL = {12, 13}
_OUTER = {12, 13, 14}
_MARGIN = 0.1


def fraction_edges(frame: Frame) -> NDArray[np.float64]:
    """E_vis / E_inc: 100 bins on 0.5 to 1.5 (CaloChallenge); raw energies: times the reference's mean."""
    scale = 1.0 if frame.challenge else float(np.mean(frame.reference["fraction"]))
    return np.linspace(0.5, 1.5, 101)[None, :] * scale


def energy_edges(frame: Frame) -> NDArray[np.float64]:
    """Energy per layer [MeV]: 39 logarithmic bins, threshold to the reference's largest, ``(L, 40)``."""
    cut = frame.geometry.threshold if frame.challenge else 0.0
    low = cut if cut > 0 else frame.binning.spectrum[0]
    highest = frame.reference["layer_energy"].max(axis=0)
    # the CaloChallenge's, bit by bit: the logarithm has the precision of the energies
    return np.array([np.logspace(np.log10(low), np.log10(max(e, low * 1.01)), 40) for e in highest])


def discrete_energies(frame: Frame) -> NDArray[np.float64] | None:
    """Edges of the incident energies of the CaloChallenge's data set 1 [MeV], ``(16,)``; else None.

    The edges lie between the energies, which files may hold in any precision.
    """
    if frame.challenge is None or not frame.challenge.discrete:
        return None
    edges: NDArray[np.float64] = np.append(DISCRETE_ENERGIES, 2.0 * DISCRETE_ENERGIES[-1]) / np.sqrt(2.0)
    return edges


def discrete_fraction_edges(frame: Frame) -> NDArray[np.float64]:
    """E_vis / E_inc at each of these energies: 20 bins, narrow for photons from 4 GeV on, ``(15, 21)``."""
    wide, narrow = np.linspace(0.4, 1.4, 21), np.linspace(0.9, 1.1, 21)
    photons = frame.challenge is not None and frame.challenge.geometry.particle == "photon"
    return np.array([narrow if photons and number > 3 else wide for number in range(15)])


def sparsity_edges(frame: Frame) -> NDArray[np.float64]:
    """Sparsity: 20 bins on 0 to 1 (CaloChallenge); elsewhere on the range of the reference, ``(L, 21)``."""
    if frame.challenge:
        return np.tile(np.linspace(0.0, 1.0, 21), (frame.geometry.n_layers, 1))
    values = frame.reference["sparsity"]
    step = 1.0 / np.array([layer.grid.n_cells for layer in frame.geometry.layers])
    low, high = values.min(axis=0) - 0.5 * step, values.max(axis=0) + 0.5 * step
    return np.linspace(low, high, 21).T


def lateral_edges(frame: Frame, name: str) -> NDArray[np.float64]:
    """Centres and widths per layer [mm]: 100 bins, ``(L, 101)``.

    The CaloChallenge's windows for its geometries (reference section 13.3). Elsewhere one window
    for all layers: the central 99.8 % of the reference's layers that have energy, 10 % wider on
    both sides.
    """
    if frame.challenge:
        known = frame.challenge  # its layers have the challenge's numbers
        windows = [_official(x, name, cylinder=not known.discrete) for x in known.geometry.layers]
        return np.array([np.linspace(low, high, 101) for low, high in windows])
    values = frame.reference[name][frame.reference["layer_energy"] > 0]
    low, high = np.quantile(values, [0.001, 0.999]) if len(values) else (0.0, 1.0)
    margin = max(_MARGIN * (high - low), 1e-3)
    low = low - margin if name.startswith("layer_") and not name.endswith("_r") else max(low - margin, 0.0)
    return np.tile(np.linspace(low, high + margin, 101), (frame.geometry.n_layers, 1))


def _official(layer: Layer, name: str, *, cylinder: bool) -> tuple[float, float]:
    if name.endswith("_r"):
        inner = 42.0 if name == "layer_r" else 20.0
        return (0.0, inner if cylinder else 1500.0 if layer.id in _OUTER else 500.0)
    if name.startswith("width"):
        return (0.0, 30.0 if cylinder else 400.0 if layer.id in _LONGITUDINAL else 100.0)
    half = 30.0 if cylinder else 500.0 if layer.id in _LONGITUDINAL else 100.0
    return (-half, half)
