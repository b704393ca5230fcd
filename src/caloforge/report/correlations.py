"""Correlations between layers: what histograms of single observables cannot show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from caloforge.report.plots import Plot
from caloforge.report.style import REFERENCE, new_figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.features import FeatureTable

__all__ = ["correlation_plots", "layer_correlation"]

_CAPTION = (
    "Rank correlation of the energies of two layers, each over the visible energy; for models, the "
    "difference to the reference."
)


def layer_correlation(table: FeatureTable) -> NDArray[np.float64]:
    """Spearman correlation of the layers' shares of the visible energy, ``(L, L)``; NaN for empty layers.

    Ranks, because a few showers with energy in the last layers would decide Pearson's.
    """
    seen = table["visible"] > 0
    ranks = rankdata(table["layer_energy"][seen] / table["visible"][seen, None], axis=0)
    centred = ranks - ranks.mean(axis=0)
    covariance = centred.T @ centred
    norm = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    correlation = np.full(covariance.shape, np.nan)
    np.divide(covariance, norm, out=correlation, where=norm > 0)
    return correlation


def correlation_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw the correlations of all samples side by side (inside of ``style()``)."""
    reference = layer_correlation(evaluation.reference.table)
    models = [layer_correlation(sample.table) - reference for sample in evaluation.generated]
    edges = np.arange(evaluation.geometry.n_layers + 1) - 0.5
    figure = new_figure(5.2 * (1 + len(models)) + 1.6, 4.8, layout="constrained")
    row = figure.subplots(1, 1 + len(models), squeeze=False)[0]
    titles = [REFERENCE, *(f"{sample.name} - {REFERENCE}" for sample in evaluation.generated)]
    for axes, values, title, limit in zip(
        row, [reference, *models], titles, [1.0, *[0.3] * len(models)], strict=True
    ):
        mesh = axes.pcolormesh(edges, edges, values, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set_title(title, loc="left")
        axes.set_xlabel("layer")
        axes.set_ylabel("layer")
        figure.colorbar(mesh, ax=axes, pad=0.02)
    yield Plot("layer_correlation", "Correlations", _CAPTION, figure, wide=True)
