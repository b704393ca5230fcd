"""Bin edges of the separation power: the CaloChallenge's where it defines them, else from the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry import PolarGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Frame
    from caloforge.geometry import Layer

__all__ = [
    "discrete_energies",
    "discrete_fraction_edges",
    "energy_edges",
    "fraction_edges",
    "is_challenge",
    "lateral_edges",
    "sparsity_edges",
]

_LONGITUDINAL = {12, 13}
_OUTER = {12, 13, 14}
_CHALLENGE_RADIUS = 41.85
_MARGIN = 0.1


def is_challenge(frame: Frame) -> bool:
    """Whether the geometry is read out as one of the CaloChallenge's data sets."""
    grids = [layer.grid for layer in frame.geometry.layers]
    if not all(isinstance(grid, PolarGrid) for grid in grids):
        return False
    return frame.geometry.name.startswith("calochallenge-1") or _is_cylinder(frame)


def _is_cylinder(frame: Frame) -> bool:
    grid = frame.geometry.layers[0].grid
    uniform = frame.geometry.is_uniform and isinstance(grid, PolarGrid)
    return uniform and bool(np.isclose(getattr(grid, "r_edges", (0,))[-1], _CHALLENGE_RADIUS))


def fraction_edges(frame: Frame) -> NDArray[np.float64]:
    """E_vis / E_inc: 100 bins on 0.5 to 1.5 (CaloChallenge); raw energies: times the reference's mean."""
    scale = 1.0 if is_challenge(frame) else float(np.mean(frame.reference["fraction"]))
    return np.linspace(0.5, 1.5, 101)[None, :] * scale


def energy_edges(frame: Frame) -> NDArray[np.float64]:
    """Energy per layer [MeV]: 39 logarithmic bins, threshold to the reference's largest, ``(L, 40)``."""
    low = frame.geometry.threshold if is_challenge(frame) else frame.binning.spectrum[0]
    highest = frame.reference["layer_energy"].max(axis=0)
    # the CaloChallenge's, bit by bit: the logarithm has the precision of the energies
    return np.array([np.logspace(np.log10(low), np.log10(max(e, low * 1.01)), 40) for e in highest])


def discrete_energies(frame: Frame) -> NDArray[np.float64] | None:
    """Edges of the incident energies of the CaloChallenge's data set 1 [MeV], ``(16,)``; else None."""
    energies = np.exp2(np.arange(8.0, 24.0))
    found = frame.reference["energy"]
    discrete = frame.geometry.name.startswith("calochallenge-1") and np.isin(found, energies).all()
    return energies if discrete else None


def discrete_fraction_edges(frame: Frame) -> NDArray[np.float64]:
    """E_vis / E_inc at each of these energies: 20 bins, narrow for photons from 4 GeV on, ``(15, 21)``."""
    wide, narrow = np.linspace(0.4, 1.4, 21), np.linspace(0.9, 1.1, 21)
    photons = frame.geometry.particle == "photon"
    return np.array([narrow if photons and number > 3 else wide for number in range(15)])


def sparsity_edges(frame: Frame) -> NDArray[np.float64]:
    """Sparsity: 20 bins on 0 to 1 (CaloChallenge); elsewhere on the range of the reference, ``(L, 21)``."""
    if is_challenge(frame):
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
    if is_challenge(frame):
        windows = [_official(layer, name, cylinder=_is_cylinder(frame)) for layer in frame.geometry.layers]
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
