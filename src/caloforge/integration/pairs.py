"""Two photons from the hits of an event: two clusters, and the mass of what decayed into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from caloforge.errors import GeometryError, bad
from caloforge.geometry import BoxGrid
from caloforge.geometry.absorber import absorber_weights
from caloforge.showers import row_index

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["Pairs", "find_pairs", "pair_masses"]

_APART = 2  # cells at least between the two highest local maxima
_SLOPE = 3.0  # mm: lateral fall of a cluster that cells are shared by
_ROUNDS = 8
_FLOOR = 3.5  # cells of less than exp(-3.5) of a cluster's energy do not pull its centre


class Pairs(NamedTuple):
    """Two clusters in each of ``N`` events; NaN where there is only one.

    Attributes:
        energy: Weighted by the absorber in front of the sensors [MeV], ``(N, 2)``.
        centre: x and y [mm], ``(N, 2, 2)``.
        depth: Of the centre of energy of the whole event [mm], ``(N,)``.
    """

    energy: NDArray[np.float64]
    centre: NDArray[np.float64]
    depth: NDArray[np.float64]


def find_pairs(showers: Showers, geometry: Geometry) -> Pairs:
    """Find two clusters: cells summed in depth, two local maxima, shared cells.

    A cell is shared by the clusters' energies, which fall exponentially with the distance; centres are means
    weighted with the logarithm of the shared energy, both again a few times.

    Args:
        showers: Read-out cells.
        geometry: Equal layers of rectangular cells.

    Raises:
        GeometryError: The cells are others.
    """
    grid = geometry.layers[0].grid
    if not (geometry.is_uniform and isinstance(grid, BoxGrid)):
        raise GeometryError(bad("clusters", got=geometry.name, expected="equal layers of rectangular cells"))
    assert showers.cells is not None
    event, layer = row_index(showers.offsets), geometry.cell_layer[showers.cells]
    energy = showers.energy * absorber_weights(geometry)[layer]
    key = event * grid.n_cells + showers.cells % grid.n_cells
    flat = np.bincount(key, weights=energy, minlength=len(showers) * grid.n_cells)
    image, places = flat.reshape(len(showers), -1).astype(np.float64), grid.centres()
    split, centre = _clusters(image, places, _seeds(image.reshape(-1, *grid.shape)))
    total = np.maximum(image.sum(axis=1), 1e-12)
    depth = np.bincount(event, weights=energy * geometry.layer_z[layer], minlength=len(showers)) / total
    return Pairs(split, centre, depth)


def pair_masses(pairs: Pairs, *, response: float, distance: float) -> NDArray[np.float64]:
    """Invariant masses of two photons from one vertex [MeV], ``(N,)``: m^2 = 2 E1 E2 (1 - cos).

    Args:
        pairs: The clusters.
        response: Weighted energy over energy.
        distance: From the vertex to the front face [mm].
    """
    ends = np.concatenate(
        [pairs.centre, np.broadcast_to((distance + pairs.depth)[:, None, None], (len(pairs.depth), 2, 1))],
        axis=2,
    )
    unit = ends / np.linalg.norm(ends, axis=2, keepdims=True)
    cosine = (unit[:, 0] * unit[:, 1]).sum(axis=1)
    product = pairs.energy.prod(axis=1) / response**2
    mass: NDArray[np.float64] = np.sqrt(2 * product * (1 - cosine))
    return mass


def _seeds(image: NDArray[np.float64]) -> NDArray[np.int64]:
    """Flat cells of the two highest local maxima, ``(N, 2)``; -1 where there is no second one."""
    count, nx, ny = image.shape
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    around = [padded[:, i : i + nx, j : j + ny] for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    peaks = np.where(image > np.max(around, axis=0), image, 0.0).reshape(count, -1)
    first = peaks.argmax(axis=1)
    x, y = np.divmod(np.arange(nx * ny), ny)
    near = np.maximum(np.abs(x - x[first][:, None]), np.abs(y - y[first][:, None])) < _APART
    others = np.where(near, 0.0, peaks)
    second = others.argmax(axis=1)
    return np.stack([first, np.where(others.max(axis=1) > 0, second, -1)], axis=1)


def _clusters(
    image: NDArray[np.float64], places: NDArray[np.float64], seeds: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energies ``(N, 2)`` and centres ``(N, 2, 2)`` from seeds."""
    centre = places[seeds]
    energy = np.take_along_axis(image, np.maximum(seeds, 0), axis=1)
    for _ in range(_ROUNDS):
        away = np.linalg.norm(places[None, None] - centre[:, :, None], axis=3)
        pull = energy[:, :, None] * np.exp(-(away - away.min(axis=1, keepdims=True)) / _SLOPE)
        shared = image[:, None] * pull / np.maximum(pull.sum(axis=1, keepdims=True), 1e-300)
        energy = shared.sum(axis=2)
        part = shared / np.maximum(energy[:, :, None], 1e-12)
        weight = np.maximum(_FLOOR + np.log(np.maximum(part, 1e-12)), 0.0)
        centre = (weight @ places) / np.maximum(weight.sum(axis=2, keepdims=True), 1e-12)
    alone = seeds[:, 1] < 0
    return np.where(alone[:, None], np.nan, energy), np.where(alone[:, None, None], np.nan, centre)
