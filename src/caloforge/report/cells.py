"""The figures of the cells: their energies, thresholds, regimes, and which are hit together."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.features.binning import SPECTRUM_SPLIT
from caloforge.report.curves import Curve, histogram, shower_mean
from caloforge.report.plot import Plot
from caloforge.report.ratio import Axis, ratio_figure
from caloforge.report.samples import all_tables, array, common_edges, recorded, recorded_curve, sample_figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.features import FeatureTable
    from caloforge.geometry import Geometry

__all__ = ["cell_plots"]

_SECTION = "Cells"
_SILICON_MIP = 0.28
"""Most probable energy loss of a minimum ionising particle in silicon [MeV/mm]; 0.14 MeV in 0.5 mm."""

_PEAK_REACH = 5.0
_REGIMES = ("low", "middle", "high")


def cell_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw what cells tell (inside of ``style()``)."""
    yield _spectrum(evaluation)
    yield from _peak(evaluation)
    yield from _sparsity(evaluation)
    yield from _regimes(evaluation)
    yield from _coefficients(evaluation)
    yield from _neighbours(evaluation)
    yield from _groups(evaluation)


def _spectrum(evaluation: Evaluation) -> Plot:
    fine = evaluation.binning.spectrum
    groups = (len(fine) - 1) // SPECTRUM_SPLIT
    edges = fine[: groups * SPECTRUM_SPLIT + 1 : SPECTRUM_SPLIT]

    def curve(table: FeatureTable) -> Curve:
        counts = table["spectrum"][:, : groups * SPECTRUM_SPLIT].reshape(len(table), groups, SPECTRUM_SPLIT)
        return shower_mean(counts.sum(axis=2))

    filled = np.max([curve(table).values > 0 for table in all_tables(evaluation)], axis=0)
    used = int(np.flatnonzero(filled)[-1]) + 1
    axis = Axis("cell energy [MeV]", "cells per shower and bin", log_x=True, log_y=True)

    def cut(table: FeatureTable) -> Curve:
        whole = curve(table)
        return Curve(whole.values[:used], whole.errors[:used])

    mark = _mip(evaluation.geometry, float(edges[0]))
    figure = sample_figure(evaluation, edges[: used + 1], cut, axis, mark)
    caption = "Spectrum of the cell energies."
    if mark:
        caption += " The peak of minimum ionising particles (MIP) is marked."
    return Plot("cell_energy", _SECTION, caption, figure)


def _mip(geometry: Geometry, threshold: float) -> tuple[float, str] | None:
    """Most probable energy of one MIP in a cell: known for silicon sensors."""
    sensors = [slab for slab in geometry.layers[0].slabs if slab.sensitive]
    if not sensors or any(slab.material not in {"Si", "G4_Si"} for slab in sensors):
        return None
    peak = _SILICON_MIP * sensors[0].thickness / geometry.sampling_fraction
    return (peak, "MIP") if peak > threshold else None


def _peak(evaluation: Evaluation) -> Iterator[Plot]:
    """The spectrum around its peak, where the metric found one."""
    found = recorded(evaluation, "physics.gettinghigh_mip_position")
    position = next((s["reference"]["position"] for s in found.values()), None)
    if position is None:
        return
    fine = evaluation.binning.spectrum
    bins = int(np.clip(np.searchsorted(fine, _PEAK_REACH * position), 2, len(fine) - 1))

    def density(table: FeatureTable) -> Curve:
        return shower_mean(table["spectrum"][:, :bins]) / np.diff(fine[: bins + 1])

    axis = Axis("cell energy [MeV]", "cells per shower and MeV")
    figure = sample_figure(evaluation, fine[: bins + 1], density, axis, (position, "peak"))
    caption = "Density of the cell energies around the peak of minimum ionising particles (Getting High)."
    yield Plot("mip_peak", _SECTION, caption, figure)


def _sparsity(evaluation: Evaluation) -> Iterator[Plot]:
    found = recorded(evaluation, "physics.3dgan_sparsity")
    if not found:
        return
    first = next(iter(found.values()))
    thresholds = np.array(first["thresholds"])
    if len(thresholds) < 2:
        return
    middles = np.sqrt(thresholds[1:] * thresholds[:-1])
    edges = np.concatenate([[thresholds[0] ** 2 / middles[0]], middles, [thresholds[-1] ** 2 / middles[-1]]])
    reference = recorded_curve(first["reference"], first["reference_error"])
    models = {m: recorded_curve(s["generated"], s["generated_error"]) for m, s in found.items()}
    axis = Axis("threshold [MeV]", "share of cells above", log_x=True, log_y=True, points=True)
    caption = "Mean share of cells above a threshold, against the threshold (3DGAN)."
    yield Plot("sparsity_by_threshold", _SECTION, caption, ratio_figure(edges, reference, models, axis))


