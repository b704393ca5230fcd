"""The figures of a report: which observables, in which bins, with which caption."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from caloforge.features.binning import SPECTRUM_SPLIT
from caloforge.geometry import PolarGrid
from caloforge.report.curves import (
    Curve,
    energy_bins,
    histogram,
    mean_in_bins,
    resolution_in_bins,
    shower_mean,
)
from caloforge.report.plot import Plot
from caloforge.report.ratio import Axis, ratio_figure
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.features import FeatureTable
    from caloforge.geometry import Geometry

__all__ = ["observable_plots"]

_BINS = 40
_WIDE = 60.0
_SILICON_MIP = 0.28
"""Most probable energy loss of a minimum ionising particle in silicon [MeV/mm]; 0.14 MeV in 0.5 mm."""


def observable_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw all observables, one figure at a time (inside of ``style()``)."""
    yield from _whole_shower(evaluation)
    yield from _cells(evaluation)
    yield from _profiles(evaluation)
    yield from _layers(evaluation)
    yield from _response(evaluation)


def _draw(
    evaluation: Evaluation,
    edges: NDArray[np.floating],
    curve: Callable[[FeatureTable], Curve],
    axis: Axis,
    mark: tuple[float, str] | None = None,
) -> Figure:
    models = {sample.name: curve(sample.table) for sample in evaluation.generated}
    return ratio_figure(edges, curve(evaluation.reference.table), models, axis, mark=mark)


def _whole_shower(evaluation: Evaluation) -> Iterator[Plot]:
    section = "Whole showers"
    entries = {
        "visible": ("visible energy [GeV]", 1.0 / GEV, "Visible energy: sum of all cells above threshold."),
        "fraction": ("visible / incident energy", 1.0, "Sampling fraction: visible over incident energy."),
        "hits": ("cells above threshold", 1.0, "Number of hits: cells above threshold."),
        "cog_x": ("centre of gravity x [mm]", 1.0, "Energy-weighted mean position in x."),
        "cog_y": ("centre of gravity y [mm]", 1.0, "Energy-weighted mean position in y."),
        "cog_z": ("centre of gravity z [mm]", 1.0, "Energy-weighted mean depth, from the front face."),
    }
    for name, (label, unit, caption) in entries.items():
        edges, log = _common_edges(evaluation, name)
        curve = partial(_histogram, name=name, unit=unit, edges=edges * unit)
        axis = Axis(label, "share of showers", log_x=log)
        figure = _draw(evaluation, edges * unit, curve, axis)
        yield Plot(name, section, caption, figure)


def _histogram(table: FeatureTable, *, name: str, unit: float, edges: NDArray[np.floating]) -> Curve:
    return histogram(table[name] * unit, edges)


def _common_edges(evaluation: Evaluation, name: str) -> tuple[NDArray[np.floating], bool]:
    """Edges that hold nearly all showers of all samples; logarithmic when they span two decades."""
    tables = [evaluation.reference.table, *(sample.table for sample in evaluation.generated)]
    ends = np.array([np.quantile(table[name], [0.004, 0.996]) for table in tables])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    if low > 0 and high > _WIDE * low:
        return np.geomspace(low / 1.2, high * 1.2, _BINS + 1), True
    margin = max(0.05 * (high - low), 1e-9 * max(abs(high), 1.0))
    start = low - margin if low > margin or low < 0 else 0.0
    return np.linspace(start, high + margin, _BINS + 1), False


def _cells(evaluation: Evaluation) -> Iterator[Plot]:
    fine = evaluation.binning.spectrum
    groups = (len(fine) - 1) // SPECTRUM_SPLIT
    edges = fine[: groups * SPECTRUM_SPLIT + 1 : SPECTRUM_SPLIT]

    def curve(table: FeatureTable) -> Curve:
        counts = table["spectrum"][:, : groups * SPECTRUM_SPLIT].reshape(len(table), groups, SPECTRUM_SPLIT)
        return shower_mean(counts.sum(axis=2))

    tables = [evaluation.reference.table, *(sample.table for sample in evaluation.generated)]
    filled = np.max([curve(table).values > 0 for table in tables], axis=0)
    used = int(np.flatnonzero(filled)[-1]) + 1
    axis = Axis("cell energy [MeV]", "cells per shower and bin", log_x=True, log_y=True)

    def cut(table: FeatureTable) -> Curve:
        whole = curve(table)
        return Curve(whole.values[:used], whole.errors[:used])

    figure = _draw(evaluation, edges[: used + 1], cut, axis, _mip(evaluation.geometry, float(edges[0])))
    caption = "Spectrum of the cell energies. The peak of minimum ionising particles (MIP) is marked."
    yield Plot("cell_energy", "Cells and profiles", caption, figure)


