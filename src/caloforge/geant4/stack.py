"""A geometry as a stack of plates, front to back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from caloforge.errors import GeometryError, shown
from caloforge.geometry import BoxGrid
from caloforge.geometry.layers import VACUUM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry, PolarGrid

__all__ = ["Plate", "Sensor", "SensorDepths", "half_width", "nist_name", "plates", "window_radius"]


class Plate(NamedTuple):
    """A plate of the stack.

    Attributes:
        layer: Read-out layer that it belongs to.
        material: Name in Geant4's NIST tables.
        front: Depth of its front [mm].
        thickness: [mm].
        sensitive: Whether its deposits are read out.
    """

    layer: int
    material: str
    front: float
    thickness: float
    sensitive: bool

    @property
    def middle(self) -> float:
        """Depth of its middle [mm]."""
        return self.front + 0.5 * self.thickness


def plates(geometry: Geometry) -> list[Plate]:
    """All plates of ``geometry`` in order of depth, front face at 0.

    Raises:
        GeometryError: The materials or the sensors of a layer are not known.
    """
    stack = []
    for number, layer in enumerate(geometry.layers):
        if not any(slab.sensitive for slab in layer.slabs):
            msg = (
                f"Geant4 cannot simulate the geometry {shown(geometry.name)}: layer {number} has no "
                f"sensitive slab; give it slabs such as [[W, 2.1], [Si, 0.5, sensitive]]."
            )
            raise GeometryError(msg)
        front = float(geometry.layer_edges[number])
        for slab in layer.slabs:
            stack.append(Plate(number, nist_name(slab.material), front, slab.thickness, slab.sensitive))
            front += slab.thickness
    return stack


def nist_name(material: str) -> str:
    """The name of a slab's material in Geant4's tables."""
    if material == VACUUM:
        return "G4_Galactic"
    return material if material.startswith("G4_") else f"G4_{material}"


def window_radius(grid: BoxGrid | PolarGrid) -> float:
    """Distance from the axis to the farthest edge of the read-out window, along x, y or r [mm]."""
    if not isinstance(grid, BoxGrid):
        return grid.r_edges[-1]
    size = (grid.nx, grid.ny)
    return max(abs(c) + 0.5 * n * p for c, n, p in zip(grid.centre, size, grid.pitch, strict=True))


def half_width(geometry: Geometry) -> float:
    """Half of the plates' width [mm], or the discs' radius.

    They reach three depths beyond the read-out window, so that what leaves the window leaves it through
    matter and not through an edge, up to about 70 degrees.
    """
    return max(window_radius(layer.grid) for layer in geometry.layers) + 3 * geometry.depth


class Sensor(NamedTuple):
    """A sensitive plate that may be placed many times, with the layer's number as copy number.

    Attributes:
        grid: Read-out grid of its layers.
        plate: Logical volume of the plate.
        cell: Logical volume of the read-out cell inside of it, or None when it is not divided.
    """

    grid: BoxGrid | PolarGrid
    plate: Any
    cell: Any


class SensorDepths:
    """Finds the layer of a step from its depth, also when rounding puts it a little outside of its sensor."""

    def __init__(self, stack: list[Plate]) -> None:
        sensors = [plate for plate in stack if plate.sensitive]
        fronts = np.array([plate.front for plate in sensors])
        backs = fronts + [plate.thickness for plate in sensors]
        self._borders = 0.5 * (backs[:-1] + fronts[1:])
        self._layers = np.array([plate.layer for plate in sensors])

    def layer(self, z: NDArray[np.float64]) -> NDArray[np.int64]:
        """The layer of the sensor nearest to every depth [mm], ``(S,)``."""
        found: NDArray[np.int64] = self._layers[np.searchsorted(self._borders, z)]
        return found
