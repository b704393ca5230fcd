"""Bin edges of the separation power: the CaloChallenge's where it defines them, else from the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry import PolarGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Frame
    from caloforge.geometry import Layer

__all__ = ["energy_edges", "fraction_edges", "is_challenge", "lateral_edges", "sparsity_edges"]

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
    low = frame.binning.spectrum[0]
    high = np.maximum(frame.reference["layer_energy"].max(axis=0).astype(np.float64), low * 1.01)
    return np.logspace(np.log10(low), np.log10(high), 40).T


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
