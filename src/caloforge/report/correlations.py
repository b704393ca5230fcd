"""Correlations between layers: what histograms of single observables cannot show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from caloforge.report.panels import make_panels
from caloforge.report.plot import Plot
from caloforge.report.style import REFERENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.features import FeatureTable

__all__ = ["correlation_plots", "layer_correlation", "layer_pearson"]

_SECTION = "Correlations"
_DIFFERENCE = 0.3


def layer_correlation(table: FeatureTable) -> NDArray[np.float64]:
    """Spearman correlation of the layers' shares of the visible energy, ``(L, L)``; NaN for empty layers.

    Ranks, because a few showers with energy in the last layers would decide Pearson's.
    """
    seen = table["visible"] > 0
    return _correlation(rankdata(table["layer_energy"][seen] / table["visible"][seen, None], axis=0))


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


def _correlation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = values - values.mean(axis=0)
    covariance = centred.T @ centred
    norm = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    correlation = np.full(covariance.shape, np.nan)
    np.divide(covariance, norm, out=correlation, where=norm > 0)
    return correlation


def _draw(evaluation: Evaluation, correlation: Callable[[FeatureTable], NDArray[np.float64]]) -> Figure:
    reference = correlation(evaluation.reference.table)
    differences = [correlation(sample.table) - reference for sample in evaluation.generated]
    limit = _limit(differences)
    edges = np.arange(evaluation.geometry.n_layers + 1) - 0.5
    titles = [REFERENCE, *(f"{sample.name} − {REFERENCE}" for sample in evaluation.generated)]
    panels = make_panels(len(titles), bars=True)
    for column, (axes, values) in enumerate(zip(panels.axes[0], [reference, *differences], strict=True)):
        bound = limit if column else 1.0
        mesh = axes.pcolormesh(edges, edges, values, cmap="RdBu_r", vmin=-bound, vmax=bound, rasterized=True)
        axes.set_title(titles[column], loc="left")
        axes.set_xlabel("layer")
        axes.set_ylabel("layer")
        panels.bar(mesh, 0, column=column)
    return panels.figure


def _limit(differences: list[NDArray[np.float64]]) -> float:
    """The end of the colours, one for all models."""
    found = np.concatenate([np.abs(d[np.isfinite(d)]) for d in differences])
    largest = float(np.quantile(found, 0.98)) if len(found) else 0.0
    return next((limit for limit in (0.05, 0.1, 0.2) if largest <= limit), _DIFFERENCE)
