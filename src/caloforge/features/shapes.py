"""The columns of the papers' shower shapes, beside the observables of ``caloforge.features.observables``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.features.axis import layer_angle, principal_axis
from caloforge.features.moments import depth_shares, moments_of
from caloforge.features.regimes import regime_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from caloforge.features.binning import Binning
    from caloforge.features.hits import Hits
    from caloforge.features.table import FeatureTable
    from caloforge.geometry import Geometry

__all__ = ["hits_above", "shape_columns"]


def shape_columns(
    hits: Hits, geometry: Geometry, binning: Binning, layers: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Moments, directions, shares in depth and energy regimes of one block, see ``FeatureTable``.

    Args:
        hits: The cells.
        geometry: The read-out.
        binning: Holds the edges of the regimes.
        layers: Energies, centres and widths per layer of the same block.
    """
    moments = moments_of(hits, geometry, layers["layer_energy"])
    theta, phi = principal_axis(moments.covariance)
    return {
        **moments.columns(),
        "axis_theta": theta,
        "axis_phi": phi,
        "measured_angle": layer_angle(layers, geometry, hits.incident.phi),
        **depth_shares(layers["layer_energy"], geometry),
        **regime_columns(hits, binning.regimes),
    }


def hits_above(table: FeatureTable, thresholds: NDArray[np.integer]) -> NDArray[np.int64]:
    """Cells above some edges of the fine spectrum, ``(n, k)``.

    Args:
        table: Holds the column ``spectrum``.
        thresholds: Numbers of the edges of ``Binning.spectrum``, ``(k,)``.
    """

    def count(some: FeatureTable) -> NDArray[np.int64]:
        spectrum = some["spectrum"]
        return np.column_stack([spectrum[:, edge:].sum(axis=1, dtype=np.int64) for edge in thresholds])

    return table.derived(("hits above", *map(int, thresholds)), count)
