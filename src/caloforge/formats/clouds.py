"""What the point-cloud formats share: layers instead of depths, and padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError, FormatError, bad
from caloforge.formats.checks import numbers, per_shower
from caloforge.showers import row_index

if TYPE_CHECKING:
    from pathlib import Path

    import h5py
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["cloud_columns", "depth_of_layer", "hold_mev", "pad", "unpad"]

_SAMPLE = 8
_MOST_VISIBLE = 2.0


def cloud_columns(showers: Showers, geometry: Geometry) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The points as columns x, y [mm], layer number, energy [MeV], and their offsets.

    Points without energy are left out: the padded formats use zero energy as padding.

    Returns:
        ``(H, 4)`` float32 and ``(B + 1,)``.

    Raises:
        DataError: The showers are cells, or points lie in front of or behind the calorimeter.
    """
    kept = showers.keep(showers.energy > 0)
    if kept.points is None:
        raise DataError("These showers are cells, not points: turn them into points first.")
    layer = geometry.layer_of(kept.points[:, 2])
    if np.any(layer < 0):
        got = f"{np.count_nonzero(layer < 0)} points outside of 0 to {geometry.depth:g} mm"
        raise DataError(bad(f"depths for the layers of {geometry.name}", got=got, expected="none"))
    return np.column_stack([kept.points[:, :2], layer, kept.energy]).astype(np.float32), kept.offsets


def depth_of_layer(layer: NDArray[np.floating], geometry: Geometry, path: Path) -> NDArray[np.float64]:
    """Depths [mm] of layer numbers, ``(H,)``; fractions of a layer do not count.

    Raises:
        FormatError: A number is not one of the geometry's layers.
    """
    # numbers come as floats: 2.9999 is layer 3
    number = np.floor(layer + 1e-3)
    # NaN is between nothing
    if len(number) and not 0 <= number.min() <= number.max() < geometry.n_layers:
        got = f"{number.min():g} to {number.max():g}"
        expected = f"0 to {geometry.n_layers - 1} of {geometry.name}"
        raise FormatError(bad(f"layers of {path}", got=got, expected=expected, fix="give --geometry"))
    depth: NDArray[np.float64] = geometry.layer_z[number.astype(np.int64)]
    return depth


def hold_mev(file: h5py.File) -> bool:
    """Whether the energies of ``events`` (N, P, 4) are in MeV: in GeV, they would exceed those of ``energy``.

    Some showers are looked at.

    Raises:
        FormatError: The datasets are not what they must be.
    """
    count = len(numbers(file, "events", (None, None, 4)))
    energy = per_shower(file, "energy", count)[:_SAMPLE].reshape(-1)
    visible = file["events"][:_SAMPLE, :, 3].sum(axis=1, dtype=np.float64)
    return bool(np.any(visible > 0) and visible.sum() > _MOST_VISIBLE * energy.sum(dtype=np.float64))


def pad(
    columns: NDArray[np.float32], offsets: NDArray[np.int64], width: int, *, front: bool = False
) -> NDArray[np.float32]:
    """Spread flat points over rows of ``width`` places, zeros behind (or in front of) them.

    Args:
        columns: Flat points, ``(H, P)``.
        offsets: ``(B + 1,)``.
        width: At least the largest number of points.
        front: Whether the zeros come first.

    Returns:
        ``(B, width, P)``.
    """
    counts = np.diff(offsets)
    row = row_index(offsets)
    place = np.arange(len(columns)) - offsets[row]
    if front:
        place += (width - counts)[row]
    padded = np.zeros((len(counts), width, columns.shape[1]), dtype=np.float32)
    padded[row, place] = columns
    return padded


def unpad(padded: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """The points whose last column, the energy, is not zero; the inverse of ``pad``.

    Args:
        padded: ``(B, width, P)``.

    Returns:
        ``(H, P)`` and ``(B + 1,)``.
    """
    real = padded[:, :, -1] != 0
    offsets = np.concatenate([[0], np.cumsum(real.sum(axis=1))]).astype(np.int64)
    return padded[real], offsets
