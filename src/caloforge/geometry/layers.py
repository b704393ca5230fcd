"""The calorimeter as data: slabs of material stacked in depth, a read-out grid on every layer."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from caloforge.errors import ConfigError, GeometryError, bad, did_you_mean
from caloforge.geometry.grids import MOST_CELLS, BoxGrid, Grid, Length, PolarGrid
from caloforge.particles import PARTICLES, particle_code, particle_name, particle_word
from caloforge.records import Record, first_problem, inconsistent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from numpy.typing import NDArray

__all__ = ["MOST_LAYERS", "VACUUM", "Geometry", "Layer", "Slab"]

MOST_LAYERS = 10_000
VACUUM = "vacuum"
_CHALLENGE = (22, 211, 11)  # the CaloChallenge's XML names these in words


def _printable(text: str) -> str:
    if not text.isprintable():
        msg = "a text on one line without control characters"
        raise ValueError(msg)
    return text


_Name = Annotated[str, Field(max_length=200), AfterValidator(_printable)]


class Slab(Record):
    """A plate of one material."""

    material: _Name
    """Chemical symbol (W, Si, Pb, ...), a NIST name of Geant4 (G4_POLYSTYRENE), or "vacuum"."""
    thickness: Length
    """Along the depth, 1e-6 to 1e6 [mm]."""
    sensitive: bool = False
    """Whether its energy deposits are read out."""


class Layer(Record):
    """One read-out layer: its plates in order of depth, and its grid."""

    slabs: tuple[Slab, ...] = Field(default=(), max_length=1000)
    """Plates from front to back; empty when the detector's materials are not known."""
    grid: Grid
    """Read-out cells."""
    id: int = Field(ge=0, lt=MOST_LAYERS)
    """The layer's number in the experiment, 0 to 9999 (ds1 of the CaloChallenge has 0, 1, 2, 3, 12)."""

    @property
    def thickness(self) -> float:
        """Depth of the layer [mm]; 1 when the materials are not known."""
        return sum(s.thickness for s in self.slabs) if self.slabs else 1.0

    @property
    def sensor_offset(self) -> float:
        """Depth of the middle of the sensors inside the layer [mm]."""
        if not any(s.sensitive for s in self.slabs):
            return 0.5 * self.thickness
        edges = np.cumsum([0.0, *(s.thickness for s in self.slabs)])
        mids = 0.5 * (edges[1:] + edges[:-1])
        weights = [s.thickness if s.sensitive else 0.0 for s in self.slabs]
        return float(np.average(mids, weights=weights))


