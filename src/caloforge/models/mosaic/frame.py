"""Clouds in the frame of their particle's axis, on a fine grid, and back to the calorimeter.

In the frame every layer's origin is where the straight line of the particle crosses its sensors, and a
*turned* frame has its x axis along the azimuth that the particle leans to. A read-out of the frame, with the
axis at the corner of four cells, is an ordinary geometry: ``frame_readout``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError, GeometryError, bad
from caloforge.geometry import BoxGrid, cell_symmetries, symmetry_turns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["Axes", "box_grid", "frame_readout", "into_frame", "turns_of"]

_UPRIGHT = 1e-6  # sines of angles below it have no azimuth
_STEEPEST = 1e-3  # cosine: a particle along the layers would never leave them


@dataclass(frozen=True, eq=False)
class Axes:
    """Axes of ``B`` particles.

    Attributes:
        slope: tan(theta) (cos phi, sin phi), ``(B, 2)``.
        lean: Where the frames' x axes point, ``(B, 2)``.
    """

    slope: NDArray[np.float64]
    lean: NDArray[np.float64]

    @classmethod
    def of(cls, direction: NDArray[np.floating], *, turned: bool) -> Axes:
        """The axes of particles.

        Args:
            direction: sin(theta) (cos phi, sin phi), ``(B, 2)``.
            turned: Whether the frames turn with them.
        """
        flat = direction.astype(np.float64)
        sine = np.sqrt(flat[:, 0] * flat[:, 0] + flat[:, 1] * flat[:, 1])
        cosine = np.sqrt(np.maximum(1.0 - sine * sine, _STEEPEST**2))
        leans = (sine > _UPRIGHT) & turned
        unit = flat / np.where(leans, sine, 1.0)[:, None]
        return cls(flat / cosine[:, None], np.where(leans[:, None], unit, [1.0, 0.0]))

    def inside(
        self, shower: NDArray[np.integer], points: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """x and y in the frames of points ``(H, 3)`` of the calorimeter."""
        x, y = (points[:, k] - points[:, 2] * self.slope[shower, k] for k in (0, 1))
        cosine, sine = self.lean[shower].T
        return cosine * x + sine * y, cosine * y - sine * x

    def outside(
        self,
        shower: NDArray[np.integer],
        x: NDArray[np.floating],
        y: NDArray[np.floating],
        z: NDArray[np.floating],
    ) -> NDArray[np.float32]:
        """Points of the calorimeter ``(H, 3)`` from x and y in the frames and the depth."""
        cosine, sine = self.lean[shower].T
        slope = self.slope[shower]
        columns = (cosine * x - sine * y + z * slope[:, 0], sine * x + cosine * y + z * slope[:, 1], z)
        return np.stack(columns, axis=1).astype(np.float32)


def box_grid(geometry: Geometry) -> BoxGrid:
    """The layers' grid of squares.

    Raises:
        GeometryError: They have another one.
    """
    grid = geometry.layers[0].grid
    if isinstance(grid, BoxGrid):
        return grid
    got, expected = f"{geometry.name}, whose layers have rings", "equal layers of square cells"
    fix = "leave out model.points"
    raise GeometryError(bad("the read-out for points of mosaic", got=got, expected=expected, fix=fix))


def frame_readout(geometry: Geometry, *, share: float) -> Geometry:
    """The read-out of the frame: the cells of ``geometry``, with a share of its threshold."""
    return geometry.model_copy(update={"threshold": share * geometry.threshold})


def turns_of(geometry: Geometry, *, leaning: bool) -> NDArray[np.int32]:
    """Symmetries that showers are turned and mirrored by, as ``cell_symmetries``, ``(S, n_cells)``.

    Args:
        geometry: The read-out.
        leaning: Whether showers lean along x.
    """
    turns = cell_symmetries(geometry)
    if not leaning:
        return turns
    keeps_x: NDArray[np.bool_] = (symmetry_turns(geometry)[:, 0] == [1, 0]).all(axis=1)
    kept: NDArray[np.int32] = turns[keeps_x]
    return kept


def into_frame(showers: Showers, geometry: Geometry, *, grid: int, turned: bool) -> Showers:
    """Clouds in their frames, at centres of ``grid`` x ``grid`` parts of the cells.

    Args:
        showers: Points.
        geometry: Layers and cells.
        grid: Parts of a cell each way.
        turned: As of ``Axes``.

    Raises:
        DataError: They are cells.
    """
    if showers.points is None:
        fix = "train on files of points, or leave out model.points"
        raise DataError(bad("showers for points of mosaic", got="cells", expected="points", fix=fix))
    axes = Axes.of(showers.incident.direction[:, :2].astype(np.float32), turned=turned)
    step = box_grid(geometry).pitch[0] / grid
    x, y = ((np.floor(v / step) + 0.5) * step for v in axes.inside(showers.shower, showers.points))
    points = np.column_stack([x, y, showers.points[:, 2]]).astype(np.float32)
    return replace(showers, points=points, meta=replace(showers.meta, pitch=0.0))
