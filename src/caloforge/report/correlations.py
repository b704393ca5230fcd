"""Correlations between layers: what histograms of single observables cannot show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from caloforge.evaluation.physics.layers import layer_residuals
from caloforge.report.lines import REFERENCE
from caloforge.report.panels import make_panels
from caloforge.report.plot import Plot
from caloforge.report.samples import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.features import FeatureTable

__all__ = ["correlation_plots", "layer_correlation", "layer_pearson"]

_SECTION = "Correlations"
_DIFFERENCE = 0.3
_SHORT, _LONG, _SMALL = 0.95, 1.35, 13
_OBSERVABLES = {
    "observable_correlation": (
        "physics.gettinghigh_correlations",
        "Pearson correlation of observables (Getting High)",
    ),
    "3dgan_correlation": (
        "physics.3dgan_correlations",
        "Pearson correlation of inputs and features (3DGAN, figure 9)",
    ),
    "shape_correlation": (
        "physics.shape_correlations",
        "Pearson correlation of depth, width and energy of the showers",
    ),
}
_WORDS = {
    "cog_x": "mean x",
    "cog_y": "mean y",
    "cog_z": "mean z",
    "moment2_x": "spread x",
    "moment2_y": "spread y",
    "moment2_z": "spread z",
    "moment3_x": "skewness x",
    "moment3_y": "skewness y",
    "moment3_z": "skewness z",
    "inclination": "angle",
    "first_part": "R1",
    "visible": "E visible",
    "energy": "E incident",
    "weighted_response": "response",
    "hits_per_visible": "hits / E visible",
    "thirds 1": "first third",
    "thirds 2": "middle third",
    "thirds 3": "last third",
}


def layer_correlation(table: FeatureTable) -> NDArray[np.float64]:
    """Spearman correlation of the layers' shares of the visible energy, ``(L, L)``; NaN for empty layers.

    Ranks, because a few showers with energy in the last layers would decide Pearson's.
    """
    seen = table["visible"] > 0
    shares = table["layer_energy"][seen] / table["visible"][seen, None]
    return _correlation(np.column_stack([rankdata(column) for column in shares.T]))


def layer_pearson(table: FeatureTable) -> NDArray[np.float64]:
    """Pearson correlation of the layer energies, ``(L, L)``; NaN for layers that are always empty."""
    return _correlation(table["layer_energy"].astype(np.float64))


def correlation_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw the correlations of all samples side by side (inside of ``style()``)."""
    caption = (
        "Pearson correlation of the energies of two layers, as in the CaloChallenge; for models, the "
        "difference to Geant4. The incident energy, which all layers share, dominates it."
    )
    figure = _draw(evaluation, layer_pearson)
    yield Plot("layer_pearson", _SECTION, caption, figure, columns=1 + len(evaluation.generated))
    caption = (
        "Rank correlation of the energies of two layers, each over the visible energy: the shape of the "
        "shower alone. For models, the difference to Geant4."
    )
    figure = _draw(evaluation, layer_correlation)
    yield Plot("layer_correlation", _SECTION, caption, figure, columns=1 + len(evaluation.generated))
    caption = (
        "Pearson correlation of the energies of two layers once their trend with the energy is taken "
        "out; for models, the difference to Geant4."
    )
    figure = _draw(evaluation, lambda table: _correlation(layer_residuals(table)))
    yield Plot("layer_residuals", _SECTION, caption, figure, columns=1 + len(evaluation.generated))
    for key, (name, caption) in _OBSERVABLES.items():
        yield from _observables(evaluation, key, name, caption)


def _observables(evaluation: Evaluation, key: str, name: str, caption: str) -> Iterator[Plot]:
    """Correlations between observables, which a metric recorded."""
    found = recorded(evaluation, name)
    found = {model: settings for model, settings in found.items() if "reference" in settings}
    if not found:
        return
    first = next(iter(found.values()))
    reference = np.array(first["reference"])
    pictures = {REFERENCE: reference}
    for model, settings in found.items():
        pictures[f"{model} − {REFERENCE}"] = np.array(settings["generated"]) - reference
    figure = _matrices(pictures, [_WORDS.get(title, title.replace("_", " ")) for title in first["titles"]])
    yield Plot(
        key, _SECTION, f"{caption}; for models, the difference to Geant4.", figure, columns=len(pictures)
    )


def _correlation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = values - values.sum(axis=0) / max(len(values), 1)  # there may be no shower with energy
    covariance = centred.T @ centred
    norm = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    correlation = np.full(covariance.shape, np.nan)
    np.divide(covariance, norm, out=correlation, where=norm > 0)
    return correlation


def _draw(evaluation: Evaluation, correlation: Callable[[FeatureTable], NDArray[np.float64]]) -> Figure:
    reference = correlation(evaluation.reference.table)
    differences = [correlation(sample.table) - reference for sample in evaluation.generated]
    titles = [f"{sample.name} − {REFERENCE}" for sample in evaluation.generated]
    return _matrices({REFERENCE: reference, **dict(zip(titles, differences, strict=True))})


def _matrices(pictures: Mapping[str, NDArray[np.float64]], names: Sequence[str] = ()) -> Figure:
    """The first matrix, and the differences of others to it; rows and columns are layers without names."""
    first, *differences = pictures.values()
    limit, edges = _limit(differences), np.arange(len(first) + 1) - 0.5
    panels = make_panels(
        len(pictures), bars=True, left=_LONG if names else _SHORT, bottom=_LONG if names else _SHORT
    )
    for column, (axes, title, values) in enumerate(
        zip(panels.axes[0], pictures, pictures.values(), strict=True)
    ):
        bound = limit if column else 1.0
        mesh = axes.pcolormesh(edges, edges, values, cmap="RdBu_r", vmin=-bound, vmax=bound, rasterized=True)
        panels.title(title, 0, column)
        if names:
            _name_ticks(axes, names, rows=column == 0)
        else:
            axes.set_xlabel("layer")
            axes.set_ylabel("layer")
        panels.bar(mesh, 0, column=column)
    return panels.figure


def _name_ticks(axes: Axes, names: Sequence[str], *, rows: bool) -> None:
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=_SMALL)
    axes.set_yticks(range(len(names)), names if rows else [""] * len(names), fontsize=_SMALL)
    axes.tick_params(which="both", length=0)


def _limit(differences: list[NDArray[np.float64]]) -> float:
    """The end of the colours, one for all models."""
    found = np.concatenate([np.abs(d[np.isfinite(d)]) for d in differences])
    largest = float(np.quantile(found, 0.98)) if len(found) else 0.0
    return next((limit for limit in (0.05, 0.1, 0.2) if largest <= limit), _DIFFERENCE)