class Geometry(Record):
    """A calorimeter's read-out.

    Cells are numbered layer by layer; inside a layer the last axis of its grid runs fastest
    (box: x, y; polar: alpha, r).

    >>> import caloforge
    >>> ecal = caloforge.load_geometry("siw-ecal")
    >>> ecal
    Geometry(siw-ecal, 30 layers, 27000 cells)
    >>> ecal.dense_shape
    (30, 30, 30)
    >>> ecal.cell_positions[0]  # x, y, depth [mm] of the first cell
    array([-73.78035, -73.78035,   2.35   ], dtype=float32)
    """

    model_config = ConfigDict(ignored_types=(cached_property,))

    name: _Name
    """Name in the catalogue, or the file's own."""
    description: str = Field(default="", max_length=10_000)
    """One line for people."""
    particle: str = "photon"
    """What its showers start from: a name (photon, pion, electron, pi-, e+, proton, ...) or "PDG 130"; names
    and codes of all particles are understood."""
    layers: tuple[Layer, ...] = Field(min_length=1, max_length=MOST_LAYERS)
    """From front to back, 10 000 at most, each with a number (id) of its own; their cells are fewer than
    2^31."""
    threshold: float = Field(default=0.0, ge=0, le=1e6)
    """Cells below are not read out [MeV, after the energy scale], up to 1e6."""
    sampling_fraction: float = Field(default=1.0, ge=1e-6, le=1e6)
    """Sensor deposits are divided by it before they are stored (1: raw energy), 1e-6 to 1e6."""
    points_per_cell: int = Field(default=1, ge=1, le=1000)
    """Clouds are kept on a lateral grid finer than the cells by this factor, up to 1000."""

    @classmethod
    def stack(
        cls,
        slabs: Sequence[tuple[str, float] | tuple[str, float, str]],
        *,
        repeat: int,
        cells: int | tuple[int, int],
        pitch: float | tuple[float, float],
        threshold: float = 0.0,
        name: str = "stack",
    ) -> Geometry:
        """A stack of equal layers with rectangular cells.

        >>> from caloforge import Geometry
        >>> plates = [("Pb", 5.0), ("G4_POLYSTYRENE", 4.0, "sensitive")]
        >>> Geometry.stack(plates, repeat=22, cells=20, pitch=20.0, threshold=0.25).n_cells
        8800

        Args:
            slabs: Plates of a layer from front to back: material, thickness [mm], and "sensitive" for those
                that are read out.
            repeat: Layers.
            cells: In x and y, or one number for both.
            pitch: Their sizes [mm].
            threshold: Cells below are not read out [MeV].
            name: Of the geometry.

        Raises:
            GeometryError: A number is out of range.
        """
        # files know this short form; they are made of what is here
        from caloforge.geometry.files import geometry_from_dict

        nx, ny = (cells, cells) if isinstance(cells, int) else cells
        sizes = [pitch, pitch] if isinstance(pitch, int | float) else list(pitch)
        content = {
            "name": name,
            "threshold": threshold,
            "grid": {"kind": "box", "nx": nx, "ny": ny, "pitch": sizes},
            "layers": [{"repeat": repeat, "slabs": [list(slab) for slab in slabs]}],
        }
        return geometry_from_dict(content, source=f"the stack {name}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {len(self.layers)} layers, {self.n_cells} cells)"

    @field_validator("particle", mode="before")
    @classmethod
    def _one_name(cls, value: object) -> str:
        try:
            code = particle_code(value) if isinstance(value, str | int) else 0
        except ConfigError:
            code = 0
        if not code:
            hint = did_you_mean(value, PARTICLES) if isinstance(value, str) else "as photon or -211"
            msg = f"a particle's name or PDG code ({hint})"
            raise ValueError(msg)
        return particle_word(code) if code in _CHALLENGE else particle_name(code)

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        cells = sum(layer.grid.n_cells for layer in self.layers)
        if cells > MOST_CELLS:
            raise inconsistent(got=f"{cells:,} cells", expected=f"at most {MOST_CELLS:,} in all layers")
        number, times = Counter(layer.id for layer in self.layers).most_common(1)[0]
        if times > 1:
            got = f"the id {number} {times} times"
            raise inconsistent(got=got, expected="another id for every layer")
        return self

    @property
    def pdg(self) -> int:
        """Code of the particle."""
        return particle_code(self.particle)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that changes what a cell or an energy means (names and texts do not)."""
        content = self.model_dump(mode="json", exclude={"name", "description", "particle"})
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def n_layers(self) -> int:
        """Read-out layers."""
        return len(self.layers)

    @cached_property
    def layer_offsets(self) -> NDArray[np.int64]:
        """First cell of every layer, and the end: ``(n_layers + 1,)``."""
        return np.cumsum([0, *(layer.grid.n_cells for layer in self.layers)]).astype(np.int64)

    @property
    def n_cells(self) -> int:
        """Cells of all layers."""
        return int(self.layer_offsets[-1])

    @cached_property
    def layer_edges(self) -> NDArray[np.float64]:
        """Depths of the layers' boundaries [mm], ``(n_layers + 1,)``, front face at 0."""
        return np.cumsum([0.0, *(layer.thickness for layer in self.layers)])

    @cached_property
    def layer_z(self) -> NDArray[np.float64]:
        """Depth of the middle of every layer's sensors [mm], ``(n_layers,)``."""
        return self.layer_edges[:-1] + [layer.sensor_offset for layer in self.layers]

    @property
    def depth(self) -> float:
        """Full depth [mm]."""
        return float(self.layer_edges[-1])

    @property
    def is_uniform(self) -> bool:
        """Whether all layers have the same grid, so that dense arrays have four axes."""
        return len({layer.grid for layer in self.layers}) == 1

    @property
    def dense_shape(self) -> tuple[int, ...]:
        """Shape of one dense shower: (layers, x, y) or (layers, alpha, r); (n_cells,) when ragged."""
        return (self.n_layers, *self.layers[0].grid.shape) if self.is_uniform else (self.n_cells,)

    @property
    def fine_pitch(self) -> float:
        """Pitch of the grid that clouds are kept on [mm]; 0 unless all cells are squares of one size."""
        pitches = {p for x in self.layers for p in (x.grid.pitch if isinstance(x.grid, BoxGrid) else (0.0,))}
        return pitches.pop() / self.points_per_cell if len(pitches) == 1 else 0.0

    @cached_property
    def cell_layer(self) -> NDArray[np.int32]:
        """Layer of every cell, ``(n_cells,)``."""
        return np.repeat(np.arange(self.n_layers, dtype=np.int32), np.diff(self.layer_offsets))

    @cached_property
    def cell_positions(self) -> NDArray[np.float32]:
        """Centres x, y, z of all cells [mm], ``(n_cells, 3)``."""
        lateral = np.concatenate([layer.grid.centres() for layer in self.layers])
        return np.column_stack([lateral, self.layer_z[self.cell_layer]]).astype(np.float32)

    def layer_of(self, z: NDArray[np.floating]) -> NDArray[np.int64]:
        """The layer at every depth, ``(H,)``; -1 in front of and behind the calorimeter."""
        index = np.searchsorted(self.layer_edges, z, side="right") - 1
        return np.where((index >= 0) & (index < self.n_layers), index, -1)

    def find_cells(
        self,
        x: NDArray[np.floating],
        y: NDArray[np.floating],
        layer: NDArray[np.integer],
    ) -> NDArray[np.int64]:
        """The cell at every position, ``(H,)``; -1 outside of the window or for layer -1."""
        if self.is_uniform:
            local = self.layers[0].grid.find(x, y)
            valid = (local >= 0) & (layer >= 0) & (layer < self.n_layers)
            return np.where(valid, local + self.layer_offsets[np.where(valid, layer, 0)], -1)
        cells = np.full(len(x), -1, dtype=np.int64)
        for number, item in enumerate(self.layers):
            rows = np.flatnonzero(layer == number)
            local = item.grid.find(x[rows], y[rows])
            cells[rows] = np.where(local >= 0, local + self.layer_offsets[number], -1)
        return cells

    def coarsen(self, factor: int) -> Geometry:
        """Join ``factor`` x ``factor`` cells of every square grid into one.

        Raises:
            GeometryError: A grid is polar, or ``factor`` does not divide its numbers of cells.
        """
        layers = tuple(x.model_copy(update={"grid": _coarser(x.grid, factor)}) for x in self.layers)
        return self.model_copy(update={"layers": layers, "points_per_cell": self.points_per_cell * factor})

    def refine(self, factor: int | None = None) -> Geometry:
        """Cut every cell into ``factor`` x ``factor``; by default into the grid of the clouds.

        Raises:
            GeometryError: There would be too many cells.
        """
        factor = self.points_per_cell if factor is None else factor
        layers = tuple(x.model_copy(update={"grid": x.grid.refined(factor)}) for x in self.layers)
        rest = max(1, self.points_per_cell // factor)
        name = f"{self.name}-fine" if factor > 1 else self.name
        changes = {"layers": layers, "points_per_cell": rest, "name": name, "threshold": 0.0}
        try:
            return self.model_copy(update=changes)
        except ValidationError as error:
            problem = first_problem(error)
            what = f"cells of {self.name!r} cut into {factor} x {factor}"
            raise GeometryError(bad(what, got=problem.got, expected=problem.expected)) from error

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Geometry:
        """Copy with the fields of ``update``, which are checked; cached properties stay behind.

        Raises:
            ValidationError: A field does not exist or its value is out of range.
        """
        fields = self.model_dump() if deep else self._fields()
        return Geometry.model_validate({**fields, **(update or {})})

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields}

    def __eq__(self, other: object) -> bool:
        # pydantic would compare the cached arrays too
        return isinstance(other, Geometry) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self.fingerprint)


def _coarser(grid: BoxGrid | PolarGrid, factor: int) -> BoxGrid:
    if isinstance(grid, PolarGrid) or grid.nx % factor or grid.ny % factor:
        expected = f"square cells whose numbers {factor} divides"
        raise GeometryError(bad("grid to coarsen", got=f"{grid.kind} grid {grid.shape}", expected=expected))
    pitch = (grid.pitch[0] * factor, grid.pitch[1] * factor)
    return grid.model_copy(update={"nx": grid.nx // factor, "ny": grid.ny // factor, "pitch": pitch})
