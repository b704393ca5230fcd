"""The stack of plates as Geant4 volumes. Imports Geant4: its data must be known before."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import geant4_pybind as g4

from caloforge.errors import GeometryError, bad, shown
from caloforge.geant4.stack import Sensor, half_width, nist_name, plates
from caloforge.geometry import BoxGrid

if TYPE_CHECKING:
    from caloforge.geant4.face import Face
    from caloforge.geant4.scoring import Scorer
    from caloforge.geant4.stack import Plate
    from caloforge.geant4.upstream import Upstream
    from caloforge.geometry import Geometry, PolarGrid

__all__ = ["Detector"]

_MARGIN = 20.0  # mm of vacuum around the stack
_FULL_TURN = 6.283185307179586


class Detector(g4.G4VUserDetectorConstruction):  # type: ignore[misc]
    """Builds the stack: front face at z = 0, the axis through x = y = 0.

    Box grids get square plates, polar grids discs (all square when mixed).

    Args:
        geometry: With slabs on every layer.
        scorer: Gets the sensors.
        divided: Whether the sensors are divided into the read-out cells.
        upstream: A plate in front.
        face: Watches the front face.

    Raises:
        GeometryError: A material is unknown, or a grid cannot be divided.
    """

    def __init__(
        self,
        geometry: Geometry,
        scorer: Scorer,
        *,
        divided: bool,
        upstream: Upstream,
        face: Face | None = None,
    ) -> None:
        super().__init__()
        self._face = face
        self._world: Any = None
        self.stack, self._upstream = plates(geometry), upstream
        names = {p.material for p in self.stack} | ({nist_name(upstream.material)} if upstream else set())
        self.materials = {name: _material(name) for name in names}
        self._vacuum = _material("G4_Galactic")
        self._geometry, self._scorer, self._divided = geometry, scorer, divided
        self._half_width = half_width(geometry)
        self._kept: list[Any] = []
        self._logicals: dict[tuple[object, ...], Any] = {}
        self._sensors: list[Sensor] = []
        if divided:
            for layer in geometry.layers:
                _check_divisible(layer.grid)

    @property
    def elements(self) -> set[int]:
        """Atomic numbers in the materials."""
        return {e.GetZasInt() for m in self.materials.values() for e in m.GetElementVector()}

    def Construct(self) -> Any:  # noqa: N802 (Geant4's name)
        """Build all volumes."""
        size = self._half_width + self._upstream.width + _MARGIN
        box = g4.G4Box("world", size, size, max(self._geometry.depth, self._upstream.reach) + _MARGIN)
        self._world = world = self._logical("world", box, self._vacuum)
        placed = self._keep(g4.G4PVPlacement(None, g4.G4ThreeVector(), world, "world", None, False, 0, False))
        for plate in self.stack:
            at = g4.G4ThreeVector(0, 0, plate.middle)
            logical = self._plate(plate)
            name = logical.GetName()
            self._keep(g4.G4PVPlacement(None, at, logical, name, world, False, plate.layer, False))
        if self._upstream:
            self._place_upstream(world)
        return placed

    def _place_upstream(self, world: Any) -> None:
        front, size = self._upstream, self._half_width + self._upstream.width
        solid = g4.G4Box("upstream", size, size, 0.5 * front.length)
        plate = self._logical("upstream", solid, self.materials[nist_name(front.material)])
        at = g4.G4ThreeVector(0, 0, 0.5 * front.length - front.reach)
        self._keep(g4.G4PVPlacement(None, at, plate, "upstream", world, False, 0, False))

    def ConstructSDandField(self) -> None:  # noqa: N802 (Geant4's name)
        """Attach the scorer, and the face to the vacuum."""
        self._scorer.attach(self, self._sensors)
        if self._face is not None:
            g4.G4SDManager.GetSDMpointer().AddNewDetector(self._face)
            self.SetSensitiveDetector(self._world, self._face)

    def _plate(self, plate: Plate) -> Any:
        grid = self._geometry.layers[plate.layer].grid
        key = (plate.material, plate.thickness, plate.sensitive, grid)
        if key not in self._logicals:
            self._logicals[key] = self._build(plate, grid)
        return self._logicals[key]

    def _build(self, plate: Plate, grid: BoxGrid | PolarGrid) -> Any:
        name = f"{'sensor' if plate.sensitive else 'absorber'}{len(self._logicals)}"
        half = 0.5 * plate.thickness
        if all(not isinstance(layer.grid, BoxGrid) for layer in self._geometry.layers):
            solid = g4.G4Tubs(name, 0, self._half_width, half, 0, _FULL_TURN)
        else:
            solid = g4.G4Box(name, self._half_width, self._half_width, half)
        material = self.materials[plate.material]
        logical = self._logical(name, solid, material)
        if plate.sensitive:
            divide = self._box_cells if isinstance(grid, BoxGrid) else self._polar_cells
            cell = divide(name, logical, grid, half, material) if self._divided else None
            self._sensors.append(Sensor(grid, logical, cell))
        return logical

    def _box_cells(self, name: str, mother: Any, grid: Any, half: float, material: Any) -> Any:
        """Window in ``mother``, columns along x in it, cells along y in them."""
        (px, py), (nx, ny) = grid.pitch, grid.shape
        sizes = ((nx * px, ny * py), (px, ny * py), (px, py))
        window, column, cell = (
            self._logical(f"{name}-{part}", g4.G4Box(f"{name}-{part}", sx / 2, sy / 2, half), material)
            for part, (sx, sy) in zip(("window", "column", "cell"), sizes, strict=True)
        )
        at = g4.G4ThreeVector(*grid.centre, 0)
        self._keep(g4.G4PVPlacement(None, at, window, f"{name}-window", mother, False, 0, False))
        self._keep(g4.G4PVReplica(f"{name}-columns", column, window, g4.kXAxis, nx, px))
        self._keep(g4.G4PVReplica(f"{name}-cells", cell, column, g4.kYAxis, ny, py))
        return cell

    def _polar_cells(self, name: str, mother: Any, grid: Any, half: float, material: Any) -> Any:
        """Window in ``mother``, wedges in it, rings in them."""
        low, high = grid.r_edges[0], grid.r_edges[-1]
        turn, step = _FULL_TURN / grid.n_alpha, (high - low) / grid.n_r
        # Geant4 turns every wedge so that its middle is on the x axis
        sizes = ((high, 0.0, _FULL_TURN), (high, -turn / 2, turn), (low + step, -turn / 2, turn))
        window, wedge, cell = (
            self._logical(f"{name}-{part}", g4.G4Tubs(f"{name}-{part}", low, r, half, start, angle), material)
            for part, (r, start, angle) in zip(("window", "wedge", "cell"), sizes, strict=True)
        )
        at = g4.G4ThreeVector()
        self._keep(g4.G4PVPlacement(None, at, window, f"{name}-window", mother, False, 0, False))
        offset = -_FULL_TURN / 2
        self._keep(g4.G4PVReplica(f"{name}-wedges", wedge, window, g4.kPhi, grid.n_alpha, turn, offset))
        self._keep(g4.G4PVReplica(f"{name}-cells", cell, wedge, g4.kRho, grid.n_r, step, low))
        return cell

    def _logical(self, name: str, solid: Any, material: Any) -> Any:
        return self._keep(g4.G4LogicalVolume(self._keep(solid), material, name))

    def _keep(self, item: Any) -> Any:
        # Geant4 does not keep Python objects alive
        self._kept.append(item)
        return item


def _material(name: str) -> Any:
    manager = g4.G4NistManager.Instance()
    known = list(manager.GetNistMaterialNames())
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        hint = f" (near: {', '.join(close)})" if close else ""
        expected = f"a chemical symbol (W) or a NIST name (G4_POLYSTYRENE){hint}"
        raise GeometryError(bad("material in Geant4", got=shown(name), expected=expected))
    return manager.FindOrBuildMaterial(name)


def _check_divisible(grid: BoxGrid | PolarGrid) -> None:
    if isinstance(grid, BoxGrid):
        return
    steps = [b - a for a, b in zip(grid.r_edges, grid.r_edges[1:], strict=False)]
    if max(steps) - min(steps) > 1e-9 * grid.r_edges[-1]:
        msg = "Geant4 can divide sensors into rings of one width only: use the scoring 'steps' and --readout."
        raise GeometryError(msg)
