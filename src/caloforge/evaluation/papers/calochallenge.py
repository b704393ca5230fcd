"""The CaloChallenge's correlations of layer energies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.evaluation.papers.correlations import correlation_value

if TYPE_CHECKING:
    from caloforge.evaluation.pair import Pair
    from caloforge.evaluation.results import Value

__all__ = ["layer_correlation_metric"]


def layer_correlation_metric(pair: Pair) -> list[Value]:
    """Pearson matrices of the layer energies (2410.21611, "PCC"; reference section 13.4).

    The mean absolute difference of the coefficients of all pairs of layers.
    """
    name = "physics.calochallenge_layer_correlations"
    title = "CaloChallenge: correlations between layer energies, mean difference"
    return [correlation_value(pair, name, title, ["layer_energy"])]
