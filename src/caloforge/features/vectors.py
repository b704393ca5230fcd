"""Feature vectors of showers as the published classifiers take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.features.whole import SHOWER_SHAPES
from caloforge.geometry import PolarGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.features.table import FeatureTable
    from caloforge.geometry import Geometry

__all__ = ["calochallenge_vector", "cloud_vector", "conditions", "layer_vector", "shower_vector"]

_FLOOR = 1e-8
_LENGTH = 100.0


def calochallenge_vector(table: FeatureTable, geometry: Geometry) -> NDArray[np.float64]:
    """The CaloChallenge's high-level features, ``(n, F)`` (reference section 13.2).

    Order: log10 E_inc, log10 E_layer, centres in x and y and widths in x and y (layers with more
    than one angular bin only), log10 E_vis, sparsity, centre and width in r; lengths are divided by
    100 mm. F is 30 and 46 for data set 1, 362 for data sets 2 and 3.
    """
    split = np.array([not isinstance(x.grid, PolarGrid) or x.grid.n_alpha > 1 for x in geometry.layers])
    return np.concatenate(
        [
            np.log10(table["energy"])[:, None],
            np.log10(table["layer_energy"] + _FLOOR),
            *(table[name][:, split] / _LENGTH for name in ("layer_x", "layer_y", "width_x", "width_y")),
            np.log10(table["visible"] + _FLOOR)[:, None],
            table["sparsity"],
            table["layer_r"] / _LENGTH,
            table["width_r"] / _LENGTH,
        ],
        axis=1,
    )


def cloud_vector(table: FeatureTable) -> NDArray[np.float64]:
    """CaloClouds' 25 observables, ``(n, 25)`` (reference section 8.7).

    Centre of gravity (3), number of hits, sampling fraction, energies in ten longitudinal and ten
    radial bins. Fewer than 25 where the cells are so coarse that quantile bins coincide.
    """
    names = ("cog_x", "cog_y", "cog_z", "hits", "fraction", "longitudinal_bins", "radial_bins")
    return table.matrix(names)


def layer_vector(table: FeatureTable, geometry: Geometry, *, hits: bool) -> NDArray[np.float64]:
    """Energies, centres and widths per layer, ``(n, F)``; with ``hits`` the hits per layer too."""
    split = np.array([not isinstance(x.grid, PolarGrid) or x.grid.n_alpha > 1 for x in geometry.layers])
    lateral = [table[name][:, split] for name in ("layer_x", "layer_y", "width_x", "width_y")]
    parts = [table["layer_energy"], *lateral, table["layer_r"], table["width_r"]]
    if hits:
        parts.append(table["layer_hits"])
    return np.concatenate(parts, axis=1).astype(np.float64)


def shower_vector(table: FeatureTable) -> NDArray[np.float64]:
    """The shapes of the whole shower, in the order of ``SHOWER_SHAPES``, ``(n, F)``."""
    return table.matrix(list(SHOWER_SHAPES))


def conditions(table: FeatureTable) -> NDArray[np.float64]:
    """What a model is conditioned on: log10 E_inc and the direction, ``(n, 4)``."""
    sine = np.sin(table["theta"])
    direction = [sine * np.cos(table["phi"]), sine * np.sin(table["phi"]), np.cos(table["theta"])]
    return np.column_stack([np.log10(table["energy"]), *direction])