def _regimes(evaluation: Evaluation) -> Iterator[Plot]:
    low, high = (f"{edge:.3g}" for edge in evaluation.binning.regimes)
    ranges = (f"below {low} MeV", f"from {low} to {high} MeV", f"above {high} MeV")
    for number, (name, words) in enumerate(zip(_REGIMES, ranges, strict=True)):
        edges, log = common_edges(evaluation, partial(_regime, number=number))
        figure = sample_figure(
            evaluation,
            edges,
            partial(_regime_histogram, number=number, edges=edges),
            Axis(f"cells {words}", "share of showers", log_x=log),
        )
        yield Plot(f"regime_{name}", _SECTION, f"Number of cells {words} (CaloPointFlow).", figure)


def _regime(table: FeatureTable, *, number: int) -> NDArray[np.float64]:
    return np.asarray(table["regime_hits"][:, number], dtype=np.float64)


def _regime_histogram(table: FeatureTable, *, number: int, edges: NDArray[np.floating]) -> Curve:
    return histogram(_regime(table, number=number), edges)


def _coefficients(evaluation: Evaluation) -> Iterator[Plot]:
    """Correlations between cells: how often which coefficient."""
    found = recorded(evaluation, "physics.pyramid_hit_correlation")
    if not found:
        return
    first = next(iter(found.values()))
    edges = np.array(first["edges"])
    used = np.flatnonzero(np.max([np.add(s["reference"], s["generated"]) for s in found.values()], axis=0))
    part = slice(int(used[0]), int(used[-1]) + 1)
    models = {model: _counted(s["generated"], part) for model, s in found.items()}
    axis = Axis("correlation coefficient of two cells being hit", "share of pairs of cells", log_y=True)
    figure = ratio_figure(edges[part.start : part.stop + 1], _counted(first["reference"], part), models, axis)
    caption = (
        f"Correlation of two cells being hit, over all pairs of {first['cells']} cells (Pyramid): "
        "independent points have none beyond what the energy brings."
    )
    yield Plot("hit_correlation", _SECTION, caption, figure)


def _counted(counts: list[int], part: slice) -> Curve:
    numbers = np.asarray(counts, dtype=np.float64)
    total = max(float(numbers.sum()), 1.0)
    return Curve(numbers[part] / total, np.sqrt(numbers[part]) / total)


def _neighbours(evaluation: Evaluation) -> Iterator[Plot]:
    found = recorded(evaluation, "physics.pyramid_neighbours")
    if not found:
        return
    first = next(iter(found.values()))
    names = first["directions"]
    models = {model: recorded_curve(s["generated"]) for model, s in found.items()}
    reference = Curve(array(first["reference"]), np.zeros(len(names)))
    axis = Axis("", "mean correlation with a neighbour", points=True, names=tuple(names))
    figure = ratio_figure(np.arange(len(names) + 1) - 0.5, reference, models, axis)
    caption = "Correlation of a cell being hit with its neighbours being hit, by direction (Pyramid)."
    yield Plot("neighbours", _SECTION, caption, figure)


def _groups(evaluation: Evaluation) -> Iterator[Plot]:
    found = recorded(evaluation, "physics.pyramid_group_hits")
    if not found:
        return
    first: Mapping[str, Any] = next(iter(found.values()))
    filled = np.max([np.add(s["reference"], s["generated"]) for s in found.values()], axis=0)
    used = int(np.flatnonzero(filled)[-1]) + 1
    models = {model: recorded_curve(s["generated"][:used]) for model, s in found.items()}
    axis = Axis("hits in a ring or block that is hit", "share", log_y=True)
    figure = ratio_figure(np.arange(used + 1) + 0.5, recorded_curve(first["reference"][:used]), models, axis)
    caption = "Number of hits in one ring (or block of cells) of a layer, where there is one (Pyramid)."
    yield Plot("group_hits", _SECTION, caption, figure)
