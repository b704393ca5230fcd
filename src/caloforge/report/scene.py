"""What an event display shows, apart from how it is drawn: hits, detector outline, incident particle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError, bad
from caloforge.geometry import BoxGrid, check_cells
from caloforge.particles import particle_label
from caloforge.units import DEGREE, GEV

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry, PolarGrid
    from caloforge.showers import Showers

__all__ = ["EnergyScale", "Panel", "Scene", "build_scenes", "circle_around", "row_length"]

Panel = tuple[str, "Showers", "Geometry"]
"""Label, one shower, its geometry."""

_DECADES = 4.0
_FAINT = 0.03
_SMALLEST = 0.35
_FILL = 0.86
_WIDEST_STEP = math.pi / 8
_CIRCLE = 72
_LONGEST_ROW, _SQUARE = 3, 4


@dataclass(frozen=True)
class EnergyScale:
    """The logarithmic colour and size scale that all panels share.

    Attributes:
        low: Energies up to it have the first colour [MeV].
        high: Energies from it on have the last colour [MeV].
    """

    low: float
    high: float

    def position(self, energy: NDArray[np.floating]) -> NDArray[np.float64]:
        """Where energies lie on the scale, 0 to 1, ``(H,)``."""
        span = math.log(self.high / self.low)
        above = np.log(np.maximum(energy.astype(np.float64), self.low) / self.low)
        return np.asarray(np.clip(above / span, 0.0, 1.0))


@dataclass(frozen=True)
class Scene:
    """One shower in its detector.

    Coordinates are depth, x, y [mm]: the particle flies along the first axis.

    Attributes:
        label: Where the shower comes from.
        geometry: The detector.
        shower: The shower, its hits above the cut and inside of the window.
        hidden: Hits above the cut that lie outside of the window.
        half_width: Half of the window in x and in y [mm].
        centre: Centre of the window in x and y [mm].
    """

    label: str
    geometry: Geometry
    shower: Showers
    hidden: int
    centre: tuple[float, float]
    half_width: tuple[float, float]

    @property
    def energy(self) -> NDArray[np.float32]:
        """Hit energies [MeV], ``(H,)``."""
        return self.shower.energy

    @cached_property
    def position(self) -> NDArray[np.float64]:
        """Hits as depth, x, y [mm], ``(H, 3)``."""
        points = self.shower.points
        if points is None:
            points = self.geometry.cell_positions[self.shower.cells]
        return np.asarray(points, dtype=np.float64)[:, [2, 0, 1]]

    @cached_property
    def layer(self) -> NDArray[np.int64]:
        """Layer of every hit, ``(H,)``."""
        return np.maximum(self.geometry.layer_of(self.position[:, 0]), 0)

    @property
    def particle(self) -> str:
        """Name of the incident particle."""
        return particle_label(int(self.shower.incident.pdg[0]))

    @property
    def title(self) -> str:
        """Particle, energy and, unless perpendicular, direction."""
        incident = self.shower.incident
        text = f"{self.particle}, {_gev(float(incident.energy[0]))}"
        if incident.theta[0] < 1e-4:
            return text
        theta, phi = (float(a[0]) / DEGREE for a in (incident.theta, incident.phi))
        return f"{text}, θ = {theta:.0f}°, φ = {phi:.0f}°"

    @property
    def subtitle(self) -> str:
        """Hits and visible energy."""
        visible = float(self.energy.sum(dtype=np.float64))
        amount = f"{visible:,.0f} MeV" if visible < 10 * GEV else _gev(visible)
        text = f"{len(self.energy):,} hits, {amount} visible"
        return f"{text}, {self.hidden} outside of the window" if self.hidden else text

    @property
    def depth_name(self) -> str:
        """Title of the depth axis: in layers when the thicknesses are not known."""
        return "depth [mm]" if any(layer.slabs for layer in self.geometry.layers) else "depth [layers]"

    @property
    def arrow(self) -> NDArray[np.float64]:
        """The incident particle's way to the front face, two ends of depth, x, y, ``(2, 3)``."""
        x, y, z = self.shower.incident.direction[0]
        length = 0.25 * self.geometry.depth
        start = -length * np.array([z, x, y])
        return np.stack([start, np.zeros(3)])

    @property
    def outline(self) -> list[NDArray[np.float64]]:
        """Lines around the detector, each ``(K, 3)``: a box, or a cylinder for rings."""
        depth = self.geometry.depth
        if isinstance(self.geometry.layers[0].grid, BoxGrid):
            signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
            rim, stays = self.centre + signs * self.half_width, signs[:4]
        else:
            angle = np.linspace(0, 2 * np.pi, _CIRCLE + 1)
            rim = np.column_stack([np.cos(angle), np.sin(angle)]) * self.half_width
            stays = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
        ends = [np.column_stack([np.full(len(rim), z), rim]) for z in (0.0, depth)]
        corners = self.centre + stays * self.half_width
        return [*ends, *(np.array([[0.0, *c], [depth, *c]]) for c in corners)]

    def cell_names(self) -> list[str]:
        """Number of every hit's cell in its layer: "(ix, iy)" or "(alpha, r)"; "" for points."""
        cells = self.shower.cells
        if cells is None:
            return [""] * len(self.energy)
        last = np.array([layer.grid.shape[1] for layer in self.geometry.layers])
        layer = self.geometry.cell_layer[cells]
        local = cells - self.geometry.layer_offsets[layer]
        pairs = np.stack([local // last[layer], local % last[layer]], axis=1)
        return [f"({first}, {second})" for first, second in pairs.tolist()]

    def blocks(self, scale: EnergyScale) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The hits' cells as blocks, larger for more energy.

        Returns:
            Corners ``(K, 8, 3)``, the four of the front before the four of the back, each round the
            block; and the hit that each block belongs to ``(K,)``. Wide ring segments are several blocks.
        """
        cells = np.empty(0, np.int32) if self.shower.cells is None else self.shower.cells
        layer = self.geometry.cell_layer[cells]
        size = _SMALLEST + (1 - _SMALLEST) * scale.position(self.energy)
        half = 0.5 * _FILL * self.geometry.depth / self.geometry.n_layers * size
        lateral, owner = _footprints(self.geometry, cells, layer, size)
        depth = self.position[:, 0]
        faces = [_at(lateral, (depth + sign * half)[owner]) for sign in (-1, 1)]
        return np.concatenate(faces, axis=1), owner


def build_scenes(panels: Sequence[Panel], *, energy_cut: float = 0.0) -> tuple[list[Scene], EnergyScale]:
    """Prepare showers for drawing with one energy scale.

    Args:
        panels: For every picture its label, one shower and the geometry.
        energy_cut: Leave out hits below it [MeV].

    Raises:
        DataError: There is no panel, or one has not exactly one shower.
        GeometryError: Cells belong to another geometry.
    """
    if not panels:
        raise DataError("An event display needs at least one shower.")
    scenes = [_scene(*panel, energy_cut=energy_cut) for panel in panels]
    energies = np.concatenate([scene.energy for scene in scenes])
    high = float(energies.max(initial=1e-3))
    # few hits are very faint: they would take half of the colours
    faint = float(np.quantile(energies, _FAINT)) if len(energies) else high
    low = max(faint, high * 10.0**-_DECADES)
    return scenes, EnergyScale(min(low, 0.1 * high), high)


def row_length(showers: int) -> int:
    """How many showers stand side by side: two or three."""
    return showers if showers <= _LONGEST_ROW else 2 if showers == _SQUARE else _LONGEST_ROW


def circle_around(axis: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    """Points on a circle of radius one around an axis that is not upright, ``(points, 3)``."""
    first = np.cross(axis, [0.0, 0.0, 1.0])
    first /= np.linalg.norm(first)
    second = np.cross(axis, first) / np.linalg.norm(axis)
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)[:, None]
    return np.asarray(np.cos(angle) * first + np.sin(angle) * second)


def _gev(energy: float) -> str:
    return f"{float(f'{energy / GEV:.3g}'):,g} GeV"


def _scene(label: str, shower: Showers, geometry: Geometry, *, energy_cut: float) -> Scene:
    if len(shower) != 1:
        raise DataError(bad(f"showers of {label!r}", got=len(shower), expected="one"))
    if shower.points is None:
        check_cells(shower, geometry)
    kept = shower.keep((shower.energy > 0) & (shower.energy >= energy_cut))
    centre, half_width = _window(geometry, kept)
    inside = _inside(kept, centre, half_width, geometry)
    hidden = int(np.count_nonzero(~inside))
    return Scene(label, geometry, kept.keep(inside), hidden, centre, half_width)


def _window(geometry: Geometry, shower: Showers) -> tuple[tuple[float, float], tuple[float, float]]:
    if isinstance(grid := geometry.layers[0].grid, BoxGrid):
        return grid.centre, (0.5 * grid.nx * grid.pitch[0], 0.5 * grid.ny * grid.pitch[1])
    outer = np.array([layer.grid.r_edges[-1] for layer in geometry.layers if layer.grid.kind == "polar"])
    radius = float(outer.max())
    if not geometry.is_uniform and shower.cells is not None and len(shower.cells):
        # layers of very different widths: what was hit decides
        centres = geometry.cell_positions[shower.cells]
        radius = min(radius, 1.5 * float(np.hypot(centres[:, 0], centres[:, 1]).max()))
    return (0.0, 0.0), (radius, radius)


def _inside(
    shower: Showers, centre: tuple[float, float], half_width: tuple[float, float], geometry: Geometry
) -> NDArray[np.bool_]:
    if shower.points is None:
        return np.ones(len(shower.energy), dtype=bool)
    away = (shower.points[:, :2].astype(np.float64) - centre) / half_width
    box = isinstance(geometry.layers[0].grid, BoxGrid)
    lateral = np.abs(away).max(axis=1, initial=0.0) if box else np.hypot(away[:, 0], away[:, 1])
    return np.asarray((lateral <= 1) & (geometry.layer_of(shower.points[:, 2]) >= 0))


def _footprints(
    geometry: Geometry, cells: NDArray[np.int32], layer: NDArray[np.int32], size: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    corners, owners = [np.empty((0, 4, 2))], [np.empty(0, dtype=np.int64)]
    for number in np.unique(layer):
        hits = np.flatnonzero(layer == number)
        local = cells[hits] - geometry.layer_offsets[number]
        grid = geometry.layers[number].grid
        if isinstance(grid, BoxGrid):
            some, of = _rectangles(grid, local, size[hits])
        else:
            some, of = _segments(grid, local, size[hits])
        corners.append(some)
        owners.append(hits[of])
    return np.concatenate(corners), np.concatenate(owners)


def _rectangles(
    grid: BoxGrid, cells: NDArray[np.int64], size: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    signs = 0.5 * _FILL * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * grid.pitch
    return grid.centres()[cells][:, None] + signs * size[:, None, None], np.arange(len(cells))


def _segments(
    grid: PolarGrid, cells: NDArray[np.int64], size: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    edges, width = np.asarray(grid.r_edges), 2 * np.pi / grid.n_alpha
    alpha, ring = cells // grid.n_r, cells % grid.n_r
    middle, half = 0.5 * (edges[ring] + edges[ring + 1]), 0.5 * _FILL * size * np.diff(edges)[ring]
    pieces = max(1, math.ceil(width / _WIDEST_STEP))
    # a full ring stays closed, a segment shrinks like all cells
    span = width * (np.ones(len(cells)) if grid.n_alpha == 1 else _FILL * size)
    start = -np.pi + (alpha + 0.5) * width - 0.5 * span
    cuts = start[:, None] + span[:, None] * np.linspace(0, 1, pieces + 1)
    inner, outer, first, last = middle - half, middle + half, cuts[:, :-1], cuts[:, 1:]
    round_the_piece = ((inner, first), (outer, first), (outer, last), (inner, last))
    corners = [_polar(radius, angle) for radius, angle in round_the_piece]
    return np.stack(corners, axis=2).reshape(-1, 4, 2), np.repeat(np.arange(len(cells)), pieces)


def _polar(radius: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([radius[:, None] * np.cos(angle), radius[:, None] * np.sin(angle)], axis=-1)


def _at(lateral: NDArray[np.float64], depth: NDArray[np.float64]) -> NDArray[np.float64]:
    planes = np.broadcast_to(depth[:, None, None], (*lateral.shape[:2], 1))
    return np.concatenate([planes, lateral], axis=2)
