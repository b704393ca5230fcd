"""Moments of a shower's energy in x, y and z, and shares of its energy in parts of the depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.features.sums import sums_of_cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.features.hits import Hits
    from caloforge.geometry import Geometry

__all__ = ["EARLY_DEPTH", "FIRST_DEPTH", "Moments", "depth_shares", "first_layers", "moments_of"]

FIRST_DEPTH = 8 / 25
"""3DGAN's first part of the shower (R1): 8 of its 25 layers (2109.07388, section 5.2)."""

EARLY_DEPTH = 3 / 25
"""Layers in which a shower that started early has much of its energy."""

_AXES = ("x", "y", "z")
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Moments:
    """Energy-weighted central moments of ``B`` showers; 0 for empty ones.

    Attributes:
        covariance: Second moments [mm^2], ``(B, 3, 3)``.
        third: Third moments in x, y and z [mm^3], ``(B, 3)``.
    """

    covariance: NDArray[np.float64]
    third: NDArray[np.float64]

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """``moment2_x`` to ``moment3_z``, each ``(B,)``."""
        second = {f"moment2_{name}": self.covariance[:, k, k] for k, name in enumerate(_AXES)}
        return second | {f"moment3_{name}": self.third[:, k] for k, name in enumerate(_AXES)}


def moments_of(hits: Hits, geometry: Geometry, layer_energy: NDArray[np.floating]) -> Moments:
    """Moments about the shower's own centre, as 3DGAN takes them (2109.07388).

    Those along the depth follow from the energies per layer; one product of the hits with functions of
    the cells gives the sums for the others.

    Args:
        hits: The cells.
        geometry: The read-out.
        layer_energy: Energies per layer [MeV], ``(B, L)``.
    """
    sums = sums_of_cells(hits, _powers(geometry))
    sums[:, 1:] /= np.where(sums[:, :1] > 0, sums[:, :1], 1.0)
    _, x, y, xx, yy, xy, xxx, yyy, xz, yz = sums.T
    share = _shares(layer_energy)
    z = (share * geometry.layer_z).sum(axis=1)  # not by BLAS, whose rounding depends on the block
    deeper = geometry.layer_z - z[:, None]
    covariance = np.empty((len(sums), 3, 3))
    second = {
        (0, 0): xx - x * x,
        (1, 1): yy - y * y,
        (0, 1): xy - x * y,
        (0, 2): xz - x * z,
        (1, 2): yz - y * z,
    }
    second[2, 2] = (share * deeper**2).sum(axis=1)
    for (row, column), values in second.items():
        covariance[:, row, column] = covariance[:, column, row] = values
    covariance[np.abs(covariance) < _ROUNDING] = 0.0  # one cell has no direction
    cubes = [xxx - 3 * x * xx + 2 * x**3, yyy - 3 * y * yy + 2 * y**3, (share * deeper**3).sum(axis=1)]
    return Moments(covariance, np.column_stack(cubes))


def first_layers(geometry: Geometry, depth: float) -> int:
    """How many layers make up the share ``depth`` of all; at least one."""
    return max(round(depth * geometry.n_layers), 1)


def depth_shares(layer_energy: NDArray[np.floating], geometry: Geometry) -> dict[str, NDArray[np.floating]]:
    """Shares of the energy in parts of the depth.

    ``thirds`` ``(B, 3)`` of the layers (2005.05334), ``first_part`` ``(B,)`` (3DGAN's R1) and
    ``early_share`` ``(B,)``.
    """
    share = _shares(layer_energy)
    parts = np.array_split(np.arange(geometry.n_layers), 3)
    return {
        "thirds": np.column_stack([share[:, part].sum(axis=1) for part in parts]).astype(np.float32),
        "first_part": share[:, : first_layers(geometry, FIRST_DEPTH)].sum(axis=1),
        "early_share": share[:, : first_layers(geometry, EARLY_DEPTH)].sum(axis=1),
    }


def _shares(layer_energy: NDArray[np.floating]) -> NDArray[np.float64]:
    energy = np.asarray(layer_energy, dtype=np.float64)
    total = energy.sum(axis=1, keepdims=True)
    return np.asarray(energy / np.where(total > 0, total, 1.0))


def _powers(geometry: Geometry) -> NDArray[np.float64]:
    """1 and the products of the coordinates of every cell [mm], ``(n_cells, 10)``."""
    x, y, z = geometry.cell_positions.T.astype(np.float64)
    columns = [np.ones_like(x), x, y, x * x, y * y, x * y, x**3, y**3, x * z, y * z]
    return np.column_stack(columns)
