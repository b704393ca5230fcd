"""The figures of what a calorimeter person asks first: weighted response, depth, width and texture."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from caloforge.features.occupancy import AXES
from caloforge.geometry import BoxGrid
from caloforge.report.curves import Curve, histogram
from caloforge.report.plot import Plot
from caloforge.report.ratio import Axis, ratio_figure
from caloforge.report.samples import common_edges, recorded, recorded_curve, sample_figure
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.features import FeatureTable

__all__ = ["BROKEN", "physics_plots"]

BROKEN = "Broken showers"
"""Section of what lies outside of Geant4's range."""

_RESPONSE, _SHAPE, _TEXTURE = "Response", "Depth and width", "Texture"
_WIDE, _STEEP, _PERCENT = 20.0, 10.0, 0.01
_LINES = {
    "weighted_response": (
        "mean",
        "weighted sum / incident energy [%]",
        "Response: energy weighted by the absorber of its layer, over the incident energy.",
    ),
    "weighted_resolution": (
        "sigma68",
        r"$\sigma_{68}$ / mean [%]",
        "Resolution of the weighted sum: half of the central 68 % over the mean, without the trend in a bin.",
    ),
    "weighted_resolution_rms": (
        "rms",
        "RMS / mean [%]",
        "Resolution of the weighted sum: standard deviation over the mean, without the trend in a bin.",
    ),
}
_QUANTITIES = {
    "mean_layer": ("mean layer", "Depth: energy-weighted mean layer of a shower."),
    "layer_length": (
        "spread of the layer in a shower",
        "Length: standard deviation of the layer in a shower.",
    ),
    "last_third": (
        "share of the energy in the last third",
        "Late showers: share of the energy in the last third.",
    ),
    "core_share": ("share of the energy in the core", "Share of the energy within 1.55 cells of the axis."),
    "r50": ("R50 [mm]", "Distance to the axis that holds half of a shower's energy."),
    "r90": ("R90 [mm]", "Distance to the axis that holds nine tenths of a shower's energy."),
    "hottest_share": ("hottest cell / visible energy", "Share of the hottest cell in the visible energy."),
}
_STICKING = {
    "isolated": ("share of isolated hits", "Hits without any among the 26 cells round them."),
    "neighbours_round": ("hits round a hit", "Hits among the 26 cells round a hit, mean of a shower."),
    "pairs_depth": ("neighbours in depth, per hit", "Hits with a hit behind them in the next layer."),
}
_COLUMNS = {"layer_length": "layer_spread", "neighbours_round": "neighbours"}


