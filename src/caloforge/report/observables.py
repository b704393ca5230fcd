"""The figures of the showers' observables: which ones, in which bins, with which caption."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry import PolarGrid
from caloforge.report.curves import Curve, histogram, shower_mean
from caloforge.report.plot import Plot
from caloforge.report.ratio import Axis
from caloforge.report.samples import common_edges, sample_figure
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.features import FeatureTable
    from caloforge.geometry import Geometry

__all__ = ["observable_plots"]

_WHOLE = {
    "visible": ("visible energy [GeV]", 1.0 / GEV, "Visible energy: sum of all cells above threshold."),
    "fraction": ("visible / incident energy", 1.0, "Sampling fraction: visible over incident energy."),
    "hits": ("cells above threshold", 1.0, "Number of hits: cells above threshold."),
    "cog_x": ("centre of gravity x [mm]", 1.0, "Energy-weighted mean position in x."),
    "cog_y": ("centre of gravity y [mm]", 1.0, "Energy-weighted mean position in y."),
    "cog_z": ("centre of gravity z [mm]", 1.0, "Energy-weighted mean depth, from the front face."),
}


def observable_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw all observables, one figure at a time (inside of ``style()``)."""
    yield from _whole_shower(evaluation)
    yield from _profiles(evaluation)
    yield from _layers(evaluation)


def _whole_shower(evaluation: Evaluation) -> Iterator[Plot]:
    for name, (label, unit, caption) in _WHOLE.items():
        values = partial(_column, name=name, unit=unit)
        edges, log = common_edges(evaluation, values)
        curve = partial(_histogram, name=name, unit=unit, edges=edges)
        axis = Axis(label, "share of showers", log_x=log)
        yield Plot(name, "Showers", caption, sample_figure(evaluation, edges, curve, axis))


def _column(table: FeatureTable, *, name: str, unit: float) -> NDArray[np.float64]:
    return np.asarray(table[name] * unit)


def _histogram(table: FeatureTable, *, name: str, unit: float, edges: NDArray[np.floating]) -> Curve:
    return histogram(table[name] * unit, edges)


def _profiles(evaluation: Evaluation) -> Iterator[Plot]:
    section = "Profiles"
    figure = sample_figure(
        evaluation,
        _layer_edges(evaluation.geometry),
        lambda table: shower_mean(table["layer_energy"]),
        Axis("layer", "energy per shower [MeV]"),
    )
    yield Plot("longitudinal", section, "Longitudinal profile: mean energy per layer.", figure)
    edges = evaluation.binning.profile
    figure = sample_figure(
        evaluation,
        edges,
        lambda table: shower_mean(table["radial_profile"]) / (np.pi * np.diff(edges**2)),
        Axis("distance to the axis [mm]", r"energy per area [MeV/mm$^2$]", log_y=True),
    )
    caption = "Radial profile: mean energy per area around the axis of the incident particle."
    yield Plot("radial", section, caption, figure)


def _layers(evaluation: Evaluation) -> Iterator[Plot]:
    entries: list[tuple[str, str, Callable[[FeatureTable], Curve], Axis]] = [
        (
            "layer_hits",
            "Mean number of hits per layer.",
            lambda table: shower_mean(table["layer_hits"]),
            Axis("layer", "hits per shower"),
        ),
        (
            "layer_spread",
            "Shower-to-shower standard deviation of the energy per layer.",
            _spread,
            Axis("layer", "spread of the layer energy [MeV]"),
        ),
        *(
            (
                f"width_{coordinate}",
                f"Mean energy-weighted width in {coordinate}, of layers with energy.",
                partial(_mean_of_filled, name=f"width_{coordinate}"),
                Axis("layer", f"width in {coordinate} [mm]"),
            )
            for coordinate in ("r" if _is_ring(evaluation.geometry) else "xr")
        ),
        (
            "sparsity",
            "Mean share of cells without energy.",
            lambda table: shower_mean(table["sparsity"]),
            Axis("layer", "sparsity", from_zero=False),
        ),
    ]
    layers = _layer_edges(evaluation.geometry)
    for key, caption, curve, axis in entries:
        yield Plot(key, "Layers", caption, sample_figure(evaluation, layers, curve, axis))


def _layer_edges(geometry: Geometry) -> NDArray[np.floating]:
    return np.arange(geometry.n_layers + 1) - 0.5


def _mean_of_filled(table: FeatureTable, *, name: str) -> Curve:
    return shower_mean(table[name], table["layer_energy"] > 0)


def _is_ring(geometry: Geometry) -> bool:
    return all(isinstance(layer.grid, PolarGrid) for layer in geometry.layers)


def _spread(table: FeatureTable) -> Curve:
    """Standard deviation over showers; its error from the fourth moment."""
    values = table["layer_energy"].astype(np.float64)
    centred = values - values.mean(axis=0)
    variance, fourth = (centred**2).mean(axis=0), (centred**4).mean(axis=0)
    deviation = np.sqrt(variance)
    noise = np.sqrt(np.maximum(fourth - variance**2, 0.0) / max(len(table), 1))
    errors = np.divide(noise, 2.0 * deviation, out=np.zeros_like(noise), where=deviation > 0)
    return Curve(deviation, errors)
