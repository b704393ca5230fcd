"""Observables of a block of showers, by sums over (shower, layer) keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.features.shapes import shape_columns
from caloforge.features.table import FeatureTable

if TYPE_CHECKING:
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
    layers = _layers(hits, geometry)
    return FeatureTable(
        {
            **_incident(hits),
            **_whole(hits),
            **layers,
            **_bins(hits, geometry, binning),
            **shape_columns(hits, geometry, binning, layers),
        }
    )


def _incident(hits: Hits) -> dict[str, NDArray[Any]]:
    return {"energy": hits.incident.energy, "theta": hits.incident.theta, "phi": hits.incident.phi}


def _whole(hits: Hits) -> dict[str, NDArray[Any]]:
    count = len(hits.incident)
    visible = np.bincount(hits.shower, weights=hits.energy, minlength=count)
    columns: dict[str, NDArray[Any]] = {
        "visible": visible,
        "fraction": visible / hits.incident.energy,
        "hits": np.bincount(hits.shower, minlength=count).astype(np.float64),
    }
    for axis, name in enumerate(("cog_x", "cog_y", "cog_z")):
        moment = np.bincount(hits.shower, weights=hits.energy * hits.position[:, axis], minlength=count)
        columns[name] = moment / (visible + _TINY)
    return columns


def _layers(hits: Hits, geometry: Geometry) -> dict[str, NDArray[Any]]:
    shape = (len(hits.incident), geometry.n_layers)
    key = hits.shower * geometry.n_layers + hits.layer
    energy = _sums(key, hits.energy, shape)
    number = np.bincount(key, minlength=shape[0] * shape[1]).reshape(shape)
    columns = {"layer_energy": _f4(energy), "layer_hits": _f4(number)}
    coordinates = {
        "x": hits.position[:, 0],
        "y": hits.position[:, 1],
        "r": np.hypot(hits.position[:, 0], hits.position[:, 1]),
    }
    for name, values in coordinates.items():
        centre = _sums(key, hits.energy * values, shape) / (energy + _TINY)
        square = _sums(key, hits.energy * values**2, shape) / (energy + _TINY)
        columns[f"layer_{name}"] = _f4(centre)
        columns[f"width_{name}"] = _f4(np.sqrt(np.maximum(square - centre**2, 0.0)))
    columns["sparsity"] = _f4(1.0 - number / np.diff(geometry.layer_offsets))
    return columns


def _bins(hits: Hits, geometry: Geometry, binning: Binning) -> dict[str, NDArray[Any]]:
    count = len(hits.incident)
    group = np.searchsorted(binning.longitudinal, np.arange(geometry.n_layers), side="right") - 1
    spectrum = _bin(hits.energy, binning.spectrum)
    bins = len(binning.spectrum) - 1
    counts = np.bincount(hits.shower * bins + spectrum, minlength=count * bins)
    return {
        "radial_profile": _energy_in(hits, _bin(hits.distance, binning.profile), len(binning.profile) - 1),
        "longitudinal_bins": _energy_in(hits, group[hits.layer], len(binning.longitudinal) - 1),
        "radial_bins": _energy_in(hits, _bin(hits.distance, binning.radial), len(binning.radial) - 1),
        "spectrum": counts.reshape(count, bins).astype(np.int32),
    }


def _bin(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bin of every value; what lies outside counts in the first or last bin."""
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)


def _energy_in(hits: Hits, index: NDArray[np.int64], bins: int) -> NDArray[np.float32]:
    return _f4(_sums(hits.shower * bins + index, hits.energy, (len(hits.incident), bins)))


def _sums(key: NDArray[np.int64], weights: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[Any]:
    return np.bincount(key, weights=weights, minlength=shape[0] * shape[1]).reshape(shape)


def _f4(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32)