def _mip(geometry: Geometry, threshold: float) -> tuple[float, str] | None:
    """Most probable energy of one MIP in a cell: known for silicon sensors."""
    sensors = [slab for slab in geometry.layers[0].slabs if slab.sensitive]
    if not sensors or any(slab.material not in {"Si", "G4_Si"} for slab in sensors):
        return None
    peak = _SILICON_MIP * sensors[0].thickness / geometry.sampling_fraction
    return (peak, "MIP") if peak > threshold else None


def _profiles(evaluation: Evaluation) -> Iterator[Plot]:
    section = "Cells and profiles"
    layers = np.arange(evaluation.geometry.n_layers + 1) - 0.5
    figure = _draw(
        evaluation,
        layers,
        lambda table: shower_mean(table["layer_energy"]),
        Axis("layer", "energy per shower [MeV]"),
    )
    yield Plot("longitudinal", section, "Mean energy per layer.", figure)
    edges = evaluation.binning.profile
    figure = _draw(
        evaluation,
        edges,
        lambda table: shower_mean(table["radial_profile"]) / (np.pi * np.diff(edges**2)),
        Axis("distance to the axis [mm]", r"energy per area [MeV/mm$^2$]", log_y=True),
    )
    caption = "Mean energy per area around the axis of the incident particle."
    yield Plot("radial", section, caption, figure)


def _layers(evaluation: Evaluation) -> Iterator[Plot]:
    section = "Layers"
    layers = np.arange(evaluation.geometry.n_layers + 1) - 0.5
    yield Plot(
        "layer_hits",
        section,
        "Mean number of hits per layer.",
        _draw(evaluation, layers, lambda t: shower_mean(t["layer_hits"]), Axis("layer", "hits per shower")),
    )
    yield Plot(
        "layer_spread",
        section,
        "Shower-to-shower standard deviation of the energy per layer.",
        _draw(evaluation, layers, _spread, Axis("layer", "spread of the layer energy [MeV]")),
    )
    widths = ["width_r"] if _is_ring(evaluation.geometry) else ["width_x", "width_r"]
    for name in widths:
        coordinate = name[-1]
        yield Plot(
            name,
            section,
            f"Mean energy-weighted width in {coordinate}, of layers with energy.",
            _draw(
                evaluation,
                layers,
                partial(_mean_of_filled, name=name),
                Axis("layer", f"width in {coordinate} [mm]"),
            ),
        )
    yield Plot(
        "sparsity",
        section,
        "Mean share of cells without energy.",
        _draw(
            evaluation,
            layers,
            lambda t: shower_mean(t["sparsity"]),
            Axis("layer", "sparsity", from_zero=False),
        ),
    )


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


def _response(evaluation: Evaluation) -> Iterator[Plot]:
    edges = energy_bins(evaluation.reference.table)
    if not len(edges):
        return
    section, label = "Response by energy", "incident energy [GeV]"
    log = bool(edges[-1] > 20 * edges[0])
    entries: tuple[tuple[str, str, str, Callable[[FeatureTable], Curve]], ...] = (
        (
            "linearity",
            "visible / incident energy",
            "Linearity: mean of visible over incident energy.",
            lambda t: mean_in_bins(t["fraction"], t["energy"], edges),
        ),
        (
            "resolution",
            "relative resolution",
            "Resolution: half width of the central 68 % of visible over incident energy, over its median.",
            lambda t: resolution_in_bins(t["fraction"], t["energy"], edges),
        ),
        (
            "hits_by_energy",
            "mean hits",
            "Mean number of hits.",
            lambda t: mean_in_bins(t["hits"], t["energy"], edges),
        ),
    )
    for key, name, caption, curve in entries:
        axis = Axis(label, name, log_x=log, points=True, from_zero=key != "linearity")
        yield Plot(key, section, caption, _draw(evaluation, edges / GEV, curve, axis))
