"""Points to cells and back: a cloud can be put anywhere in front of the read-out grid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from caloforge.errors import DataError, GeometryError, bad, shown
from caloforge.showers import Showers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry.layers import Geometry

__all__ = [
    "Deposits",
    "check_cells",
    "cut_cells",
    "deposits",
    "from_sums",
    "place",
    "project",
    "summed",
    "to_cells",
    "to_dense",
    "to_points",
]


class Deposits(NamedTuple):
    """Energies in read-out cells, several in one cell perhaps.

    Attributes:
        keys: Number of the shower times the number of cells, plus the cell, ``(H,)`` int64.
        energy: On the scale of the read-out [MeV], ``(H,)`` float32.
    """

    keys: NDArray[np.int64]
    energy: NDArray[np.float32]


def place(
    showers: Showers,
    *,
    offset: tuple[float, float] = (0.0, 0.0),
    rotation: float = 0.0,
    azimuth: float | None = None,
) -> Showers:
    """Move a cloud: first turn it about the z axis, then shift it by ``offset`` [mm].

    The incident azimuth turns with the cloud.

    Args:
        showers: Clouds of points.
        offset: Of all points, in x and y [mm].
        rotation: Angle to turn by [rad].
        azimuth: In place of it, the azimuth in which all particles lean in the end [rad]: each shower is
            turned by its own angle, on the fine grid of the points, before cells are made of them.

    Raises:
        DataError: The showers are cells, not points.
    """
    points = _points_of(showers).copy()
    turn = np.full(len(showers), rotation) if azimuth is None else azimuth - showers.incident.phi
    if turn.any():
        cosine, sine = np.cos(turn)[showers.shower], np.sin(turn)[showers.shower]
        x, y = points[:, 0].copy(), points[:, 1].copy()
        points[:, 0], points[:, 1] = cosine * x - sine * y, sine * x + cosine * y
    points[:, 0] += offset[0]
    points[:, 1] += offset[1]
    incident = replace(showers.incident, phi=showers.incident.phi + turn)
    on_grid = offset == (0.0, 0.0) and not (turn % (np.pi / 2)).any()
    meta = showers.meta if on_grid else replace(showers.meta, pitch=0.0)
    return replace(showers, points=points, incident=incident, meta=meta)


def project(showers: Showers, geometry: Geometry) -> Showers:
    """Sum the points of every shower into the cells of ``geometry`` and apply its threshold.

    Points outside of the window are lost. Cells come sorted by index within each shower.

    Raises:
        DataError: The showers are cells already.
    """
    _points_of(showers)
    sums, _, _ = summed(deposits(showers, geometry))
    above = (sums.energy >= geometry.threshold) & (sums.energy > 0)
    return from_sums(showers, geometry, Deposits(sums.keys[above], sums.energy[above]))


def deposits(showers: Showers, geometry: Geometry) -> Deposits:
    """What points or cells leave in the read-out cells of ``geometry``, hit after hit.

    Points outside of the window are lost; no threshold is applied.

    Raises:
        GeometryError: The cells belong to another geometry.
    """
    cells = _found(showers, geometry) if showers.cells is None else _cells_of(showers, geometry)
    inside = np.flatnonzero(cells >= 0)
    scale = np.float32(showers.meta.sampling_fraction / geometry.sampling_fraction)
    keys = showers.shower[inside] * geometry.n_cells + cells[inside]
    return Deposits(keys, showers.energy[inside] * scale)


def _found(showers: Showers, geometry: Geometry) -> NDArray[np.int64]:
    points = _points_of(showers)
    return geometry.find_cells(points[:, 0], points[:, 1], geometry.layer_of(points[:, 2]))


def cut_cells(showers: Showers, geometry: Geometry) -> Showers:
    """Leave out the cells below the threshold of ``geometry``, on the energy scale of the showers.

    Raises:
        DataError: The showers are points.
        GeometryError: The cells belong to another geometry.
    """
    check_cells(showers, geometry)
    threshold = geometry.threshold * (geometry.sampling_fraction / showers.meta.sampling_fraction)
    above = (showers.energy >= threshold) & (showers.energy > 0)
    meta = replace(showers.meta, threshold=max(threshold, showers.meta.threshold))
    return replace(showers if above.all() else showers.keep(above), meta=meta)


def to_cells(showers: Showers, geometry: Geometry) -> Showers:
    """Cells above threshold: points are projected, of cells those below it left out.

    Raises:
        GeometryError: The cells belong to another geometry.
    """
    return project(showers, geometry) if showers.cells is None else cut_cells(showers, geometry)


def to_points(showers: Showers, geometry: Geometry, *, rng: np.random.Generator | None = None) -> Showers:
    """Replace cells by points: cell centres, or uniform positions inside when ``rng`` is given.

    Raises:
        GeometryError: The cells belong to another geometry.
    """
    cells = _cells_of(showers, geometry)
    points = geometry.cell_positions[cells]
    if rng is not None:
        points = _spread(points, cells, geometry, rng)
    pitch = 0.0 if rng is not None else geometry.fine_pitch * geometry.points_per_cell
    meta = replace(showers.meta, fingerprint="", pitch=pitch)
    return replace(showers, points=points, cells=None, meta=meta)


def to_dense(showers: Showers, geometry: Geometry) -> NDArray[np.float32]:
    """Dense energies [MeV], ``(B, *geometry.dense_shape)``; meant for one block at a time.

    Raises:
        GeometryError: The cells belong to another geometry.
    """
    cells = _cells_of(showers, geometry)
    dense = np.zeros(len(showers) * geometry.n_cells, dtype=np.float32)
    # add: files of others may hold several deposits in one cell
    np.add.at(dense, showers.shower * geometry.n_cells + cells, showers.energy)
    return dense.reshape(len(showers), *geometry.dense_shape)


def check_cells(showers: Showers, geometry: Geometry) -> None:
    """Make sure that ``showers`` are cells of ``geometry``.

    Raises:
        DataError: The showers are points.
        GeometryError: The fingerprint differs or a cell index is out of range.
    """
    if showers.cells is None:
        raise DataError("These showers are points, not cells: project them first.")
    if showers.meta.fingerprint not in {"", geometry.fingerprint}:
        got = f"cells of {shown(showers.meta.geometry)} ({showers.meta.fingerprint})"
        expected = f"cells of {shown(geometry.name)} ({geometry.fingerprint})"
        raise GeometryError(bad("showers", got=got, expected=expected, fix="name the geometry of the file"))
    if len(showers.cells) and not 0 <= showers.cells.min() <= showers.cells.max() < geometry.n_cells:
        got = f"indices {showers.cells.min()} to {showers.cells.max()}"
        raise GeometryError(bad("cell indices", got=got, expected=f"0 to {geometry.n_cells - 1}"))


def _cells_of(showers: Showers, geometry: Geometry) -> NDArray[np.int32]:
    check_cells(showers, geometry)
    return showers.cells if showers.cells is not None else np.empty(0, np.int32)


def _points_of(showers: Showers) -> NDArray[np.float32]:
    if showers.points is None:
        raise DataError("These showers are cells, not points: only clouds can be moved or projected.")
    return showers.points


def summed(parts: Deposits) -> tuple[Deposits, NDArray[np.int64], NDArray[np.int64]]:
    """Sums in every cell by rising keys; the order of the parts in them, and where every sum's begin."""
    order = np.argsort(parts.keys, kind="stable")
    keys, energy = parts.keys[order], parts.energy[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    sums = np.add.reduceat(energy.astype(np.float64), first) if len(first) else energy
    return Deposits(keys[first], sums.astype(np.float32)), order, first


def from_sums(showers: Showers, geometry: Geometry, sums: Deposits) -> Showers:
    """Showers of the particles of ``showers`` whose hits are ``sums``, one a cell, by rising keys."""
    counts = np.bincount(sums.keys // geometry.n_cells, minlength=len(showers))
    meta = replace(
        showers.meta,
        geometry=geometry.name,
        fingerprint=geometry.fingerprint,
        sampling_fraction=geometry.sampling_fraction,
        pitch=0.0,
        threshold=geometry.threshold,
    )
    return Showers(
        incident=showers.incident,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        energy=sums.energy,
        cells=(sums.keys % geometry.n_cells).astype(np.int32),
        meta=meta,
        extras=showers.extras,
    )


def _spread(
    points: NDArray[np.float32],
    cells: NDArray[np.int32],
    geometry: Geometry,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    extents = np.concatenate([layer.grid.extents() for layer in geometry.layers])[cells]
    shift = (rng.random((len(cells), 2)) - 0.5) * extents
    box = np.array([layer.grid.kind == "box" for layer in geometry.layers])[geometry.cell_layer[cells]]
    radius = np.hypot(points[:, 0], points[:, 1]) + shift[:, 0]
    angle = np.arctan2(points[:, 1], points[:, 0]) + shift[:, 1]
    x = np.where(box, points[:, 0] + shift[:, 0], radius * np.cos(angle))
    y = np.where(box, points[:, 1] + shift[:, 1], radius * np.sin(angle))
    return np.column_stack([x, y, points[:, 2]]).astype(np.float32)