def physics_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw response, shapes and texture (inside of ``style()``)."""
    yield from _response(evaluation)
    for key, (label, caption) in _QUANTITIES.items():
        yield _distribution(evaluation, key, label, caption, _SHAPE)
    yield _start(evaluation)
    for key, (label, caption) in _STICKING.items():
        yield _distribution(evaluation, key, label, caption, _TEXTURE)
    yield from _hits(evaluation)
    yield from _borders(evaluation)
    yield from _outside(evaluation)


def _response(evaluation: Evaluation) -> Iterator[Plot]:
    found = recorded(evaluation, "physics.response")
    for key, (number, label, caption) in _LINES.items() if found else ():
        edges = _edges(found) / GEV
        wide = bool(edges[0] > 0 and edges[-1] > _WIDE * edges[0])
        axis = Axis("incident energy [GeV]", label, wide, points=True, from_zero="resolution" in key)
        yield Plot(key, _RESPONSE, caption, _recorded_figure(found, edges, number, axis, unit=_PERCENT))


def _distribution(evaluation: Evaluation, key: str, label: str, caption: str, section: str) -> Plot:
    values = partial(_column, key=key)
    edges, log = common_edges(evaluation, values)

    def curve(table: FeatureTable) -> Curve:
        return histogram(_column(table, key=key), edges)

    figure = sample_figure(evaluation, edges, curve, Axis(label, "share of showers", log_x=log))
    return Plot(f"shape_{key}", section, caption, figure)


def _column(table: FeatureTable, *, key: str) -> NDArray[np.float64]:
    if key == "last_third":
        return np.asarray(table["thirds"][:, 2], np.float64)
    return np.asarray(table[_COLUMNS.get(key, key)], np.float64)


def _start(evaluation: Evaluation) -> Plot:
    """Where showers start, in a logarithmic scale: late ones are rare."""
    last = max(int(np.quantile(evaluation.reference.table["first_layer"], 0.999)) + 3, 5)
    edges = np.arange(min(last, evaluation.geometry.n_layers) + 2) - 0.5

    def curve(table: FeatureTable) -> Curve:
        return histogram(table["first_layer"], edges)

    axis = Axis("first layer with a hit", "share of showers", log_y=True)
    caption = "Conversion: first layer with a hit."
    return Plot("conversion", _SHAPE, caption, sample_figure(evaluation, edges, curve, axis))


def _hits(evaluation: Evaluation) -> Iterator[Plot]:
    found = recorded(evaluation, "physics.hits")
    if not found:
        return
    edges = _edges(found)
    wide = bool(edges[0] > 0 and edges[-1] > _WIDE * edges[0])
    axis = Axis("visible energy [MeV]", "mean number of hits", wide, points=True)
    caption = "Hits of showers with the same visible energy."
    yield Plot("hits_by_visible", _TEXTURE, caption, _recorded_figure(found, edges, "hits", axis))


def _borders(evaluation: Evaluation) -> Iterator[Plot]:
    """Pairs hit together, border by border: blocks that are drawn one after the other show as dips."""
    found = recorded(evaluation, "physics.borders_max")
    box = isinstance(evaluation.geometry.layers[0].grid, BoxGrid)
    names = ("x", "y", "layer") if box else ("angle", "radius", "layer")
    for axis, name in zip(AXES, names, strict=True):
        parts = {model: settings[axis] for model, settings in found.items()}
        if not parts:
            return
        shares = next(iter(parts.values()))["reference"]["share"]
        count, steep = len(shares), _STEEP * min(shares) < max(shares)
        label = "layer" if name == "layer" else f"cell in {name}"
        drawn = Axis(f"last {label} before the border", "neighbours hit together", log_y=steep, points=True)
        caption = (
            f"Neighbouring cells in {name if name != 'layer' else 'depth'} of which at least one is hit: how "
            "often both are, by the border between them. Dips of a model at equal distances are the borders "
            "of its blocks."
        )
        figure = _recorded_figure(parts, np.arange(count + 1) - 0.5, "share", drawn)
        yield Plot(f"borders_{axis}", _TEXTURE, caption, figure)


def _outside(evaluation: Evaluation) -> Iterator[Plot]:
    """Showers beyond Geant4's range by quantity, beside how many a perfect model would have."""
    found = recorded(evaluation, "physics.out_of_range")
    if not found:
        return
    counts = {model: np.array(list(s["outside"].values()), np.float64) for model, s in found.items()}
    names = tuple(next(iter(found.values()))["outside"])
    showers = {sample.name: len(sample.table) for sample in evaluation.generated}
    models = {model: Curve(n, np.sqrt(n)) / (_PERCENT * showers[model]) for model, n in counts.items()}
    first = next(iter(found))
    expected = np.array(list(found[first]["expected"].values())) / (_PERCENT * showers[first])
    axis = Axis("", "showers outside [%]", points=True, names=names)
    figure = ratio_figure(np.arange(len(names) + 1) - 0.5, Curve(expected, 0.0 * expected), models, axis)
    caption = (
        "Showers outside of the range of Geant4's showers of their energy. The line is how many of a perfect "
        "model would be: one in n + 1 for each end of a range of n showers."
    )
    yield Plot("out_of_range", BROKEN, caption, figure)


def _edges(found: Mapping[str, Mapping[str, Any]]) -> NDArray[np.float64]:
    bins = next(iter(found.values()))["bins"]
    return np.array([bins[0][0], *(high for _, high in bins)])


def _recorded_figure(
    found: Mapping[str, Mapping[str, Any]],
    edges: NDArray[np.floating],
    number: str,
    axis: Axis,
    *,
    unit: float = 1.0,
) -> Figure:
    """The curves that a metric recorded, in a unit, with errors and ratios to the reference."""
    first = next(iter(found.values()))["reference"]
    models = {
        model: recorded_curve(s["generated"][number], s["generated"][f"{number}_error"]) / unit
        for model, s in found.items()
    }
    reference = recorded_curve(first[number], first[f"{number}_error"]) / unit
    return ratio_figure(edges, reference, models, axis)
