"""Moments of a shower's energy in x, y and z, and shares of its energy in parts of the depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from caloforge.features.hits import Hits
    from caloforge.geometry import Geometry

__all__ = ["EARLY_DEPTH", "FIRST_DEPTH", "Moments", "depth_shares", "first_layers", "moments_of"]

FIRST_DEPTH = 8 / 25
"""3DGAN's first part of the shower (R1): 8 of its 25 layers (2109.07388, section 5.2)."""

EARLY_DEPTH = 3 / 25
"""Layers in which a shower that started early has much of its energy."""

_AXES = ("x", "y", "z")


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


def moments_of(hits: Hits, geometry: Geometry, layers: Mapping[str, NDArray[np.floating]]) -> Moments:
    """Moments about the shower's own centre, as 3DGAN takes them (2109.07388).

    All that is quadratic in one lateral coordinate, or mixes it with the depth, follows from the
    energies, centres and widths per layer; only the other three moments need a pass over the hits.

    Args:
        hits: The cells.
        geometry: The read-out.
        layers: The columns ``layer_energy``, ``layer_x``, ``layer_y``, ``width_x`` and ``width_y``.
    """
    share = _shares(layers["layer_energy"])
    widths = np.stack([np.asarray(layers[f"width_{name}"], dtype=np.float64) for name in "xy"])
    centres = np.stack(
        [
            *(np.asarray(layers[f"layer_{name}"], dtype=np.float64) for name in "xy"),
            np.broadcast_to(geometry.layer_z, share.shape),
        ]
    )
    centre = np.einsum("bl,kbl->kb", share, centres)
    apart = centres - centre[:, :, None]
    covariance = np.einsum("bl,ibl,jbl->bij", share, apart, apart)
    for axis, width in enumerate(widths):
        covariance[:, axis, axis] += np.einsum("bl,bl->b", share, width**2)
    cross, cubes = _hit_moments(hits, centre)
    covariance[:, 0, 1] = covariance[:, 1, 0] = cross
    depth = np.einsum("bl,bl->b", share, apart[2] ** 3)
    return Moments(covariance, np.column_stack([*cubes, depth]))


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


def _hit_moments(
    hits: Hits, centre: NDArray[np.float64]
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """The mixed moment of x and y and the third moments in x and y, each ``(B,)``."""
    x = hits.position[:, 0] - centre[0][hits.shower]
    y = hits.position[:, 1] - centre[1][hits.shower]
    total = _sum(hits, np.ones_like(x))
    scale = 1.0 / np.where(total > 0, total, 1.0)
    return _sum(hits, x * y) * scale, [_sum(hits, d * d * d) * scale for d in (x, y)]


def _sum(hits: Hits, values: NDArray[np.float64]) -> NDArray[np.float64]:
    summed = np.bincount(hits.shower, weights=hits.energy * values, minlength=len(hits.incident))
    return summed.astype(np.float64)
