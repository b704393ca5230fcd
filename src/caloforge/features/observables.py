"""Observables of a block of showers, by sums over (shower, layer) keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.features.bins import clipped_bins
from caloforge.features.projections import projection_columns
from caloforge.features.rings import has_rings_only, ring_columns
from caloforge.features.shapes import shape_columns
from caloforge.features.sums import sums_by_index
from caloforge.features.table import FeatureTable
from caloforge.features.whole import whole_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from caloforge.features.binning import Binning
    from caloforge.features.hits import Hits
    from caloforge.geometry import Geometry

__all__ = ["observables"]

_TINY = 1e-16


def observables(hits: Hits, geometry: Geometry, binning: Binning) -> FeatureTable:
    """All observables of one block, see ``FeatureTable``.

    Centres and widths per layer are the CaloChallenge's (reference section 13.2): with the energy
    E of the layer, centre = sum(x e) / (E + 1e-16), width = sqrt(max(sum(x^2 e) / (E + 1e-16) -
    centre^2, 0)); layers without energy have 0. Positions are cell centres, of rings the mid
    radius.
    """
    rings = has_rings_only(geometry)
    layers = ring_columns(hits, geometry) if rings else _layer_sums(hits, geometry)
    layers["sparsity"] = 1.0 - layers["layer_hits"] / np.diff(geometry.layer_offsets)
    visible = np.asarray(layers.pop("visible"))
    bins = _bins(hits, binning)
    return FeatureTable(
        {
            **_incident(hits),
            **_whole(hits, visible, layers, geometry),
            **layers,
            **bins,
            "longitudinal_bins": _groups(layers["layer_energy"], binning),
            **projection_columns(hits, geometry, binning),
            **shape_columns(hits, geometry, binning, layers),
            **whole_columns(hits, geometry, {**layers, **bins}, binning.profile),
        }
    )


def _incident(hits: Hits) -> dict[str, NDArray[Any]]:
    particle = hits.incident
    return {"energy": particle.energy, "theta": particle.theta, "phi": particle.phi, "pdg": particle.pdg}


def _whole(
    hits: Hits, visible: NDArray[np.floating], layers: Mapping[str, NDArray[Any]], geometry: Geometry
) -> dict[str, NDArray[Any]]:
    energy = layers["layer_energy"].astype(np.float64)
    total = energy.sum(axis=1) + _TINY
    return {
        "visible": visible,
        "fraction": visible / hits.incident.energy,
        "hits": layers["layer_hits"].sum(axis=1, dtype=np.float64),
        "cog_x": (energy * layers["layer_x"]).sum(axis=1) / total,
        "cog_y": (energy * layers["layer_y"]).sum(axis=1) / total,
        "cog_z": (energy * geometry.layer_z).sum(axis=1) / total,
    }


def _layer_sums(hits: Hits, geometry: Geometry) -> dict[str, NDArray[Any]]:
    shape = (len(hits.incident), geometry.n_layers)
    key = hits.shower * geometry.n_layers + hits.layer
    energy, number = _sums(key, hits.energy, shape), np.bincount(key, minlength=shape[0] * shape[1])
    columns = {
        "visible": energy.sum(axis=1),
        "layer_energy": _f4(energy),
        "layer_hits": _f4(number.reshape(shape)),
    }
    coordinates = {
        "x": hits.position[:, 0],
        "y": hits.position[:, 1],
        "r": np.hypot(hits.position[:, 0], hits.position[:, 1]),
    }
    for name, values in coordinates.items():
        moment = hits.energy * values
        centre = _sums(key, moment, shape) / (energy + _TINY)
        square = _sums(key, moment * values, shape) / (energy + _TINY)
        columns[f"layer_{name}"] = _f4(centre)
        columns[f"width_{name}"] = _f4(np.sqrt(np.maximum(square - centre**2, 0.0)))
    return columns


def _groups(layer_energy: NDArray[np.floating], binning: Binning) -> NDArray[np.float32]:
    """Energies of the groups of layers, ``(B, groups)``."""
    return _f4(np.add.reduceat(layer_energy.astype(np.float64), binning.longitudinal[:-1], axis=1))


def _bins(hits: Hits, binning: Binning) -> dict[str, NDArray[Any]]:
    spectrum = clipped_bins(hits.energy, binning.spectrum).astype(np.int32)
    ones = np.ones(len(spectrum), np.int32)
    low = hits.shower[hits.energy < binning.spectrum[0]]
    return {
        "radial_profile": _energy_in(hits, binning.profile),
        "radial_bins": _energy_in(hits, binning.radial),
        "spectrum": sums_by_index(hits, ones, spectrum, len(binning.spectrum) - 1),
        "below_spectrum": np.bincount(low, minlength=len(hits.incident)).astype(np.int32),
    }


def _energy_in(hits: Hits, edges: NDArray[np.float64]) -> NDArray[np.float32]:
    """Energies in bins of the distance to the axis, ``(B, bins)``."""
    index = hits.distance_bins(edges).astype(np.int32)
    return _f4(sums_by_index(hits, hits.energy, index, len(edges) - 1))


def _sums(key: NDArray[np.int64], weights: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[Any]:
    return np.bincount(key, weights=weights, minlength=shape[0] * shape[1]).reshape(shape)


def _f4(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32)
