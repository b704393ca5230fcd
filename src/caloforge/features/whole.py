"""The shape of the whole shower: what a calorimeter person looks at first, one number a shower."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.features.depth import depth_columns
from caloforge.features.lateral import lateral_columns
from caloforge.features.occupancy import occupancy_columns
from caloforge.features.sums import largest_hits, ratio, sums_of_hits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from caloforge.features.hits import Hits
    from caloforge.geometry import Geometry

__all__ = ["SHOWER_SHAPES", "whole_columns"]

SHOWER_SHAPES: Mapping[str, str] = {
    "fraction": "visible energy over the incident energy",
    "weighted_response": "energy weighted by the absorber of its layer, over the incident energy",
    "hits": "cells above threshold",
    "hits_per_energy": "hits over the incident energy [1/GeV]",
    "hits_per_visible": "hits over the visible energy [1/MeV]",
    "mean_layer": "energy-weighted mean layer, from 0",
    "layer_spread": "energy-weighted standard deviation of the layer in the shower",
    "first_layer": "first layer with a hit, from 0: where the shower starts",
    "thirds": "shares of the energy in the thirds of the layers; the last one tells late showers",
    "core_share": "share of the energy within 1.55 of the smallest cells from the axis",
    "radius_rms": "energy-weighted root mean square of the distance to the axis [mm]",
    "r50": "distance to the axis that holds half of the energy [mm]",
    "r90": "distance to the axis that holds nine tenths of the energy [mm]",
    "cog_x": "energy-weighted mean x [mm]",
    "cog_y": "energy-weighted mean y [mm]",
    "hottest": "energy of the hottest cell [MeV]",
    "hottest_share": "energy of the hottest cell over the visible energy",
    "edge_share": "share of the energy in the outermost cells of the window",
    "edge_hits": "share of the hits in the outermost cells of the window",
    "neighbours": "hits among the 26 cells round a hit, mean over the hits",
    "isolated": "share of the hits without a hit in the 26 cells round them",
    "pairs_first": "neighbouring hits in x (rings: angle), per hit",
    "pairs_second": "neighbouring hits in y (rings: radius), per hit",
    "pairs_depth": "neighbouring hits in depth, per hit",
}
"""Columns of a feature table that describe the whole shower, and what they are."""

_GEV = 1e3


def whole_columns(
    hits: Hits,
    geometry: Geometry,
    columns: Mapping[str, NDArray[Any]],
    edges: NDArray[np.float64],
) -> dict[str, NDArray[Any]]:
    """The columns of ``SHOWER_SHAPES`` that other modules do not have, in float32; and pairs by border.

    Args:
        hits: The cells of one block.
        geometry: The read-out.
        columns: ``layer_energy`` ``(B, L)`` and ``radial_profile`` ``(B, K)`` of the same block.
        edges: Bins of ``radial_profile`` [mm], ``(K + 1,)``.
    """
    incident, number = hits.incident.energy, sums_of_hits(hits)
    visible, hottest = sums_of_hits(hits, hits.energy), largest_hits(hits)
    shapes = {
        "hits_per_energy": number / (incident / _GEV),
        "hits_per_visible": ratio(number, visible),
        "hottest": hottest,
        "hottest_share": ratio(hottest, visible),
        **depth_columns(columns["layer_energy"], incident, geometry),
        **lateral_columns(hits, geometry, columns["radial_profile"], edges),
        **occupancy_columns(hits, geometry),
    }
    return {
        name: values.astype(np.float32) if values.dtype == np.float64 else values
        for name, values in shapes.items()
    }
