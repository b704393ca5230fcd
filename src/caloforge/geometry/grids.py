"""The two-dimensional read-out grid of one layer: square cells or rings cut into angles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from caloforge.records import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LARGEST_LENGTH", "MOST_CELLS", "BoxGrid", "Grid", "Length", "PolarGrid"]

MOST_CELLS = 2**31 - 1  # files keep cell numbers in 32 bits
LARGEST_LENGTH = 1e6  # mm: a kilometre

Length = Annotated[float, Field(ge=1e-6, le=LARGEST_LENGTH)]
_Cells = Annotated[int, Field(ge=1, le=1_000_000)]
_Position = Annotated[float, Field(ge=-LARGEST_LENGTH, le=LARGEST_LENGTH)]


class BoxGrid(Record):
    """Rectangular cells; y runs fastest."""

    kind: Literal["box"] = "box"
    nx: _Cells
    """Cells in x, up to a million."""
    ny: _Cells
    """Cells in y, up to a million."""
    pitch: tuple[Length, Length]
    """Cell size in x and y, 1e-6 to 1e6 [mm]."""
    centre: tuple[_Position, _Position] = (0.0, 0.0)
    """Centre of the window, -1e6 to 1e6 [mm]."""

    @property
    def shape(self) -> tuple[int, int]:
        """Cells per axis: x, y."""
        return (self.nx, self.ny)

    @property
    def n_cells(self) -> int:
        """Cells of the layer."""
        return self.nx * self.ny

    @property
    def low(self) -> tuple[float, float]:
        """Lower corner of the window [mm]."""
        return (
            self.centre[0] - 0.5 * self.nx * self.pitch[0],
            self.centre[1] - 0.5 * self.ny * self.pitch[1],
        )

    def find(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.int64]:
        """The cell under every position, ``(H,)``; -1 outside of the window."""
        ix = np.floor((x - self.low[0]) / self.pitch[0])
        iy = np.floor((y - self.low[1]) / self.pitch[1])
        inside = (ix >= 0) & (ix < self.nx) & (iy >= 0) & (iy < self.ny)
        # far positions do not fit into integers: numbers are made of those inside only
        ix, iy = (np.where(inside, i, 0).astype(np.int64) for i in (ix, iy))
        return np.where(inside, ix * self.ny + iy, -1)

    def centres(self) -> NDArray[np.float64]:
        """x and y of the cell centres [mm], ``(n_cells, 2)``."""
        x = self.low[0] + (np.arange(self.nx) + 0.5) * self.pitch[0]
        y = self.low[1] + (np.arange(self.ny) + 0.5) * self.pitch[1]
        return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)

    def extents(self) -> NDArray[np.float64]:
        """Full widths of the cells in x and y [mm], ``(n_cells, 2)``."""
        return np.broadcast_to(np.asarray(self.pitch), (self.n_cells, 2)).copy()

    def refined(self, factor: int) -> BoxGrid:
        """The grid with every cell cut into ``factor`` x ``factor``."""
        pitch = (self.pitch[0] / factor, self.pitch[1] / factor)
        return self.model_copy(update={"nx": self.nx * factor, "ny": self.ny * factor, "pitch": pitch})


class PolarGrid(Record):
    """Rings cut into equal angles; r runs fastest, as in the CaloChallenge.

    Angle bins partition [-pi, pi] uniformly.
    """

    kind: Literal["polar"] = "polar"
    r_edges: tuple[float, ...] = Field(min_length=2)
    """Radial edges, rising from 0 or above to 1e6 at most [mm]."""
    n_alpha: _Cells
    """Angle bins, up to a million."""

    @field_validator("r_edges")
    @classmethod
    def _rising(cls, edges: tuple[float, ...]) -> tuple[float, ...]:
        if np.any(np.diff(edges) <= 0) or edges[0] < 0 or edges[-1] > LARGEST_LENGTH:
            msg = f"edges that rise from 0 or above to {LARGEST_LENGTH:g} mm at most"
            raise ValueError(msg)
        return edges

    @property
    def n_r(self) -> int:
        """Radial bins."""
        return len(self.r_edges) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """Cells per axis: alpha, r."""
        return (self.n_alpha, self.n_r)

    @property
    def n_cells(self) -> int:
        """Cells of the layer."""
        return self.n_alpha * self.n_r

    def find(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.int64]:
        """The cell under every position, ``(H,)``; -1 outside of the outermost ring."""
        alpha, ring = self.alpha_and_ring(x, y)
        inside = (ring >= 0) & (ring < self.n_r)
        return np.where(inside, alpha * self.n_r + ring, -1)

    def alpha_and_ring(
        self, x: NDArray[np.floating], y: NDArray[np.floating]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Angle and ring of every position, ``(H,)``; rings -1 and ``n_r``: inside and outside of all."""
        ring = np.searchsorted(self.r_edges, np.hypot(x, y), side="right") - 1
        turn = (np.arctan2(y, x) + np.pi) / (2 * np.pi)
        return np.minimum((turn * self.n_alpha).astype(np.int64), self.n_alpha - 1), ring

    def centres(self) -> NDArray[np.float64]:
        """x and y of the cell centres [mm] (mid radius, mid angle), ``(n_cells, 2)``."""
        alpha, r = self._mid_angles_and_radii()
        return np.stack([r * np.cos(alpha), r * np.sin(alpha)], axis=-1).reshape(-1, 2)

    def extents(self) -> NDArray[np.float64]:
        """Full widths along r [mm] and in alpha [rad], ``(n_cells, 2)``."""
        dr = np.broadcast_to(np.diff(self.r_edges), self.shape)
        da = np.full(self.shape, 2 * np.pi / self.n_alpha)
        return np.stack([dr, da], axis=-1).reshape(-1, 2)

    def refined(self, factor: int) -> PolarGrid:
        """The grid with every ring and every angle cut into ``factor``."""
        edges = np.asarray(self.r_edges)
        steps = np.linspace(0, 1, factor, endpoint=False)
        fine = (edges[:-1, None] + np.diff(edges)[:, None] * steps).ravel()
        return PolarGrid(r_edges=(*fine.tolist(), float(edges[-1])), n_alpha=self.n_alpha * factor)

    def _mid_angles_and_radii(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        radii, turns = np.asarray(self.r_edges), np.linspace(-np.pi, np.pi, self.n_alpha + 1)
        alpha, r = (edges[:-1] + 0.5 * np.diff(edges) for edges in (turns, radii))
        grid = np.meshgrid(alpha, r, indexing="ij")
        return grid[0], grid[1]


Grid = Annotated[BoxGrid | PolarGrid, Field(discriminator="kind")]
