"""The direction of a shower, reconstructed from its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["layer_angle", "principal_axis"]


def principal_axis(
    covariance: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angles theta and phi [rad] of the direction of largest spread, each ``(B,)``.

    The principal axis of the cells, weighted with their energy, pointing inward (2303.18150 takes
    its angle to the detector). Showers without any spread get theta = 0.

    Args:
        covariance: Energy-weighted second moments, ``(B, 3, 3)``.
    """
    vectors = np.linalg.eigh(covariance)[1][:, :, -1]
    vectors = np.where(vectors[:, 2:] < 0, -vectors, vectors)
    theta = np.arctan2(np.hypot(vectors[:, 0], vectors[:, 1]), vectors[:, 2])
    return theta, np.arctan2(vectors[:, 1], vectors[:, 0])


def layer_angle(
    layers: Mapping[str, NDArray[np.floating]], geometry: Geometry, phi: NDArray[np.floating]
) -> NDArray[np.float64]:
    """3DGAN's measured angle, in the plane of incidence, signed [rad], ``(B,)``.

    From every layer with energy the angle between its centre and the centre of the shower, against
    the normal of the front face; the mean of these, weighted with the number of the layer (reference
    section 2.3, where the angle is the one to the other axis). 0 for empty showers.

    Args:
        layers: The columns ``layer_energy``, ``layer_x`` and ``layer_y``, ``(B, L)``.
        geometry: The read-out.
        phi: Azimuth in which the particles lean [rad], ``(B,)``.
    """
    energy, x, y = (np.asarray(layers[name], np.float64) for name in ("layer_energy", "layer_x", "layer_y"))
    cosine, sine = np.cos(phi)[:, None], np.sin(phi)[:, None]
    depth = np.broadcast_to(geometry.layer_z, energy.shape)
    along, across, deeper = (
        _from_centre(values, energy) for values in (cosine * x + sine * y, cosine * y - sine * x, depth)
    )
    angle = np.arctan2(np.where(deeper < 0, -along, along), np.hypot(across, deeper))
    weight = (energy > 0) * (np.arange(geometry.n_layers) + 0.5)
    total = weight.sum(axis=1)
    return np.asarray((weight * angle).sum(axis=1) / np.where(total > 0, total, 1.0))


def _from_centre(values: NDArray[np.float64], energy: NDArray[np.float64]) -> NDArray[np.float64]:
    total = energy.sum(axis=1, keepdims=True)
    mean = (energy * values).sum(axis=1, keepdims=True) / np.where(total > 0, total, 1.0)
    return np.asarray(values - mean)
